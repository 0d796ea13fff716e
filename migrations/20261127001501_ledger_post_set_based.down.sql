DROP FUNCTION log_append(text[], text[], text[], bigint[], int[], bytea[], text[], int[], int[], text[], text[], text[], bigint[], text[], text[], text[], text[], bytea[], text[], int[], text[], text[], text[], text[], timestamptz[], text[], int[], smallint[], text[], text[], bigint[], int[], text[], text[], text[], timestamptz[], bigint[], bigint[], bigint[]);
DROP FUNCTION ledger_post(bigint[], timestamptz, int[], text[], text[], text[], text[], timestamptz[], text[], int[], smallint[], text[], text[], bigint[], int[], text[], text[], text[], timestamptz[], bigint[], bigint[], bigint[]);

DROP INDEX ledger_journal_one_reversal;
ALTER TABLE ledger_journal_transactions ADD CONSTRAINT ledger_journal_one_reversal UNIQUE (reverses);

CREATE OR REPLACE FUNCTION ledger_check_journal() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT t.position INTO culprit FROM added t
    WHERE NOT EXISTS (SELECT FROM events e WHERE e.position = t.position) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % is carried by no event', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_journal_event_exists';
    END IF;
    -- The head moves at the end of an append: what is at or below it was there before, and says what it said.
    SELECT t.position INTO culprit FROM added t
    WHERE t.position <= (SELECT h.position FROM log_head h) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % is carried by an event of an earlier append', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_event_is_new';
    END IF;
    SELECT t.position INTO culprit FROM added t
    WHERE NOT EXISTS (SELECT FROM ledger_periods p WHERE p.status = 'open' AND p.span @> t.effective_on) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % takes effect in no open period', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_period_open';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION ledger_check_postings() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT p.position INTO culprit
    FROM added p
    LEFT JOIN ledger_journal_transactions t ON t.position = p.position
    LEFT JOIN ledger_accounts a ON a.code = p.account
    WHERE t.currency IS DISTINCT FROM p.currency OR a.currency IS DISTINCT FROM p.currency LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a leg of journal transaction % is not in the currency of its account and transaction', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_postings_currency';
    END IF;

    -- A journal transaction without legs cannot commit, so what has all its legs from one statement has them from its own append.
    SELECT n.position INTO culprit
    FROM (SELECT position, count(*) AS legs FROM added GROUP BY position) n
    WHERE n.legs <> (SELECT count(*) FROM ledger_postings p WHERE p.position = n.position) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % has its legs already', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_at_once';
    END IF;

    SELECT p.position INTO culprit
    FROM (SELECT DISTINCT position FROM added) n JOIN ledger_postings p ON p.position = n.position
    GROUP BY p.position, p.currency HAVING sum(p.amount_nanos) <> 0 OR count(*) < 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % does not sum to zero', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_balanced';
    END IF;

    SELECT d.position INTO culprit
    FROM (SELECT DISTINCT position FROM added) n
    JOIN ledger_journal_transactions t ON t.position = n.position
    JOIN ledger_postings d ON d.position = n.position AND d.amount_nanos > 0
    JOIN ledger_postings c ON c.position = n.position AND c.amount_nanos < 0
    WHERE NOT EXISTS (
        SELECT FROM ledger_kinds k
        WHERE k.kind = t.kind AND starts_with(d.account, k.debit || ':') AND starts_with(c.account, k.credit || ':')
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % moves money between accounts that its kind may not touch', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_kind';
    END IF;

    -- Between them, a reversal and its original leave every account as it was.
    SELECT t.position INTO culprit
    FROM (SELECT DISTINCT position FROM added) n
    JOIN ledger_journal_transactions t ON t.position = n.position AND t.reverses IS NOT NULL
    JOIN ledger_journal_transactions o ON o.reference = t.reverses
    WHERE EXISTS (
        SELECT FROM ledger_postings p WHERE p.position IN (t.position, o.position)
        GROUP BY p.account HAVING sum(p.amount_nanos) <> 0
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % is not the mirror of what it reverses', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_mirror';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION ledger_check_legs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_postings p WHERE p.position = NEW.position) THEN
        RAISE EXCEPTION 'journal transaction % has no legs', NEW.position
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_has_legs';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER ledger_journal_has_legs AFTER INSERT ON ledger_journal_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_legs();
ALTER TABLE ledger_journal_transactions ENABLE ALWAYS TRIGGER ledger_journal_has_legs;

CREATE FUNCTION ledger_post(in_positions bigint[], in_books json, in_at timestamptz) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    p_position bigint[]; p_leg smallint[]; p_account text[]; p_currency text[]; p_amount bigint[];
    h_position bigint[]; h_id text[]; h_account text[]; h_currency text[]; h_expires timestamptz[];
    h_reserved bigint[]; h_captured bigint[]; h_released bigint[];
    culprit text;
BEGIN
    SELECT array_agg(in_positions[event]), array_agg(leg), array_agg(account), array_agg(currency), array_agg(amount)
    INTO p_position, p_leg, p_account, p_currency, p_amount
    FROM json_to_recordset(in_books -> 'postings')
        AS p (event int, leg smallint, account text, currency text, amount bigint)
    WHERE in_positions[event] > 0;

    SELECT array_agg(in_positions[event]), array_agg(hold_id), array_agg(account), array_agg(currency),
           array_agg(expires_at), array_agg(reserved), array_agg(captured), array_agg(released)
    INTO h_position, h_id, h_account, h_currency, h_expires, h_reserved, h_captured, h_released
    FROM json_to_recordset(in_books -> 'holds')
        AS h (event int, hold_id text, account text, currency text, expires_at timestamptz,
              reserved bigint, captured bigint, released bigint)
    WHERE in_positions[event] > 0;

    INSERT INTO ledger_journal_transactions
        (position, kind, source, source_id, currency, occurred_at, effective_on, posted_at, reverses)
    SELECT in_positions[event], kind, source, source_id, currency, occurred_at,
           (occurred_at AT TIME ZONE 'UTC')::date, in_at, reverses
    FROM json_to_recordset(in_books -> 'journal')
        AS j (event int, kind text, source text, source_id text, currency text, occurred_at timestamptz, reverses text)
    WHERE in_positions[event] > 0;

    WITH touched AS (
        SELECT DISTINCT ON (account) account, currency, position
        FROM (SELECT * FROM unnest(p_account, p_currency, p_position)
              UNION ALL SELECT * FROM unnest(h_account, h_currency, h_position)) AS t (account, currency, position)
        ORDER BY account, position
    ), opened AS (
        INSERT INTO ledger_accounts (code, currency, opened_position)
        SELECT account, currency, position FROM touched t
        WHERE NOT EXISTS (SELECT FROM ledger_accounts a WHERE a.code = t.account)
        RETURNING code, currency, guarded, opened_position
    )
    INSERT INTO ledger_balances (account, currency, position)
    SELECT code, currency, opened_position FROM opened WHERE guarded;

    INSERT INTO ledger_postings (position, leg, account, currency, amount_nanos)
    SELECT * FROM unnest(p_position, p_leg, p_account, p_currency, p_amount);

    UPDATE ledger_balances b
    SET posted_nanos = b.posted_nanos + d.posted, held_nanos = b.held_nanos + d.held, position = d.position
    FROM (
        SELECT account, sum(posted)::bigint AS posted, sum(held)::bigint AS held, max(position) AS position
        FROM (
            SELECT account, -amount AS posted, 0::bigint AS held, position
            FROM unnest(p_account, p_amount, p_position) AS p (account, amount, position)
            WHERE starts_with(account, 'wallet:')
            UNION ALL
            SELECT account, 0, reserved - captured - released, position
            FROM unnest(h_account, h_reserved, h_captured, h_released, h_position)
                AS h (account, reserved, captured, released, position)
        ) AS change
        GROUP BY account
    ) AS d
    WHERE b.account = d.account;

    IF h_id IS NULL THEN
        RETURN;
    END IF;

    IF 0 > ANY (h_reserved) OR 0 > ANY (h_captured) OR 0 > ANY (h_released) THEN
        RAISE EXCEPTION 'what was reserved, captured or released of a hold only grows'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_holds_only_grow';
    END IF;

    INSERT INTO ledger_holds
        (hold_id, account, currency, reserved_nanos, captured_nanos, released_nanos, expires_at, position)
    SELECT DISTINCT ON (hold_id) hold_id, account, currency, 0, 0, 0, expires_at, position
    FROM unnest(h_id, h_account, h_currency, h_expires, h_position) AS h (hold_id, account, currency, expires_at, position)
    WHERE NOT EXISTS (SELECT FROM ledger_holds l WHERE l.hold_id = h.hold_id)
    ORDER BY hold_id, position;

    SELECT h.hold_id INTO culprit
    FROM unnest(h_id, h_account, h_currency) AS h (hold_id, account, currency)
    JOIN ledger_holds l ON l.hold_id = h.hold_id
    WHERE (l.account, l.currency) IS DISTINCT FROM (h.account, h.currency) LIMIT 1;
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
        SELECT hold_id, sum(reserved)::bigint AS reserved, sum(captured)::bigint AS captured,
               sum(released)::bigint AS released, max(position) AS position,
               (array_agg(expires_at ORDER BY position DESC))[1] AS expires_at
        FROM unnest(h_id, h_reserved, h_captured, h_released, h_expires, h_position)
            AS h (hold_id, reserved, captured, released, expires_at, position)
        GROUP BY hold_id
    ) AS d
    WHERE l.hold_id = d.hold_id;
END
$$;
REVOKE EXECUTE ON FUNCTION ledger_post FROM PUBLIC;

CREATE FUNCTION log_append(
    in_command_ids text[], in_types text[], in_ids text[], in_expected bigint[], in_counts int[],
    in_hashes bytea[], in_outcomes text[],
    in_requests int[], in_ordinals int[], in_event_commands text[], in_event_aggregates text[], in_event_ids text[],
    in_sequences bigint[], in_event_types text[], in_versions text[], in_payloads text[], in_metadatas text[],
    in_event_hashes bytea[], in_event_outcomes text[],
    in_books json
) RETURNS TABLE (verdict text, head bigint) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    base bigint;
    last bigint;
    at_time timestamptz;
    judged boolean;
    verdicts text[];
    heads bigint[];
    -- Position before the first event of each request; -1 when it is not admitted.
    firsts bigint[];
    positions bigint[];
BEGIN
    SELECT position, greatest(clock_timestamp(), recorded_at) INTO base, at_time FROM log_head FOR UPDATE;

    judged := EXISTS (SELECT FROM commands WHERE command_id = ANY (in_command_ids)) OR EXISTS (
        SELECT FROM unnest(in_command_ids, in_types, in_ids, in_expected, in_counts)
            AS r (command_id, aggregate_type, aggregate_id, expected, count)
        WHERE CASE WHEN expected > 0 THEN (
            SELECT true FROM events e
            WHERE e.aggregate_type = r.aggregate_type AND e.aggregate_id = r.aggregate_id AND e.sequence = expected
        ) ELSE true END IS NULL
        OR CASE WHEN count = 0 THEN
            (SELECT true FROM events e WHERE e.command_id COLLATE "C" = r.command_id AND e.outcome IS NOT NULL) END);
    LOOP
        IF judged THEN
            SELECT array_agg(CASE
                WHEN (SELECT true FROM commands c WHERE c.command_id = r.command_id) THEN 'known'
                WHEN (SELECT true FROM events e WHERE e.command_id COLLATE "C" = r.command_id AND e.outcome IS NOT NULL) THEN 'known'
                WHEN expected <> coalesce((
                    SELECT e.sequence FROM events e
                    WHERE e.aggregate_type = r.aggregate_type AND e.aggregate_id = r.aggregate_id
                    ORDER BY e.sequence DESC LIMIT 1), 0) THEN 'stale'
                ELSE 'done' END) INTO verdicts
            FROM unnest(in_command_ids, in_types, in_ids, in_expected) AS r (command_id, aggregate_type, aggregate_id, expected);
        ELSE
            verdicts := array_fill('done'::text, ARRAY[cardinality(in_command_ids)]);
        END IF;

        SELECT array_agg(head), array_agg(CASE verdict WHEN 'done' THEN head - count ELSE -1 END) INTO heads, firsts
        FROM (
            SELECT verdict, count, base + sum(CASE verdict WHEN 'done' THEN count ELSE 0 END) OVER (ORDER BY n) AS head
            FROM unnest(in_counts, verdicts) WITH ORDINALITY AS r (count, verdict, n)
        ) AS placed;
        last := heads[cardinality(heads)];

        BEGIN
            IF last > base THEN
                INSERT INTO events (position, recorded_at, command_id, aggregate_type, aggregate_id, sequence,
                                    event_type, event_version, payload, metadata, body_hash, outcome)
                SELECT firsts[request] + ordinal, at_time, command_id, aggregate_type, aggregate_id, sequence,
                       event_type, event_version, payload::json, metadata::json, body_hash, outcome::json
                FROM unnest(in_requests, in_ordinals, in_event_commands, in_event_aggregates, in_event_ids, in_sequences,
                            in_event_types, in_versions, in_payloads, in_metadatas, in_event_hashes, in_event_outcomes)
                    AS e (request, ordinal, command_id, aggregate_type, aggregate_id, sequence, event_type, event_version,
                          payload, metadata, body_hash, outcome)
                WHERE firsts[request] >= 0;
            END IF;

            IF 0 = ANY (in_counts) THEN
                INSERT INTO commands
                    (command_id, body_hash, outcome, aggregate_type, aggregate_id, sequence, position, recorded_at)
                SELECT command_id, body_hash, outcome::json, aggregate_type, aggregate_id, expected, head, at_time
                FROM unnest(in_command_ids, in_hashes, in_outcomes, in_types, in_ids, in_expected, in_counts, heads, firsts)
                    AS r (command_id, body_hash, outcome, aggregate_type, aggregate_id, expected, count, head, first)
                WHERE count = 0 AND first >= 0;
            END IF;

            IF in_books IS NOT NULL THEN
                SELECT array_agg(CASE WHEN firsts[request] >= 0 THEN firsts[request] + ordinal ELSE 0 END ORDER BY n)
                INTO positions
                FROM unnest(in_requests, in_ordinals) WITH ORDINALITY AS e (request, ordinal, n);
                PERFORM ledger_post(positions, in_books, at_time);
            END IF;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            IF judged THEN
                RAISE;
            END IF;
            judged := true;
        END;
    END LOOP;

    IF last > base THEN
        UPDATE log_head SET position = last, recorded_at = at_time;
        PERFORM pg_notify('cairn_log', last::text);
    END IF;
    RETURN QUERY SELECT * FROM unnest(verdicts, heads);
END
$$;
REVOKE EXECUTE ON FUNCTION log_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_append TO cairn_app;
