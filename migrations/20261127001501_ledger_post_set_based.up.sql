-- The books at the price of the log: what a batch does to them comes as columns instead of JSON, and is checked set-based.
--
-- Every look into a table is a subquery by its key. A join is planned by what the table held when the session planned it: one that
-- was planned over empty books reads all of them for each row later.
--
-- A journal transaction and its legs are written by one statement, so that the triggers of both see both: no trigger per row at
-- the commit looks whether there are legs, and none reads the legs again that it has just been given.

DROP FUNCTION log_append(text[], text[], text[], bigint[], int[], bytea[], text[], int[], int[], text[], text[], text[], bigint[], text[], text[], text[], text[], bytea[], text[], json);
DROP FUNCTION ledger_post(bigint[], json, timestamptz);
DROP TRIGGER ledger_journal_has_legs ON ledger_journal_transactions;
DROP FUNCTION ledger_check_legs();

-- Few journal transactions reverse another; the others need no entry in an index of those.
ALTER TABLE ledger_journal_transactions DROP CONSTRAINT ledger_journal_one_reversal;
CREATE UNIQUE INDEX ledger_journal_one_reversal ON ledger_journal_transactions (reverses) WHERE reverses IS NOT NULL;

CREATE OR REPLACE FUNCTION ledger_check_journal() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT t.position INTO culprit FROM added t
    WHERE (SELECT true FROM events e WHERE e.position = t.position) IS NULL LIMIT 1;
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
    SELECT t.position INTO culprit FROM (SELECT effective_on, min(position) AS position FROM added GROUP BY effective_on) t
    WHERE (SELECT true FROM ledger_periods p WHERE p.status = 'open' AND p.span @> t.effective_on) IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % takes effect in no open period', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_period_open';
    END IF;
    SELECT t.position INTO culprit FROM added t
    WHERE (SELECT true FROM ledger_postings p WHERE p.position = t.position LIMIT 1) IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % has no legs', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_has_legs';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION ledger_check_postings() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = on SET enable_nestloop = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    culprit bigint;
    fault text;
    reversals bigint[];
BEGIN
    -- Legs are numbered from 1 without a gap and no number twice, so those that begin with 1 are all there will ever be.
    SELECT position, CASE
        WHEN foreign_account OR low <> high OR (transaction).currency IS DISTINCT FROM low THEN 'currency'
        WHEN first <> 1 OR last <> legs THEN 'at_once'
        ELSE 'balanced' END
    INTO culprit, fault
    FROM (
        SELECT s.*, (SELECT t FROM ledger_journal_transactions t WHERE t.position = s.position) AS transaction
        FROM (
            SELECT p.position, count(*) AS legs, min(p.leg) AS first, max(p.leg) AS last, sum(p.amount_nanos) AS total,
                   min(p.currency) AS low, max(p.currency) AS high,
                   bool_or((SELECT a.currency FROM ledger_accounts a WHERE a.code = p.account) IS DISTINCT FROM p.currency)
                       AS foreign_account
            FROM added p GROUP BY p.position
        ) AS s OFFSET 0
    ) AS whole
    WHERE foreign_account OR low <> high OR (transaction).currency IS DISTINCT FROM low
       OR first <> 1 OR last <> legs OR legs < 2 OR total <> 0
    LIMIT 1;
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

    SELECT position INTO culprit
    FROM (
        SELECT d.position, d.account AS debit, c.account AS credit,
               (SELECT t.kind FROM ledger_journal_transactions t WHERE t.position = d.position) AS kind
        FROM added d JOIN added c ON c.position = d.position
        WHERE d.amount_nanos > 0 AND c.amount_nanos < 0 OFFSET 0
    ) AS pair
    WHERE (
        SELECT true FROM ledger_kinds k
        WHERE k.kind = pair.kind AND starts_with(pair.debit, k.debit || ':') AND starts_with(pair.credit, k.credit || ':')
        LIMIT 1
    ) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % moves money between accounts that its kind may not touch', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_kind';
    END IF;

    -- Between them, a reversal and its original leave every account as it was.
    SELECT array_agg(p.position) INTO reversals FROM added p
    WHERE p.leg = 1 AND (SELECT t.reverses FROM ledger_journal_transactions t WHERE t.position = p.position) IS NOT NULL;
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
CREATE FUNCTION ledger_post(
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
            UNION ALL SELECT account FROM unnest(in_hold_accounts) AS h (account)
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
            SELECT in_positions[event], leg, account, currency, amount
            FROM unnest(in_leg_events, in_legs, in_accounts, in_currencies, in_amounts)
                AS p (event, leg, account, currency, amount)
            WHERE in_positions[event] > 0
        )
        INSERT INTO ledger_journal_transactions
            (position, kind, source, source_id, currency, occurred_at, effective_on, posted_at, reverses)
        SELECT in_positions[event], kind, source, source_id, currency, occurred_at,
               (occurred_at AT TIME ZONE 'UTC')::date, in_at, reverses
        FROM unnest(in_journal_events, in_kinds, in_sources, in_source_ids, in_journal_currencies, in_occurred, in_reverses)
            AS j (event, kind, source, source_id, currency, occurred_at, reverses)
        WHERE in_positions[event] > 0;
    END IF;

    UPDATE ledger_balances b
    SET posted_nanos = b.posted_nanos + d.posted, held_nanos = b.held_nanos + d.held, position = d.position
    FROM (
        SELECT (SELECT x.ctid FROM ledger_balances x WHERE x.account = change.account) AS place,
               sum(posted)::bigint AS posted, sum(held)::bigint AS held, max(position) AS position
        FROM (
            SELECT account, -amount AS posted, 0::bigint AS held, in_positions[event] AS position
            FROM unnest(in_leg_events, in_accounts, in_amounts) AS p (event, account, amount)
            WHERE starts_with(account, 'wallet:') AND in_positions[event] > 0
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
REVOKE EXECUTE ON FUNCTION ledger_post FROM PUBLIC;

-- Appends a batch of requests in one round trip. One lock per batch, not per command; a request that is stale or known fails alone.
--
-- Of each request: its command, its stream with the sequence it expects, how many events it has, and when it has none the hash of
-- what was asked and the outcome.
-- Of each event: the number of its request and its ordinal there, both from 1, and all that its row holds; what it shares with
-- its request is repeated, which costs less than joining. Hash and outcome stand with the last event of a request.
-- What they do to the books follows, for `ledger_post`: each journal transaction, leg and hold with the number of its event.
--
-- Mostly nothing is stale or known. So all is written at once, and the unique indexes say when it is not so: then it is rolled
-- back, each request is judged by looking it up, and those that may be written are.
-- What they cannot say is looked up before: a command that is known and made events only now or only then, and a stream that is
-- behind what a request expects.
-- Returns, by request, `done`, `known` (the command id was executed before) or `stale`, and the head of the log after it.
CREATE FUNCTION log_append(
    in_command_ids text[], in_types text[], in_ids text[], in_expected bigint[], in_counts int[],
    in_hashes bytea[], in_outcomes text[],
    in_requests int[], in_ordinals int[], in_event_commands text[], in_event_aggregates text[], in_event_ids text[],
    in_sequences bigint[], in_event_types text[], in_versions text[], in_payloads text[], in_metadatas text[],
    in_event_hashes bytea[], in_event_outcomes text[],
    in_journal_events int[], in_kinds text[], in_sources text[], in_source_ids text[], in_journal_currencies text[],
    in_occurred timestamptz[], in_reverses text[],
    in_leg_events int[], in_legs smallint[], in_accounts text[], in_currencies text[], in_amounts bigint[],
    in_hold_events int[], in_hold_ids text[], in_hold_accounts text[], in_hold_currencies text[], in_expires timestamptz[],
    in_reserved bigint[], in_captured bigint[], in_released bigint[]
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

            IF cardinality(in_journal_events) + cardinality(in_hold_events) > 0 THEN
                SELECT array_agg(CASE WHEN firsts[request] >= 0 THEN firsts[request] + ordinal ELSE 0 END ORDER BY n)
                INTO positions
                FROM unnest(in_requests, in_ordinals) WITH ORDINALITY AS e (request, ordinal, n);
                PERFORM ledger_post(positions, at_time,
                    in_journal_events, in_kinds, in_sources, in_source_ids, in_journal_currencies, in_occurred, in_reverses,
                    in_leg_events, in_legs, in_accounts, in_currencies, in_amounts,
                    in_hold_events, in_hold_ids, in_hold_accounts, in_hold_currencies, in_expires,
                    in_reserved, in_captured, in_released);
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
