//! Figures: what this server counts and measures, in the shape that Prometheus asks for.
//!
//! What happens is counted where it happens, with `metrics`. What *stands* in the database is a row of [`table::FIGURES`]: a name,
//! its labels and one query; [`watch::Watch`] asks them again and again. None has a label of a tenant.
pub mod table;
pub mod watch;

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of what takes time, in seconds. The targets of `infra/deploy/prometheus` are among them.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds of what is many.
const MANY: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Counters that are there from the beginning: an increase from nothing is none to Prometheus.
const FROM_ZERO: &[&str] = &[
    "cairn_archive_failures_total",
    "cairn_books_verification_failures_total",
    "cairn_carrier_parked_total",
    "cairn_commands_conflicts_total",
    "cairn_erasure_failures_total",
    "cairn_log_batches_failed_total",
    "cairn_log_queue_full_total",
    "cairn_reconciliation_failures_total",
    "cairn_retention_failures_total",
    "cairn_seal_blocks_total",
    "cairn_seal_failures_total",
];

/// Work that may panic and that nobody keeps up: what is kept counts itself from the beginning.
const UNKEPT: &[&str] = &["commands", "connection", "listener", "log", "reports", "request"];

/// Counts from here on; `None` when somebody else in this process counts already.
pub fn recorder() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE.get_or_init(|| install().ok()).clone()
}

fn install() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let many = Matcher::Suffix("_requests".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, SECONDS)?;
    let handle = builder.set_buckets_for_metric(many, MANY)?.install_recorder()?;
    FROM_ZERO.iter().for_each(|name| metrics::counter!(*name).absolute(0));
    for work in UNKEPT {
        metrics::counter!("cairn_panics_total", "where" => *work).absolute(0);
    }
    for policy in crate::quota::Rates::default().names() {
        metrics::counter!("cairn_rate_limited_total", "policy" => policy).absolute(0);
    }
    metrics::gauge!("cairn_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}
