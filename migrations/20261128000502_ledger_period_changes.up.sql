-- A month of the books is closed and reopened by an event: what it does to the periods is applied by the append that writes it, as what it
-- posts is. So periods are a function of the log, in its order.

-- Of the event that closed or reopened it last; none when a period is as the books began.
ALTER TABLE ledger_periods ADD COLUMN position bigint;

-- A fact may become known when the period it belongs to is closed. It happened, so it is posted: on the first open day after it.
-- `occurred_at` keeps saying when it happened. Only late facts pay for the look.
CREATE OR REPLACE FUNCTION ledger_place_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_periods p
        WHERE p.status = 'closed' AND p.span @> NEW.effective_on AND NEW.position > coalesce(p.position, 0)
    ) THEN
        NEW.effective_on := coalesce(
            (SELECT min(lower(p.span)) FROM ledger_periods p WHERE p.status = 'open' AND lower(p.span) > NEW.effective_on),
            NEW.effective_on);
    END IF;
    RETURN NEW;
END
$$;

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
    -- What stands in the log before the event that closed a period is not late.
    SELECT t.position INTO culprit
    FROM (SELECT effective_on, min(position) AS position, max(position) AS last FROM added GROUP BY effective_on) t
    WHERE (SELECT true FROM ledger_periods p
           WHERE p.span @> t.effective_on AND (p.status = 'open' OR t.last < p.position)) IS NULL LIMIT 1;
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

-- Closes or opens the month that begins on this day. Whoever calls it holds the lock of the head.
CREATE FUNCTION ledger_change_period(in_position bigint, in_at timestamptz, in_first date, in_closed boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month daterange := daterange(in_first, (in_first + interval '1 month')::date);
    whole ledger_periods;
BEGIN
    -- It was not admitted.
    IF in_position = 0 THEN
        RETURN;
    END IF;
    IF in_closed AND upper(month) > (in_at AT TIME ZONE 'UTC')::date THEN
        RAISE EXCEPTION 'the month from % is not over', in_first
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_periods_over';
    END IF;
    SELECT * INTO whole FROM ledger_periods p WHERE p.span @> month;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the month from % lies in no period', in_first
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_periods_whole';
    END IF;
    IF whole.span <> month THEN
        DELETE FROM ledger_periods p WHERE p.span = whole.span;
        INSERT INTO ledger_periods (span, status, position)
        SELECT rest, whole.status, whole.position
        FROM unnest(ARRAY[daterange(lower(whole.span), lower(month)), daterange(upper(month), upper(whole.span))]) AS rest
        WHERE NOT isempty(rest);
        INSERT INTO ledger_periods (span, status) VALUES (month, 'open');
    END IF;
    UPDATE ledger_periods p
    SET status = CASE WHEN in_closed THEN 'closed' ELSE 'open' END, position = in_position
    WHERE p.span = month;
END
$$;
REVOKE EXECUTE ON FUNCTION ledger_change_period FROM PUBLIC;

-- A month is closed with the balances that were counted: nothing that takes effect by its end was posted between the count and the close.
CREATE FUNCTION ledger_check_counted(in_position bigint, in_first date, in_counted bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT t.position INTO culprit FROM ledger_journal_transactions t
    WHERE t.position > in_counted AND t.position < in_position AND t.effective_on < in_first + interval '1 month' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % was not counted when the month from % was closed', culprit, in_first
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_periods_counted';
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION ledger_check_counted FROM PUBLIC;

DROP FUNCTION log_append(text[], text[], text[], bigint[], int[], bytea[], text[], int[], int[], text[], text[], text[], bigint[], text[], text[], text[], text[], bytea[], text[], int[], text[], text[], text[], text[], timestamptz[], text[], int[], smallint[], text[], text[], bigint[], int[], text[], text[], text[], timestamptz[], bigint[], bigint[], bigint[]);

-- Appends a batch of requests in one round trip. One lock per batch, not per command; a request that is stale or known fails alone.
--
-- Of each request: its command, its stream with the sequence it expects, how many events it has, and when it has none the hash of
-- what was asked and the outcome.
-- Of each event: the number of its request and its ordinal there, both from 1, and all that its row holds; what it shares with
-- its request is repeated, which costs less than joining. Hash and outcome stand with the last event of a request.
-- What they do to the books follows, for `ledger_post`: each journal transaction, leg and hold with the number of its event;
-- and what they do to periods: the first day of a month, whether it is closed, and up to where its balances were counted.
--
-- Mostly nothing is stale or known. So all is written at once, and the unique indexes say when it is not so; what they cannot say is
-- looked up with the first event of each request: a command that is known and made no events then, and a stream that is behind what is
-- expected. Then all is rolled back, each request is judged, and those that may be written are.
-- Returns the head of the log before the batch and a verdict for each request; no verdicts when all are `done`.
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
    in_reserved bigint[], in_captured bigint[], in_released bigint[],
    in_period_events int[], in_months date[], in_closed boolean[], in_counted bigint[],
    OUT base bigint, OUT verdicts text[]
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    at_time timestamptz;
    due bigint := cardinality(in_requests);
    written bigint;
    -- Of each event, once requests are judged.
    places bigint[];
BEGIN
    SELECT position, greatest(clock_timestamp(), recorded_at) INTO base, at_time FROM log_head FOR UPDATE;

    IF 0 = ANY (in_counts) THEN
        IF EXISTS (
            SELECT FROM unnest(in_command_ids, in_types, in_ids, in_expected, in_counts)
                AS r (command_id, aggregate_type, aggregate_id, expected, count)
            WHERE count = 0 AND (
                (SELECT true FROM events e WHERE e.command_id COLLATE "C" = r.command_id AND e.outcome IS NOT NULL)
                OR CASE WHEN expected > 0 THEN (
                    SELECT true FROM events e
                    WHERE e.aggregate_type = r.aggregate_type AND e.aggregate_id = r.aggregate_id AND e.sequence = expected
                ) ELSE true END IS NULL)
        ) THEN
            verdicts := log_judge(in_command_ids, in_types, in_ids, in_expected);
        END IF;
    END IF;
    LOOP
        IF verdicts IS NOT NULL THEN
            places := log_place(base, verdicts, in_counts, in_requests, in_ordinals);
            due := cardinality(array_remove(places, 0::bigint));
        END IF;
        BEGIN
            IF due > 0 THEN
                INSERT INTO events (position, recorded_at, command_id, aggregate_type, aggregate_id, sequence,
                                    event_type, event_version, payload, metadata, body_hash, outcome)
                SELECT coalesce(places[n], base + n), at_time, in_event_commands[n], in_event_aggregates[n], in_event_ids[n],
                       in_sequences[n], in_event_types[n], in_versions[n], in_payloads[n]::json, in_metadatas[n]::json,
                       in_event_hashes[n], in_event_outcomes[n]::json
                FROM generate_series(1, cardinality(in_requests)) AS n
                WHERE CASE WHEN verdicts IS NOT NULL THEN places[n] > 0 WHEN in_ordinals[n] > 1 THEN true ELSE
                    (SELECT true FROM commands c WHERE c.command_id = in_event_commands[n]) IS NULL
                    AND CASE WHEN in_sequences[n] = 1 THEN true ELSE (
                        SELECT true FROM events e
                        WHERE e.aggregate_type = in_event_aggregates[n] AND e.aggregate_id = in_event_ids[n]
                          AND e.sequence = in_sequences[n] - 1) END
                    END;
                GET DIAGNOSTICS written = ROW_COUNT;
                IF written <> due THEN
                    RAISE unique_violation;
                END IF;
            END IF;

            IF 0 = ANY (in_counts) THEN
                INSERT INTO commands
                    (command_id, body_hash, outcome, aggregate_type, aggregate_id, sequence, position, recorded_at)
                SELECT command_id, body_hash, outcome::json, aggregate_type, aggregate_id, expected, head, at_time
                FROM (
                    SELECT r.*, base + sum(CASE coalesce(verdict, 'done') WHEN 'done' THEN count ELSE 0 END) OVER (ORDER BY n) AS head
                    FROM unnest(in_command_ids, in_hashes, in_outcomes, in_types, in_ids, in_expected, in_counts, verdicts)
                        WITH ORDINALITY
                        AS r (command_id, body_hash, outcome, aggregate_type, aggregate_id, expected, count, verdict, n)
                ) AS placed
                WHERE count = 0 AND coalesce(verdict, 'done') = 'done';
            END IF;

            IF cardinality(in_journal_events) + cardinality(in_hold_events) + cardinality(in_period_events) > 0 THEN
                IF places IS NULL THEN
                    SELECT array_agg(base + n ORDER BY n) INTO places FROM generate_series(1, due) AS n;
                END IF;
                -- First, so that what follows a close in this very batch is late.
                FOR change IN 1..cardinality(in_period_events) LOOP
                    PERFORM ledger_change_period(
                        places[in_period_events[change]], at_time, in_months[change], in_closed[change]);
                END LOOP;
                IF cardinality(in_journal_events) + cardinality(in_hold_events) > 0 THEN
                    PERFORM ledger_post(places, at_time,
                        in_journal_events, in_kinds, in_sources, in_source_ids, in_journal_currencies, in_occurred, in_reverses,
                        in_leg_events, in_legs, in_accounts, in_currencies, in_amounts,
                        in_hold_events, in_hold_ids, in_hold_accounts, in_hold_currencies, in_expires,
                        in_reserved, in_captured, in_released);
                END IF;
                FOR change IN 1..cardinality(in_period_events) LOOP
                    IF in_closed[change] THEN
                        PERFORM ledger_check_counted(
                            places[in_period_events[change]], in_months[change], in_counted[change]);
                    END IF;
                END LOOP;
            END IF;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            IF verdicts IS NOT NULL THEN
                RAISE;
            END IF;
            verdicts := log_judge(in_command_ids, in_types, in_ids, in_expected);
        END;
    END LOOP;

    IF due > 0 THEN
        UPDATE log_head SET position = base + due, recorded_at = at_time;
        PERFORM pg_notify('cairn_log', (base + due)::text);
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION log_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_append TO cairn_app;
