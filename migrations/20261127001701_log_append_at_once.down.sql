DROP FUNCTION log_append(text[], text[], text[], bigint[], int[], bytea[], text[], int[], int[], text[], text[], text[], bigint[], text[], text[], text[], text[], bytea[], text[], int[], text[], text[], text[], text[], timestamptz[], text[], int[], smallint[], text[], text[], bigint[], int[], text[], text[], text[], timestamptz[], bigint[], bigint[], bigint[]);
DROP FUNCTION log_place(bigint, text[], int[], int[], int[]);
DROP FUNCTION log_judge(text[], text[], text[], bigint[]);
DROP TRIGGER only_grows ON log_head;
CREATE TRIGGER only_grows BEFORE UPDATE ON log_head FOR EACH ROW EXECUTE FUNCTION log_head_only_grows();
ALTER TABLE log_head ENABLE ALWAYS TRIGGER only_grows;

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
