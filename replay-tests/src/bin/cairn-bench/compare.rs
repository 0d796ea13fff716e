//! Two builds against each other: rates of runs that took turns on one machine, cell by cell.
#![allow(clippy::print_stdout, reason = "the output of a command-line tool")]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comfy_table::Table;
use serde::Serialize;
use serde_json::Value;

use crate::{Failure, Output};

/// What to compare: `--output json` of the same bench, by both.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// A run of the build before; say it once for each run.
    #[arg(long, required = true)]
    before: Vec<PathBuf>,
    /// A run of the build after; say it once for each run.
    #[arg(long, required = true)]
    after: Vec<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What is measured, and by how many callers.
type Place = (String, u64);

/// Medians of one cell.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    what: String,
    callers: u64,
    before_per_second: f64,
    after_per_second: f64,
    ratio: f64,
}

/// Every cell that both have, and the geometric mean of their ratios.
#[derive(Debug, PartialEq, Serialize)]
struct Compared {
    rows: Vec<Row>,
    mean_ratio: f64,
}

pub fn run(args: &Compare) -> Result<(), Failure> {
    let read = |files: &[PathBuf]| files.iter().map(|file| cells(file)).collect::<Result<_, _>>();
    let (before, after): (Vec<_>, Vec<_>) = (read(&args.before)?, read(&args.after)?);
    let compared = compare(&before, &after).ok_or("they have no cell in common")?;
    if args.output == Output::Json {
        println!("{}", serde_json::to_string(&compared)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header(["", "callers", "before/s", "after/s", "ratio"]);
    for row in &compared.rows {
        let rates = [row.before_per_second, row.after_per_second].map(|rate| format!("{rate:.0}"));
        let [before, after] = rates;
        let ratio = format!("{:.2}", row.ratio);
        table.add_row([row.what.clone(), row.callers.to_string(), before, after, ratio]);
    }
    println!("{table}");
    println!("geometric mean of the ratios: {:.3}", compared.mean_ratio);
    Ok(())
}

fn cells(file: &Path) -> Result<BTreeMap<Place, f64>, Failure> {
    let named = |why: String| format!("{}: {why}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
    let run: Value = serde_json::from_str(&text).map_err(|error| named(error.to_string()))?;
    Ok(rates(&run))
}

fn rates(run: &Value) -> BTreeMap<Place, f64> {
    let mut rates = BTreeMap::new();
    for (what, cells) in run.as_object().into_iter().flatten() {
        for cell in cells.as_array().into_iter().flatten() {
            let rate = cell["callers"].as_u64().zip(cell["per_second"].as_f64());
            if let Some((callers, per_second)) = rate {
                rates.insert((what.clone(), callers), per_second);
            }
        }
    }
    rates
}

fn compare(before: &[BTreeMap<Place, f64>], after: &[BTreeMap<Place, f64>]) -> Option<Compared> {
    let rows: Vec<Row> =
        before.first()?.keys().filter_map(|place| row(place, before, after)).collect();
    #[allow(clippy::cast_precision_loss, reason = "a few dozen cells")]
    let mean = rows.iter().map(|row| row.ratio.ln()).sum::<f64>() / rows.len() as f64;
    (!rows.is_empty()).then(|| Compared { mean_ratio: mean.exp(), rows })
}

fn row(
    place: &Place,
    before: &[BTreeMap<Place, f64>],
    after: &[BTreeMap<Place, f64>],
) -> Option<Row> {
    let median = |runs: &[BTreeMap<Place, f64>]| {
        let mut rates =
            runs.iter().map(|run| run.get(place).copied()).collect::<Option<Vec<_>>>()?;
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    };
    let (before_per_second, after_per_second) = (median(before)?, median(after)?);
    let ratio = after_per_second / before_per_second;
    let (what, callers) = place.clone();
    Some(Row { what, callers, before_per_second, after_per_second, ratio })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{compare, rates};

    fn run(per_second: f64) -> serde_json::Value {
        json!({
            "books": { "unbalanced": 0 },
            "pairs": [{ "callers": 1, "per_second": 100.0 }, { "callers": 64, "per_second": per_second }],
        })
    }

    #[test]
    fn medians_are_compared_cell_by_cell() {
        let [before, after] = [[500.0, 100.0, 400.0], [100.0, 9_000.0, 200.0]]
            .map(|runs| runs.map(|per_second| rates(&run(per_second))));
        let compared = compare(&before, &after).unwrap();
        let ratios: Vec<_> = compared.rows.iter().map(|row| (row.callers, row.ratio)).collect();
        assert_eq!(ratios, [(1, 1.0), (64, 0.5)]);
        assert!((compared.mean_ratio - 0.5_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn what_only_one_has_measured_is_compared_with_nothing() {
        let before = [rates(&json!({ "pairs": [{ "callers": 1, "per_second": 1.0 }] }))];
        assert_eq!(compare(&before, &[rates(&json!({ "books": {} }))]), None);
        assert_eq!(compare(&[], &[]), None);
    }
}
