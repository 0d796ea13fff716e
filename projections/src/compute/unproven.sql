WITH sums AS NOT MATERIALIZED (
             SELECT allocation_id, 0 AS late, unproven_seconds AS seconds, position, first_at, last_at, noted_at FROM compute_unproven
             UNION ALL
             SELECT allocation_id, 1 AS late, late_seconds AS seconds, position, first_at, last_at, noted_at FROM compute_late_usage
           ), silent AS NOT MATERIALIZED (
             SELECT l.node_id, l.since, l.until, l.why, l.proven_at FROM compute_links l
             WHERE l.why IN ('outage', 'quarantine') AND l.since IS NOT NULL AND (l.until IS NOT NULL
               OR NOT EXISTS (SELECT FROM compute_links n WHERE n.node_id = l.node_id AND n.position > l.position))
           ), began AS NOT MATERIALIZED (
             SELECT allocation_id, at FROM compute_timeline_entries WHERE entry = 'resumed'
           )
           SELECT f.place AS "place!", f.allocation_id AS "allocation_id!", f.organisation_id AS "organisation_id!", f.node_id,
             f.from_at AS "from_at!: At", f.through_at AS "through_at: At", f.seconds AS "seconds!", f.why AS "why!",
             f.proven_at AS "proven_at: At", f.outcome AS "outcome!", f.noted_at AS "noted_at: At"
           FROM (
             SELECT u.position * 2 + u.late AS place, u.allocation_id, a.organisation_id, a.node_id, u.noted_at,
               coalesce(s.since, p.last_at) AS from_at, coalesce(s.until, u.first_at) AS through_at,
               u.seconds - p.seconds - coalesce((
                 SELECT sum(w.seconds) FROM compute_late_proofs w
                 WHERE u.late = 0 AND w.allocation_id = u.allocation_id AND w.since < u.first_at AND w.until > p.last_at), 0)::bigint AS seconds,
               coalesce(s.why, 'silence') AS why, s.proven_at,
               CASE WHEN u.late = 1 THEN 'charged' WHEN EXISTS (
                 SELECT FROM finance_breaks b
                 WHERE b.break_type = 'usage_late' AND b.status IN ('open', 'proposed')
                   AND starts_with(b.reference, 'usage/' || u.allocation_id || ':')
                   AND b.occurred_at > p.last_at AND b.occurred_at <= u.first_at) THEN 'in_review' ELSE 'forgiven' END AS outcome
             FROM sums u JOIN compute_allocations a USING (allocation_id)
             CROSS JOIN LATERAL (
               SELECT b.seconds, greatest(b.last_at, (
                 SELECT max(t.at) FROM began t WHERE t.allocation_id = u.allocation_id AND t.at <= u.first_at)) AS last_at
               FROM sums b
               WHERE b.allocation_id = u.allocation_id AND b.late = u.late AND b.seconds < u.seconds
               ORDER BY b.seconds DESC LIMIT 1) p
             LEFT JOIN LATERAL (
               SELECT greatest(min(l.since), p.last_at) AS since,
                 least(max(coalesce(l.until, u.first_at)), u.first_at) AS until, max(l.proven_at) AS proven_at,
                 CASE WHEN bool_or(l.why = 'quarantine') THEN 'quarantine' ELSE 'outage' END AS why
               FROM silent l
               WHERE l.node_id = a.node_id AND l.since < u.first_at AND (l.until > p.last_at OR l.until IS NULL)
                 AND (u.late = 0 OR l.proven_at IS NOT NULL)
               HAVING count(*) > 0) s ON true
             UNION ALL
             SELECT w.position * 2, w.allocation_id, a.organisation_id, a.node_id, w.noted_at,
               greatest(w.since, a.activated_at), least(w.until, coalesce(a.stopped_at, a.release_requested_at)), w.seconds, 'outage',
               w.until, 'charged'
             FROM compute_late_proofs w JOIN compute_allocations a USING (allocation_id)
             UNION ALL
             SELECT 4611686018427387904 + a.position, a.allocation_id, a.organisation_id, a.node_id, NULL,
               o.since, NULL, ceil(extract(epoch FROM o.until - o.since))::bigint, l.why, l.proven_at, 'open'
             FROM silent l JOIN compute_allocations a USING (node_id)
             CROSS JOIN LATERAL (
               SELECT greatest(l.since, a.activated_at,
                   (SELECT max(b.last_at) FROM compute_unproven b WHERE b.allocation_id = a.allocation_id),
                   (SELECT max(t.at) FROM began t WHERE t.allocation_id = a.allocation_id)) AS since,
                 least(coalesce(a.stopped_at, a.release_requested_at), $7::timestamptz) AS until) o
             WHERE l.until IS NULL AND a.activated_at IS NOT NULL AND a.status IN ('active', 'suspending', 'releasing')
               AND o.since < o.until) f
           WHERE f.seconds > 0 AND ($1::text IS NULL OR f.organisation_id = $1) AND ($2::text IS NULL OR f.node_id = $2)
             AND ($3::timestamptz IS NULL OR f.through_at IS NULL OR f.through_at > $3)
             AND ($4::timestamptz IS NULL OR f.from_at < $4) AND f.place < $5
           ORDER BY f.place DESC LIMIT $6