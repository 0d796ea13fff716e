-- What a batch does to the books is checked by ranges of the log. The events, journal transactions and legs of a batch lie side by
-- side in their indexes, so one walk over the range finds them all, where a look-up for each of them goes down from the root.

-- Whether what is reversed exists is asked for the few that reverse something; a foreign key asks it of each row.
ALTER TABLE ledger_journal_transactions DROP CONSTRAINT ledger_journal_reverses_exists;

-- The legs of a guarded account are folded into its balance. Those that reports add up are of the others.
DROP INDEX ledger_postings_by_account;
CREATE INDEX ledger_postings_by_account ON ledger_postings (account, position) WHERE NOT starts_with(account, 'wallet:');

CREATE OR REPLACE FUNCTION ledger_check_journal() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = on SET enable_nestloop = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    low bigint;
    high bigint;
    reversals boolean;
    culprit bigint;
BEGIN
    SELECT min(position), max(position), bool_or(reverses IS NOT NULL) INTO low, high, reversals FROM added;
    -- The head moves at the end of an append: what is at or below it was there before, and says what it said.
    SELECT t.position INTO culprit FROM added t
    LEFT JOIN (SELECT e.position FROM events e WHERE e.position BETWEEN low AND high OFFSET 0) AS e ON e.position = t.position
    WHERE e.position IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % is carried by no event', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_journal_event_exists';
    END IF;
    IF low <= (SELECT h.position FROM log_head h) THEN
        RAISE EXCEPTION 'journal transaction % is carried by an event of an earlier append', low
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_event_is_new';
    END IF;
    SELECT t.position INTO culprit FROM (SELECT effective_on, min(position) AS position FROM added GROUP BY effective_on) t
    WHERE (SELECT true FROM ledger_periods p WHERE p.status = 'open' AND p.span @> t.effective_on) IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % takes effect in no open period', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_period_open';
    END IF;
    -- The first leg has number 1.
    SELECT t.position INTO culprit FROM added t
    LEFT JOIN (SELECT p.position FROM ledger_postings p WHERE p.position BETWEEN low AND high AND p.leg = 1 OFFSET 0) AS p
        ON p.position = t.position
    WHERE p.position IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % has no legs', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_has_legs';
    END IF;
    IF reversals THEN
        SELECT t.position INTO culprit FROM added t
        WHERE t.reverses IS NOT NULL
          AND (SELECT true FROM ledger_journal_transactions o WHERE o.reference = t.reverses) IS NULL LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'journal transaction % reverses one that does not exist', culprit
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_journal_reverses_exists';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION ledger_check_postings() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = on SET enable_nestloop = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    low bigint;
    high bigint;
    culprit bigint;
    fault text;
    reversals bigint[];
BEGIN
    SELECT min(position), max(position) INTO low, high FROM added;
    SELECT a.position INTO culprit
    FROM (SELECT account, currency, min(position) AS position FROM added GROUP BY account, currency) AS a
    WHERE (SELECT k.currency FROM ledger_accounts k WHERE k.code = a.account) IS DISTINCT FROM a.currency LIMIT 1;
    IF FOUND THEN
        fault := 'currency';
    ELSE
        -- Legs are numbered from 1 without a gap and no number twice, so those that begin with 1 are all there will ever be.
        SELECT (array_agg(w.position) FILTER (WHERE w.fault IS NOT NULL))[1],
               (array_agg(w.fault) FILTER (WHERE w.fault IS NOT NULL))[1],
               array_agg(w.position) FILTER (WHERE w.reverses IS NOT NULL)
        INTO culprit, fault, reversals
        FROM (
            SELECT s.position, t.reverses, CASE
                WHEN s.low <> s.high OR t.currency IS DISTINCT FROM s.low THEN 'currency'
                WHEN s.first <> 1 OR s.last <> s.legs THEN 'at_once'
                WHEN s.legs < 2 OR s.total <> 0 THEN 'balanced' END AS fault
            FROM (
                SELECT p.position, count(*) AS legs, min(p.leg) AS first, max(p.leg) AS last, sum(p.amount_nanos) AS total,
                       min(p.currency) AS low, max(p.currency) AS high
                FROM added p GROUP BY p.position
            ) AS s
            LEFT JOIN (
                SELECT t.position, t.currency, t.reverses
                FROM ledger_journal_transactions t WHERE t.position BETWEEN low AND high OFFSET 0
            ) AS t ON t.position = s.position
        ) AS w;
    END IF;
    IF fault = 'currency' THEN
        RAISE EXCEPTION 'a leg of journal transaction % is not in the currency of its account and transaction', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_postings_currency';
    ELSIF fault = 'at_once' THEN
        RAISE EXCEPTION 'what was written of journal transaction % is not all its legs, from the first on', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_at_once';
    ELSIF fault = 'balanced' THEN
        RAISE EXCEPTION 'journal transaction % does not sum to zero', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_balanced';
    END IF;

    SELECT d.position INTO culprit
    FROM (SELECT position, account FROM added WHERE amount_nanos > 0) AS d
    JOIN (SELECT position, account FROM added WHERE amount_nanos < 0) AS c ON c.position = d.position
    JOIN (
        SELECT t.position, t.kind FROM ledger_journal_transactions t WHERE t.position BETWEEN low AND high OFFSET 0
    ) AS t ON t.position = d.position
    WHERE NOT EXISTS (
        SELECT FROM ledger_kinds k
        WHERE k.kind = t.kind AND starts_with(d.account, k.debit || ':') AND starts_with(c.account, k.credit || ':')
    )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % moves money between accounts that its kind may not touch', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_kind';
    END IF;

    -- Between them, a reversal and its original leave every account as it was.
    FOREACH culprit IN ARRAY coalesce(reversals, '{}') LOOP
        PERFORM FROM ledger_postings p
        WHERE p.position IN (culprit, (
            SELECT o.position FROM ledger_journal_transactions o
            WHERE o.reference = (SELECT t.reverses FROM ledger_journal_transactions t WHERE t.position = culprit)))
        GROUP BY p.account HAVING sum(p.amount_nanos) <> 0;
        IF FOUND THEN
            RAISE EXCEPTION 'journal transaction % is not the mirror of what it reverses', culprit
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_mirror';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

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
