-- What promotional credit wrote into the books cannot be unwritten: without any, nothing stands in the way.
DO $$
BEGIN
    IF EXISTS (SELECT FROM ledger_accounts WHERE starts_with(code, 'wallet:promo:')) THEN
        RAISE EXCEPTION 'promotional credit is in the books' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;
DELETE FROM ledger_kinds WHERE kind IN ('promo_granted', 'promo_expired') OR debit = 'wallet:promo';
ALTER TABLE ledger_holds DROP CONSTRAINT ledger_holds_pkey, ADD CONSTRAINT ledger_holds_pkey PRIMARY KEY (hold_id);

-- Writes what a batch of events does to the books. `in_positions[n]` is the position of the n-th event, or 0 when it was not
-- admitted; every journal transaction, leg and change of a hold names its event by n. Whoever calls it holds the lock of the head.
CREATE OR REPLACE FUNCTION ledger_post(
    in_positions bigint[], in_at timestamptz,
    in_journal_events int[], in_kinds text[], in_sources text[], in_source_ids text[], in_journal_currencies text[],
    in_occurred timestamptz[], in_reverses text[],
    in_leg_events int[], in_legs smallint[], in_accounts text[], in_currencies text[], in_amounts bigint[],
    in_hold_events int[], in_hold_ids text[], in_hold_accounts text[], in_hold_currencies text[], in_expires timestamptz[],
    in_reserved bigint[], in_captured bigint[], in_released bigint[]
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    culprit text;
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT account FROM unnest(in_accounts) AS p (account)
            UNION SELECT account FROM unnest(in_hold_accounts) AS h (account)
        ) AS touched
        WHERE (SELECT true FROM ledger_accounts a WHERE a.code = touched.account) IS NULL
    ) THEN
        WITH touched AS (
            SELECT DISTINCT ON (account) account, currency, in_positions[event] AS position
            FROM (SELECT * FROM unnest(in_accounts, in_currencies, in_leg_events)
                  UNION ALL SELECT * FROM unnest(in_hold_accounts, in_hold_currencies, in_hold_events))
                AS t (account, currency, event)
            WHERE in_positions[event] > 0
            ORDER BY account, in_positions[event]
        ), opened AS (
            INSERT INTO ledger_accounts (code, currency, opened_position)
            SELECT account, currency, position FROM touched t
            WHERE (SELECT true FROM ledger_accounts a WHERE a.code = t.account) IS NULL
            RETURNING code, currency, guarded, opened_position
        )
        INSERT INTO ledger_balances (account, currency, position)
        SELECT code, currency, opened_position FROM opened WHERE guarded;
    END IF;

    IF cardinality(in_journal_events) > 0 THEN
        WITH legs AS (
            INSERT INTO ledger_postings (position, leg, account, currency, amount_nanos)
            SELECT in_positions[in_leg_events[n]], in_legs[n], in_accounts[n], in_currencies[n], in_amounts[n]
            FROM generate_series(1, cardinality(in_leg_events)) AS n
            WHERE in_positions[in_leg_events[n]] > 0
        )
        INSERT INTO ledger_journal_transactions
            (position, kind, source, source_id, currency, occurred_at, effective_on, posted_at, reverses)
        SELECT in_positions[in_journal_events[n]], in_kinds[n], in_sources[n], in_source_ids[n], in_journal_currencies[n],
               in_occurred[n], (in_occurred[n] AT TIME ZONE 'UTC')::date, in_at, in_reverses[n]
        FROM generate_series(1, cardinality(in_journal_events)) AS n
        WHERE in_positions[in_journal_events[n]] > 0;
    END IF;

    UPDATE ledger_balances b
    SET posted_nanos = b.posted_nanos + d.posted, held_nanos = b.held_nanos + d.held, position = d.position
    FROM (
        SELECT (SELECT x.ctid FROM ledger_balances x WHERE x.account = change.account) AS place,
               sum(posted)::bigint AS posted, sum(held)::bigint AS held, max(position) AS position
        FROM (
            SELECT in_accounts[n] AS account, -in_amounts[n] AS posted, 0::bigint AS held, in_positions[in_leg_events[n]] AS position
            FROM generate_series(1, cardinality(in_leg_events)) AS n
            WHERE starts_with(in_accounts[n], 'wallet:') AND in_positions[in_leg_events[n]] > 0
            UNION ALL
            SELECT account, 0, reserved - captured - released, in_positions[event]
            FROM unnest(in_hold_events, in_hold_accounts, in_reserved, in_captured, in_released)
                AS h (event, account, reserved, captured, released)
            WHERE in_positions[event] > 0
        ) AS change
        GROUP BY change.account
    ) AS d
    WHERE b.ctid = d.place;

    IF cardinality(in_hold_events) = 0 THEN
        RETURN;
    END IF;

    IF 0 > ANY (in_reserved) OR 0 > ANY (in_captured) OR 0 > ANY (in_released) THEN
        RAISE EXCEPTION 'what was reserved, captured or released of a hold only grows'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_holds_only_grow';
    END IF;

    INSERT INTO ledger_holds
        (hold_id, account, currency, reserved_nanos, captured_nanos, released_nanos, expires_at, position)
    SELECT DISTINCT ON (hold_id) hold_id, account, currency, 0, 0, 0, expires_at, in_positions[event]
    FROM unnest(in_hold_ids, in_hold_accounts, in_hold_currencies, in_expires, in_hold_events)
        AS h (hold_id, account, currency, expires_at, event)
    WHERE in_positions[event] > 0 AND (SELECT true FROM ledger_holds l WHERE l.hold_id = h.hold_id) IS NULL
    ORDER BY hold_id, in_positions[event];

    SELECT h.hold_id INTO culprit
    FROM unnest(in_hold_ids, in_hold_accounts, in_hold_currencies, in_hold_events) AS h (hold_id, account, currency, event)
    WHERE in_positions[event] > 0 AND (
        SELECT true FROM ledger_holds l
        WHERE l.hold_id = h.hold_id AND l.account = h.account AND l.currency = h.currency) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'hold % is on another account', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_holds_account';
    END IF;

    UPDATE ledger_holds l
    SET reserved_nanos = l.reserved_nanos + d.reserved,
        captured_nanos = l.captured_nanos + d.captured,
        released_nanos = l.released_nanos + d.released,
        expires_at = d.expires_at,
        position = d.position
    FROM (
        SELECT (SELECT x.ctid FROM ledger_holds x WHERE x.hold_id = h.hold_id) AS place,
               sum(reserved)::bigint AS reserved, sum(captured)::bigint AS captured,
               sum(released)::bigint AS released, max(in_positions[event]) AS position,
               (array_agg(expires_at ORDER BY in_positions[event] DESC))[1] AS expires_at
        FROM unnest(in_hold_ids, in_reserved, in_captured, in_released, in_expires, in_hold_events)
            AS h (hold_id, reserved, captured, released, expires_at, event)
        WHERE in_positions[event] > 0
        GROUP BY h.hold_id
    ) AS d
    WHERE l.ctid = d.place;
END
$$;
