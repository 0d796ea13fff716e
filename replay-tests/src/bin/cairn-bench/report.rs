//! The result for people and for programs.
#![allow(clippy::print_stdout, reason = "the output of a command-line tool")]
use cairn_replay_tests::plot::lines as lines_of;
use comfy_table::Table;
use serde::Serialize;
use serde_json::{Value, json};

use crate::ledger::Peers;
use crate::measure::Cell;
use crate::rebuild::{Length, Rebuilds};
use crate::{Failure, append, http, ledger};

/// Aims of the design for rebuilds.
const AIM_FOLDED_PER_SECOND: f64 = 400_000.0;
const AIM_SCAN: f64 = 0.5;

/// One line of the table for each cell, under its name.
type Rows<'a> = Vec<(&'a str, &'a [Cell])>;

/// What a bench has to say.
pub trait Report: Serialize {
    fn title(&self) -> &'static str;

    fn rows(&self) -> Rows<'_>;

    /// What is read as a result: shares and factors within this run, at the most callers there were.
    fn ratios(&self) -> Value;
}

pub fn print(report: &impl Report, json: bool) -> Result<(), Failure> {
    if json {
        let mut value = serde_json::to_value(report)?;
        value["ratios"] = report.ratios();
        println!("{value}");
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header(["", "callers", "per second", "p50 ms", "p99 ms", "p99.9 ms"]);
    for (name, cells) in report.rows() {
        for cell in cells {
            let ms = |ms: f64| format!("{ms:.2}");
            let per_second = format!("{:.0}", cell.per_second);
            let [p50, p99, p999] = [cell.p50_ms, cell.p99_ms, cell.p999_ms].map(ms);
            table.add_row([name.to_owned(), cell.callers.to_string(), per_second, p50, p99, p999]);
        }
    }
    println!("{table}");
    println!("{:#}", report.ratios());
    Ok(())
}

/// Rates against callers, one line for each name that has more than one cell.
pub fn plot(report: &impl Report) -> Result<String, Failure> {
    let rows = report.rows();
    let lines = rows.iter().filter(|(_, cells)| cells.len() > 1);
    #[allow(clippy::cast_precision_loss, reason = "a few hundred callers")]
    let point = |cell: &Cell| (cell.callers as f64, cell.per_second);
    let series: Vec<_> =
        lines.map(|(name, cells)| (*name, cells.iter().map(point).collect())).collect();
    lines_of(report.title(), "callers", "per second", &series, true)
}

fn rate(cell: Option<&Cell>) -> f64 {
    cell.map_or(0.0, |cell| cell.per_second)
}

fn over(ours: f64, theirs: f64) -> f64 {
    if theirs > 0.0 { (ours / theirs * 100.0).round() / 100.0 } else { 0.0 }
}

impl Report for append::Measured {
    fn title(&self) -> &'static str {
        "Commands appended"
    }

    fn rows(&self) -> Rows<'_> {
        vec![
            ("cairn: executor and log", &self.cairn),
            ("postgres-es", &self.postgres_es),
            ("INSERT of one row", &self.single_row_insert),
            ("INSERT of 256 rows by UNNEST", &self.unnest_256_insert),
            ("the same with Cairn's rows and indexes", &self.own_rows_256_insert),
        ]
    }

    fn ratios(&self) -> Value {
        let last = self.cairn.last();
        let ours = rate(last);
        let one = |cells: &[Cell]| cells.first().map_or(0.0, |cell| cell.p50_ms);
        json!({
            "callers": last.map_or(0, |cell| cell.callers),
            "to_postgres_es": over(ours, rate(self.postgres_es.last())),
            "to_single_row_insert": over(ours, rate(self.single_row_insert.last())),
            "to_unnest_256_insert": over(ours, rate(self.unnest_256_insert.first())),
            "to_own_rows_256_insert": over(ours, rate(self.own_rows_256_insert.first())),
            "p50_of_fewest_callers_to_single_row_insert": over(one(&self.cairn), one(&self.single_row_insert)),
            "aims": {
                "to_postgres_es": 12.0, "to_unnest_256_insert": 0.75,
                "p50_of_fewest_callers_to_single_row_insert": 1.3,
            },
        })
    }
}

impl Report for ledger::Measured {
    fn title(&self) -> &'static str {
        "Transfers through the books"
    }

    fn rows(&self) -> Rows<'_> {
        let peers = self.peers.iter().flat_map(|peers| {
            [
                ("cala-ledger, one per call", peers.cala_ledger.as_slice()),
                ("cala-ledger, 100 per call", peers.cala_ledger_of_100.as_slice()),
            ]
        });
        let ours: Rows<'_> = vec![
            ("an event, no books", &self.event_only),
            ("1,000 wallets, one hot account", &self.hot_1000_wallets),
            ("100 wallets, one hot account", &self.hot_100_wallets),
            ("pairs of 1,000 wallets", &self.pairs),
            ("100 wallets at once", &self.spread_100),
            ("top-ups by the wallet's own code", &self.wallet_top_ups),
            ("rows of transfers, 256 an INSERT", &self.own_rows_256_insert),
        ];
        ours.into_iter().chain(peers).collect()
    }

    fn ratios(&self) -> Value {
        let last = self.hot_1000_wallets.last();
        let event = rate(self.event_only.last());
        let peer = |of: fn(&Peers) -> &Vec<Cell>| {
            self.peers.as_ref().map_or(0.0, |peers| rate(of(peers).last()))
        };
        json!({
            "callers": last.map_or(0, |cell| cell.callers),
            "transfers_to_events": over(rate(last), event),
            "transfers_to_own_rows": over(rate(last), rate(self.own_rows_256_insert.first())),
            "pairs_to_events": over(rate(self.pairs.last()), event),
            "top_ups_to_events": over(rate(self.wallet_top_ups.last()), event),
            "transfers_to_cala_ledger": over(rate(last), peer(|peers| &peers.cala_ledger)),
            "transfers_to_cala_ledger_of_100": over(rate(last), peer(|peers| &peers.cala_ledger_of_100)),
            "wallets_per_second_when_100_at_once": (rate(self.spread_100.last()) * 100.0).round(),
            "aims": { "transfers_per_second": 50_000, "transfers_per_second_at_least": 30_000 },
        })
    }
}

impl Report for http::Measured {
    fn title(&self) -> &'static str {
        "Requests answered over HTTP"
    }

    fn rows(&self) -> Rows<'_> {
        vec![
            ("GET /v1/balance", &self.balance),
            ("GET /v1/allocations, 50 of them", &self.allocations),
            ("POST /v1/refunds of a cent", &self.refunds),
        ]
    }

    fn ratios(&self) -> Value {
        let last = self.balance.last();
        json!({
            "callers": last.map_or(0, |cell| cell.callers),
            "allocations_to_balance": over(rate(self.allocations.last()), rate(last)),
            "refunds_to_balance": over(rate(self.refunds.last()), rate(last)),
        })
    }
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
        row.extend(seconds.map(|seconds| format!("{:.0}", speed(length, seconds))));
        row.push(length.peak_memory_bytes.map_or("?".to_owned(), |b| (b >> 20).to_string()));
        table.add_row(row);
    }
    println!("{table}");
    println!("{:#}", rebuild_ratios(rebuilds));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "the length of a log")]
fn speed(length: &Length, seconds: f64) -> f64 {
    length.events as f64 / seconds.max(f64::MIN_POSITIVE)
}

/// Of the longest log.
fn rebuild_ratios(rebuilds: &Rebuilds) -> Value {
    let Some(last) = rebuilds.lengths.last() else { return Value::Null };
    let to_scan = |seconds: f64| (last.scan_seconds / seconds * 100.0).round() / 100.0;
    json!({
        "events": last.events,
        "fold_per_second": speed(last, last.fold_seconds).round(),
        "rebuild_per_second": speed(last, last.rebuild_seconds).round(),
        "fold_to_scan": to_scan(last.fold_seconds),
        "rebuild_to_scan": to_scan(last.rebuild_seconds),
        "aims": { "fold_per_second": AIM_FOLDED_PER_SECOND, "fold_to_scan": AIM_SCAN },
    })
}
