//! The result for people and for programs.
#![allow(clippy::print_stdout, reason = "the output of a command-line tool")]
use comfy_table::Table;
use serde_json::{Value, json};

use crate::Failure;
use crate::measure::Cell;
use crate::rebuild::{Length, Rebuilds};
use crate::rivals::Measured;

/// Aims of the design.
const AIM_POSTGRES_ES: f64 = 10.0;
const AIM_UNNEST: f64 = 0.6;
const AIM_FOLDED_PER_SECOND: f64 = 400_000.0;
const AIM_SCAN: f64 = 0.5;

pub fn print(measured: &Measured, json: bool) -> Result<(), Failure> {
    if json {
        let mut report = serde_json::to_value(measured)?;
        report["ratios"] = ratios(measured);
        println!("{report}");
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header(["", "callers", "per second", "p50 ms", "p99 ms"]);
    for (name, cells) in [
        ("cairn: executor and log", &measured.cairn),
        ("postgres-es", &measured.postgres_es),
        ("INSERT of one row", &measured.single_row_insert),
        ("INSERT of 256 rows by UNNEST", &measured.unnest_256_insert),
    ] {
        for cell in cells {
            table.add_row([
                name.to_owned(),
                cell.callers.to_string(),
                format!("{:.0}", cell.per_second),
                format!("{:.2}", cell.p50_ms),
                format!("{:.2}", cell.p99_ms),
            ]);
        }
    }
    println!("{table}");
    println!("{:#}", ratios(measured));
    Ok(())
}

/// Of the most callers there are.
fn ratios(measured: &Measured) -> Value {
    let rate = |cell: Option<&Cell>| cell.map_or(0.0, |cell| cell.per_second);
    let last = measured.cairn.last();
    let ours = rate(last);
    let over =
        |theirs: f64| if theirs > 0.0 { (ours / theirs * 100.0).round() / 100.0 } else { 0.0 };
    json!({
        "callers": last.map_or(0, |cell| cell.callers),
        "to_postgres_es": over(rate(measured.postgres_es.last())),
        "to_single_row_insert": over(rate(measured.single_row_insert.last())),
        "to_unnest_256_insert": over(rate(measured.unnest_256_insert.first())),
        "aims": { "to_postgres_es": AIM_POSTGRES_ES, "to_unnest_256_insert": AIM_UNNEST },
    })
}

pub fn print_rebuilds(rebuilds: &Rebuilds, json: bool) -> Result<(), Failure> {
    if json {
        let mut report = serde_json::to_value(rebuilds)?;
        report["ratios"] = rebuild_ratios(rebuilds);
        println!("{report}");
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header([
        "events",
        "rows",
        "scan s",
        "fold s",
        "rebuild s",
        "scan events/s",
        "fold events/s",
        "rebuild events/s",
        "peak memory MiB",
    ]);
    for length in &rebuilds.lengths {
        let seconds = [length.scan_seconds, length.fold_seconds, length.rebuild_seconds];
        let mut row = vec![length.events.to_string(), length.rows.to_string()];
        row.extend(seconds.map(|seconds| format!("{seconds:.2}")));
        row.extend(seconds.map(|seconds| format!("{:.0}", rate(length, seconds))));
        row.push(length.peak_memory_bytes.map_or("?".to_owned(), |b| (b >> 20).to_string()));
        table.add_row(row);
    }
    println!("{table}");
    println!("{:#}", rebuild_ratios(rebuilds));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "the length of a log")]
fn rate(length: &Length, seconds: f64) -> f64 {
    length.events as f64 / seconds.max(f64::MIN_POSITIVE)
}

/// Of the longest log.
fn rebuild_ratios(rebuilds: &Rebuilds) -> Value {
    let Some(last) = rebuilds.lengths.last() else { return Value::Null };
    let to_scan = |seconds: f64| (last.scan_seconds / seconds * 100.0).round() / 100.0;
    json!({
        "events": last.events,
        "fold_per_second": rate(last, last.fold_seconds).round(),
        "rebuild_per_second": rate(last, last.rebuild_seconds).round(),
        "fold_to_scan": to_scan(last.fold_seconds),
        "rebuild_to_scan": to_scan(last.rebuild_seconds),
        "aims": { "fold_per_second": AIM_FOLDED_PER_SECOND, "fold_to_scan": AIM_SCAN },
    })
}
