//! The result for people and for programs.
#![allow(clippy::print_stdout, reason = "the output of a command-line tool")]
use comfy_table::Table;
use serde_json::{Value, json};

use crate::Failure;
use crate::measure::Cell;
use crate::rivals::Measured;

/// Aims of the design.
const AIM_POSTGRES_ES: f64 = 10.0;
const AIM_UNNEST: f64 = 0.6;

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
