-- One statement writes a batch and looks what has to be looked up for it. What is asked of each event costs less than what each
-- further statement of a batch costs, and a batch of one pays for all of them.
--
-- An array is read by subscript: `unnest` of twelve arrays keeps twelve tables of its elements.

DROP FUNCTION log_append(text[], text[], text[], bigint[], int[], bytea[], text[], int[], int[], text[], text[], text[], bigint[], text[], text[], text[], text[], bytea[], text[], int[], text[], text[], text[], text[], timestamptz[], text[], int[], smallint[], text[], text[], bigint[], int[], text[], text[], text[], timestamptz[], bigint[], bigint[], bigint[]);

-- The head's rule is looked at where the row is written, and its function is called when it is broken.
DROP TRIGGER only_grows ON log_head;
CREATE TRIGGER only_grows BEFORE UPDATE ON log_head FOR EACH ROW
    WHEN (NEW.position < OLD.position) EXECUTE FUNCTION log_head_only_grows();
ALTER TABLE log_head ENABLE ALWAYS TRIGGER only_grows;

-- Judges each request of a batch by looking it up: `done`, `known` (the command id was executed before) or `stale`.
CREATE FUNCTION log_judge(in_command_ids text[], in_types text[], in_ids text[], in_expected bigint[])
RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(CASE
        WHEN (SELECT true FROM commands c WHERE c.command_id = r.command_id) THEN 'known'
        WHEN (SELECT true FROM events e WHERE e.command_id COLLATE "C" = r.command_id AND e.outcome IS NOT NULL) THEN 'known'
        WHEN expected <> coalesce((
            SELECT e.sequence FROM events e
            WHERE e.aggregate_type = r.aggregate_type AND e.aggregate_id = r.aggregate_id
            ORDER BY e.sequence DESC LIMIT 1), 0) THEN 'stale'
        ELSE 'done' END ORDER BY n)
    FROM unnest(in_command_ids, in_types, in_ids, in_expected) WITH ORDINALITY
        AS r (command_id, aggregate_type, aggregate_id, expected, n)
$$;
REVOKE EXECUTE ON FUNCTION log_judge FROM PUBLIC;

-- The positions that a batch's events get after `in_base` when only the requests with the verdict `done` are admitted; 0 for others.
CREATE FUNCTION log_place(in_base bigint, in_verdicts text[], in_counts int[], in_requests int[], in_ordinals int[])
RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(CASE verdict WHEN 'done' THEN first + ordinal ELSE 0 END ORDER BY e.n)
    FROM unnest(in_requests, in_ordinals) WITH ORDINALITY AS e (request, ordinal, n)
    JOIN (
        SELECT n, verdict,
               in_base + sum(CASE verdict WHEN 'done' THEN count ELSE 0 END) OVER (ORDER BY n)::bigint - count AS first
        FROM unnest(in_counts, in_verdicts) WITH ORDINALITY AS r (count, verdict, n)
    ) AS placed ON placed.n = e.request
$$;
REVOKE EXECUTE ON FUNCTION log_place FROM PUBLIC;

-- Appends a batch of requests in one round trip. One lock per batch, not per command; a request that is stale or known fails alone.
--
-- Of each request: its command, its stream with the sequence it expects, how many events it has, and when it has none the hash of
-- what was asked and the outcome.
-- Of each event: the number of its request and its ordinal there, both from 1, and all that its row holds; what it shares with
-- its request is repeated, which costs less than joining. Hash and outcome stand with the last event of a request.
-- What they do to the books follows, for `ledger_post`: each journal transaction, leg and hold with the number of its event.
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

            IF cardinality(in_journal_events) + cardinality(in_hold_events) > 0 THEN
                IF places IS NULL THEN
                    SELECT array_agg(base + n ORDER BY n) INTO places FROM generate_series(1, due) AS n;
                END IF;
                PERFORM ledger_post(places, at_time,
                    in_journal_events, in_kinds, in_sources, in_source_ids, in_journal_currencies, in_occurred, in_reverses,
                    in_leg_events, in_legs, in_accounts, in_currencies, in_amounts,
                    in_hold_events, in_hold_ids, in_hold_accounts, in_hold_currencies, in_expires,
                    in_reserved, in_captured, in_released);
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
