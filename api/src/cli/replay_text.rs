//! How the past looks to people: one line per thing that changed.
use cairn_commands::replay::{
    Change, NetChange, OtherDecision, TimelineEntry, TypeAgain, WhatIf, changes,
};
use cairn_projections::engine::{Cause, RowDiff, ViewAt};
use serde_json::{Value, json};

use super::exit::CliError;
use super::output::Output;

/// A value in a cell.
pub(super) fn short(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn arrow(change: &Change) -> String {
    format!("{}: {} → {}", change.path, short(&change.before), short(&change.after))
}

pub(super) fn timeline(output: Output, entries: &[TimelineEntry]) -> Result<(), CliError> {
    if output.is_json() {
        return output.rows(entries, &[]);
    }
    let row = |entry: &TimelineEntry| {
        let changes: Vec<_> = entry.changes.iter().map(arrow).collect();
        json!({
            "position": entry.position, "recorded_at": entry.recorded_at, "event": entry.event_type,
            "actor": entry.actor, "command": entry.command_id, "cause": entry.causation_id,
            "correlation": entry.correlation_id, "changed": changes.join("\n"),
        })
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let columns =
        ["position", "recorded_at", "event", "actor", "command", "cause", "correlation", "changed"];
    output.rows(&rows, &columns)
}

pub(super) fn places(output: Output, changes: &[NetChange]) -> Result<(), CliError> {
    let row = |c: &NetChange| {
        json!({
            "what": c.path, "before": short(&c.before), "after": short(&c.after),
            "by": c.event_type, "position": c.position,
        })
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    output.rows(&rows, &["what", "before", "after", "by", "position"])
}

pub(super) fn rows(output: Output, changes: &[RowDiff]) -> Result<(), CliError> {
    let row = |(row, c): (&RowDiff, &cairn_projections::engine::ColumnDiff)| {
        json!({
            "table": row.table, "key": row.key, "row": row.change, "column": c.column,
            "before": short(&c.before), "after": short(&c.after), "by": c.event_type,
            "position": c.position,
        })
    };
    let columns = changes.iter().flat_map(|change| change.columns.iter().map(move |c| (change, c)));
    let rows: Vec<_> = columns.map(row).collect();
    output.rows(&rows, &["table", "key", "row", "column", "before", "after", "by", "position"])
}

pub(super) fn why(output: Output, causes: &[Cause]) -> Result<(), CliError> {
    if output.is_json() {
        return output.rows(causes, &[]);
    }
    let row = |c: &Cause| {
        json!({
            "position": c.position, "recorded_at": c.recorded_at, "event": c.event_type,
            "actor": c.actor, "command": c.command_id, "row": c.key, "column": c.column,
            "before": short(&c.before), "after": short(&c.after),
        })
    };
    let rows: Vec<_> = causes.iter().map(row).collect();
    let columns = [
        "position",
        "recorded_at",
        "event",
        "actor",
        "command",
        "row",
        "column",
        "before",
        "after",
    ];
    output.rows(&rows, &columns)
}

pub(super) fn what_if(output: Output, found: &WhatIf) -> Result<(), CliError> {
    if output.is_json() {
        return output.one(found);
    }
    let row = |tally: &TypeAgain| {
        let not = tally.not_decided.iter().map(|(name, events)| format!("{name}: {events}"));
        json!({
            "type": tally.aggregate_type, "events": tally.events, "decided": tally.decided,
            "same": tally.same, "other": tally.other,
            "not_decided": not.collect::<Vec<_>>().join("\n"),
        })
    };
    let rows: Vec<_> = found.types.iter().map(row).collect();
    output.rows(&rows, &["type", "events", "decided", "same", "other", "not_decided"])?;
    if found.differences.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = found.differences.iter().map(other_decision).collect();
    output.rows(&rows, &["position", "stream", "command", "recorded", "today"])?;
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if shown < found.differences_found {
        output.say(&format!("these are the first {shown} of {}", found.differences_found));
    }
    Ok(())
}

/// What was recorded in one column, and how today's would differ in the other.
fn other_decision(other: &OtherDecision) -> Value {
    let types = other.recorded.iter().map(|fact| short(fact.get("type").unwrap_or(&Value::Null)));
    let today = match &other.refused {
        Some(refused) => format!("refused: {} ({})", refused.message, refused.code),
        None if other.today.is_empty() => "nothing".to_owned(),
        None => {
            let (recorded, today) = (json!(other.recorded), json!(other.today));
            changes(&recorded, &today).iter().map(arrow).collect::<Vec<_>>().join("\n")
        }
    };
    json!({
        "position": other.position,
        "stream": format!("{}/{}", other.aggregate_type, other.aggregate_id),
        "command": other.command_id, "recorded": types.collect::<Vec<_>>().join("\n"), "today": today,
    })
}

pub(super) fn view(output: Output, view: &ViewAt) -> Result<(), CliError> {
    if output.is_json() {
        return output.one(view);
    }
    for table in &view.tables {
        output.say(&format!("{} at position {}", table.table, view.position));
        let columns: Vec<_> = table.columns.iter().map(String::as_str).collect();
        output.rows(&table.rows, &columns)?;
    }
    if view.parked > 0 {
        output.say(&format!("{} events up to there are parked", view.parked));
    }
    Ok(())
}
