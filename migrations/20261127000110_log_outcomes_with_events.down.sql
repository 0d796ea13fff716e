DROP FUNCTION log_append(text[], text[], text[], bigint[], int[], bytea[], text[], int[], int[], text[], text[], text[], bigint[], text[], text[], text[], text[], bytea[], text[], json);

INSERT INTO commands (command_id, body_hash, outcome, aggregate_type, aggregate_id, sequence, position, recorded_at)
SELECT command_id, body_hash, outcome, aggregate_type, aggregate_id, sequence, position, recorded_at
FROM events WHERE outcome IS NOT NULL;
ALTER TABLE events DROP COLUMN body_hash, DROP COLUMN outcome;

CREATE FUNCTION log_append(
    in_command_ids text[], in_body_hashes bytea[], in_types text[], in_ids text[], in_expected bigint[], in_counts int[],
    in_outcomes text[],
    in_requests int[], in_ordinals int[], in_event_commands text[], in_event_aggregates text[], in_event_ids text[],
    in_sequences bigint[], in_event_types text[], in_versions text[], in_payloads text[], in_metadatas text[],
    in_books json
) RETURNS TABLE (verdict text, head bigint) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    base bigint;
    last bigint;
    at_time timestamptz;
    verdicts text[];
    heads bigint[];
    -- Position before the first event of each request; null when it is not admitted.
    firsts bigint[];
    positions bigint[];
BEGIN
    SELECT position, greatest(clock_timestamp(), recorded_at) INTO base, at_time FROM log_head FOR UPDATE;

    -- Judged first, and placed after: put together, the planner would look everything up twice.
    SELECT array_agg(CASE
        WHEN (SELECT true FROM commands c WHERE c.command_id = r.command_id) THEN 'known'
        WHEN expected <> coalesce((
            SELECT e.sequence FROM events e
            WHERE e.aggregate_type = r.aggregate_type AND e.aggregate_id = r.aggregate_id
            ORDER BY e.sequence DESC LIMIT 1), 0) THEN 'stale'
        ELSE 'done' END) INTO verdicts
    FROM unnest(in_command_ids, in_types, in_ids, in_expected) AS r (command_id, aggregate_type, aggregate_id, expected);

    SELECT array_agg(head), array_agg(CASE verdict WHEN 'done' THEN head - count END) INTO heads, firsts
    FROM (
        SELECT verdict, count, base + sum(CASE verdict WHEN 'done' THEN count ELSE 0 END) OVER (ORDER BY n) AS head
        FROM unnest(in_counts, verdicts) WITH ORDINALITY AS r (count, verdict, n)
    ) AS placed;
    last := heads[cardinality(heads)];

    IF last > base THEN
        INSERT INTO events (position, recorded_at, command_id, aggregate_type, aggregate_id, sequence,
                            event_type, event_version, payload, metadata)
        SELECT firsts[request] + ordinal, at_time, command_id, aggregate_type, aggregate_id, sequence,
               event_type, version, payload::json, metadata::json
        FROM unnest(in_requests, in_ordinals, in_event_commands, in_event_aggregates, in_event_ids, in_sequences,
                    in_event_types, in_versions, in_payloads, in_metadatas)
            AS e (request, ordinal, command_id, aggregate_type, aggregate_id, sequence, event_type, version, payload, metadata)
        WHERE firsts[request] IS NOT NULL;
    END IF;

    INSERT INTO commands (command_id, body_hash, outcome, aggregate_type, aggregate_id, sequence, position, recorded_at)
    SELECT command_id, body_hash, outcome::json, aggregate_type, aggregate_id, expected + count, head, at_time
    FROM unnest(in_command_ids, in_body_hashes, in_outcomes, in_types, in_ids, in_expected, in_counts, heads, verdicts)
        AS r (command_id, body_hash, outcome, aggregate_type, aggregate_id, expected, count, head, verdict)
    WHERE verdict = 'done';

    IF in_books IS NOT NULL THEN
        SELECT array_agg(coalesce(firsts[request] + ordinal, 0) ORDER BY n) INTO positions
        FROM unnest(in_requests, in_ordinals) WITH ORDINALITY AS e (request, ordinal, n);
        PERFORM ledger_post(positions, in_books, at_time);
    END IF;

    IF last > base THEN
        UPDATE log_head SET position = last, recorded_at = at_time;
        PERFORM pg_notify('cairn_log', last::text);
    END IF;
    RETURN QUERY SELECT * FROM unnest(verdicts, heads);
END
$$;
ALTER FUNCTION log_append SECURITY DEFINER SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION log_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_append TO cairn_app;
