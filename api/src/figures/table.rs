//! The figures that are read from the database: one row each. A query answers rows of `text[]`, the values of the labels, and
//! `float8`. Units are base units: seconds, bytes, cores, whole units of a currency.

/// How a figure moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up only.
    Counter,
}

/// One figure.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Whether it walks a whole table, and so is asked for once a minute only.
    pub is_dear: bool,
    /// What answers it.
    pub sql: &'static str,
}

macro_rules! figures {
    ($($name:ident $kind:ident [$($label:ident)*] $cost:ident $sql:literal;)+) => {
        /// The table: name, kind, labels, `cheap` or `dear`, query.
        pub const FIGURES: &[Figure] = &[$(Figure {
            name: stringify!($name),
            kind: Kind::$kind,
            labels: &[$(stringify!($label)),*],
            is_dear: figures!(@ $cost),
            sql: $sql,
        }),+];
    };
    (@ cheap) => { false };
    (@ dear) => { true };
}

figures! {
    cairn_log_head_position Gauge [] cheap
        "SELECT '{}'::text[], position::float8 FROM log_head";
    cairn_process_lag_events Gauge [process] cheap
        "SELECT ARRAY[process], greatest((SELECT position FROM log_head) - position, 0)::float8 FROM process_checkpoints";
    cairn_process_lag_seconds Gauge [process] cheap
        "SELECT ARRAY[c.process], coalesce(greatest(extract(epoch FROM now() - e.recorded_at), 0), 0)::float8
         FROM process_checkpoints c LEFT JOIN events e ON e.position = c.position + 1";
    cairn_process_intents Gauge [process state] cheap
        "SELECT ARRAY[process, state], count(*)::float8 FROM (
           SELECT process, CASE WHEN status = 'needs_operator' OR retry_at IS NOT NULL THEN 'needs_operator'
                                WHEN status = 'leased' THEN 'leased' WHEN due_at <= now() THEN 'due' ELSE 'later' END AS state
           FROM process_intents WHERE status IN ('ready', 'leased', 'needs_operator')) AS open GROUP BY process, state
         UNION ALL SELECT ARRAY[process, 'needs_operator'], 0 FROM process_checkpoints c
         WHERE NOT EXISTS (SELECT FROM process_intents i WHERE i.process = c.process AND (i.status = 'needs_operator'
           OR i.status IN ('ready', 'leased') AND i.retry_at IS NOT NULL))";
    cairn_process_oldest_due_seconds Gauge [] cheap
        "SELECT '{}'::text[], coalesce(max(extract(epoch FROM now() - due_at)), 0)::float8 FROM process_intents
         WHERE status = 'ready' AND due_at <= now() AND retry_at IS NULL";
    cairn_webhook_inbox_deliveries Gauge [status] cheap
        "SELECT ARRAY[wanted], (SELECT count(*) FROM payments_webhook_inbox WHERE status = wanted)::float8
         FROM unnest(ARRAY['received', 'pending', 'unreadable']) AS wanted";
    cairn_webhook_inbox_oldest_seconds Gauge [] cheap
        "SELECT '{}'::text[], coalesce(max(extract(epoch FROM now() - received_at)), 0)::float8 FROM payments_webhook_inbox
         WHERE status IN ('received', 'pending')";
    cairn_nodes Gauge [lifecycle link] cheap
        "SELECT ARRAY[lifecycle, link], count(*)::float8 FROM fleet_nodes WHERE lifecycle <> 'retired' GROUP BY lifecycle, link
         UNION ALL SELECT ARRAY['ready', 'offline'], 0
         WHERE NOT EXISTS (SELECT FROM fleet_nodes WHERE lifecycle = 'ready' AND link = 'offline')";
    cairn_nodes_drifted Gauge [] cheap
        "SELECT '{}'::text[], count(*)::float8 FROM fleet_nodes
         WHERE lifecycle <> 'retired' AND missing_on_node + left_on_node + differs > 0";
    cairn_nodes_unwell Gauge [] cheap
        "SELECT '{}'::text[], count(*)::float8 FROM fleet_nodes WHERE lifecycle = 'ready' AND health <> 'ok'";
    cairn_fleet_cpu_cores Gauge [part] cheap
        "SELECT ARRAY['capacity'], coalesce(sum(cpu_millis), 0)::float8 / 1000 FROM fleet_nodes WHERE lifecycle = 'ready'
         UNION ALL SELECT ARRAY['reserved'], coalesce(sum(cpu_millis), 0)::float8 / 1000 FROM fleet_reservations";
    cairn_fleet_memory_bytes Gauge [part] cheap
        "SELECT ARRAY['capacity'], coalesce(sum(memory_bytes), 0)::float8 FROM fleet_nodes WHERE lifecycle = 'ready'
         UNION ALL SELECT ARRAY['reserved'], coalesce(sum(memory_bytes), 0)::float8 FROM fleet_reservations";
    cairn_allocations Gauge [status] dear
        "SELECT ARRAY[status], count(*)::float8 FROM compute_allocations GROUP BY status
         UNION ALL SELECT ARRAY['active'], 0 WHERE NOT EXISTS (SELECT FROM compute_allocations WHERE status = 'active')";
    cairn_usage_unproven_seconds_total Counter [] dear
        "SELECT '{}'::text[], coalesce(sum(unproven_seconds), 0)::float8 FROM compute_allocations";
    cairn_usage_rejected_total Counter [reason] dear
        "SELECT ARRAY[known], (SELECT count(*) FROM fleet_rejected_evidence WHERE reason = known)::float8
         FROM unnest(ARRAY['contradicts', 'goes_backward', 'in_the_future']) AS known";
    cairn_payments Gauge [status] dear
        "SELECT ARRAY[status], count(*)::float8 FROM payments_payments GROUP BY status
         UNION ALL SELECT ARRAY['succeeded'], 0 WHERE NOT EXISTS (SELECT FROM payments_payments WHERE status = 'succeeded')";
    cairn_refunds Gauge [status] dear
        "SELECT ARRAY[status], count(*)::float8 FROM payments_refunds GROUP BY status
         UNION ALL SELECT ARRAY['succeeded'], 0 WHERE NOT EXISTS (SELECT FROM payments_refunds WHERE status = 'succeeded')";
    cairn_wallet_amount Gauge [currency part] dear
        "SELECT ARRAY[currency, part], sum(CASE part WHEN 'posted' THEN posted_nanos ELSE held_nanos END)::float8 / 1e9
         FROM ledger_balances, unnest(ARRAY['posted', 'held']) AS part GROUP BY currency, part
         UNION ALL SELECT ARRAY['USD', 'posted'], 0 WHERE NOT EXISTS (SELECT FROM ledger_balances WHERE currency = 'USD')";
    cairn_wallets Gauge [stage] dear
        "SELECT ARRAY[dunning_stage], count(*)::float8 FROM ledger_wallets GROUP BY dunning_stage
         UNION ALL SELECT ARRAY['suspended'], 0 WHERE NOT EXISTS (SELECT FROM ledger_wallets WHERE dunning_stage = 'suspended')";
    cairn_auto_top_ups Gauge [standing] dear
        "SELECT ARRAY[standing], (SELECT count(*) FROM process_states p WHERE p.process = 'fill_wallet' AND (
             SELECT e.event_type FROM events e WHERE e.aggregate_type = 'auto_top_up' AND e.aggregate_id = p.key
             ORDER BY e.sequence DESC LIMIT 1) = 'auto_top_up.' || standing)::float8
         FROM unnest(ARRAY['declined', 'suspended', 'stopped']) AS standing";
    cairn_ledger_broken_invariants Gauge [invariant] dear
        "SELECT ARRAY['transactions_balance'], count(*)::float8 FROM (
           SELECT position FROM ledger_postings WHERE position > (SELECT position FROM log_head) - 10000
           GROUP BY position HAVING sum(amount_nanos) <> 0) AS broken
         UNION ALL
         SELECT ARRAY['holds_match'], count(*)::float8 FROM ledger_balances b
         WHERE b.position > (SELECT position FROM log_head) - 10000 AND b.held_nanos <> (
           SELECT coalesce(sum(reserved_nanos - captured_nanos - released_nanos), 0) FROM ledger_holds h WHERE h.account = b.account)
         UNION ALL
         SELECT ARRAY['no_overdraft'], count(*)::float8 FROM ledger_balances WHERE posted_nanos - held_nanos < floor_nanos";
    cairn_finance_open_breaks Gauge [owner] cheap
        "SELECT ARRAY[taken], (SELECT count(*) FROM finance_breaks WHERE status IN ('open', 'proposed')
           AND (owner IS NULL) = (taken = 'none'))::float8 FROM unnest(ARRAY['none', 'somebody']) AS taken";
    cairn_database_size_bytes Gauge [] dear
        "SELECT '{}'::text[], pg_database_size(current_database())::float8";
    cairn_database_connections Gauge [state] cheap
        "SELECT ARRAY[state], sessions::float8 FROM figures_sessions()
         UNION ALL SELECT ARRAY['asking'], 1";
    cairn_database_connections_max Gauge [] cheap
        "SELECT '{}'::text[], current_setting('max_connections')::float8";
    cairn_database_waiting_sessions Gauge [] cheap
        "SELECT '{}'::text[], coalesce(sum(waiting), 0)::float8 FROM figures_sessions()";
    cairn_database_longest_transaction_seconds Gauge [] cheap
        "SELECT '{}'::text[], coalesce(max(oldest_seconds), 0)::float8 FROM figures_sessions()";
    cairn_database_transactions_total Counter [outcome] cheap
        "SELECT ARRAY[outcome], CASE outcome WHEN 'commit' THEN xact_commit ELSE xact_rollback END::float8
         FROM pg_stat_database, unnest(ARRAY['commit', 'rollback']) AS outcome WHERE datname = current_database()";
    cairn_database_blocks_total Counter [source] cheap
        "SELECT ARRAY[source], CASE source WHEN 'cache' THEN blks_hit ELSE blks_read END::float8
         FROM pg_stat_database, unnest(ARRAY['cache', 'disk']) AS source WHERE datname = current_database()";
    cairn_database_deadlocks_total Counter [] cheap
        "SELECT '{}'::text[], deadlocks::float8 FROM pg_stat_database WHERE datname = current_database()";
}
