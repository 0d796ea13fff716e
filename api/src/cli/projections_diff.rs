//! `cairn projections diff`: a live view held against another generation of it, or against what this program folds.
use cairn_commands::replay;
use cairn_event_log::EventLog;
use cairn_projections::engine::{Against, ColumnChange, DifferentRow, Side};
use cairn_projections::{EngineError, Projector};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::nearest::did_you_mean;
use super::output::Output;
use super::projections_args::{Beside, DiffViewArgs};
use super::replay_text::short;

pub(super) async fn run(
    (log, views): (&EventLog, &Projector),
    args: DiffViewArgs,
    output: Output,
) -> Result<(), CliError> {
    let DiffViewArgs { name, against, limit } = args;
    known(views, &name)?;
    let against = match against {
        Beside::Rows(against) => against,
        Beside::Folded(at) => Against::Position(replay::position(log, at).await?),
    };
    let found = views.compare(&name, against, i64::from(limit)).await?;
    if output.is_json() {
        output.one(&found)?;
    } else {
        output.say(&format!("{}; {}", side(&found.live), side(&found.against)));
        let columns = found.rows.iter().flat_map(|row| row.columns.iter().map(move |c| (row, c)));
        let rows: Vec<_> = columns.map(|(row, column)| line(row, column)).collect();
        let header = ["table", "key", "row", "column", "against", "live", "by", "position"];
        output.rows(&rows, &header)?;
        if found.rows.iter().any(|row| row.by.is_some() && !row.parted) {
            output.say(
                "(first) is the first event of a row that this program never folded to either side",
            );
        }
    }
    if found.differing == 0 {
        return Ok(());
    }
    let shown = u64::try_from(found.rows.len()).unwrap_or(u64::MAX);
    let shown =
        if shown < found.differing { format!(", {shown} are shown") } else { String::new() };
    let message = format!("{name} differs in {} of its rows{shown}", found.differing);
    Err(CliError::new(Exit::Differs, "projection_differs", message))
}

fn side(side: &Side) -> String {
    format!("{}: version {} at position {}", side.rows, side.version, side.position)
}

fn line(row: &DifferentRow, column: &ColumnChange) -> Value {
    let by = row.by.as_ref().map(|event| {
        let first = if row.parted { "" } else { " (first)" };
        format!("{}{first}", event.event_type)
    });
    json!({
        "table": row.table, "key": row.key, "row": row.change, "column": column.column,
        "against": short(&column.before), "live": short(&column.after),
        "by": by.unwrap_or_else(|| "no event".to_owned()),
        "position": row.by.as_ref().map(|event| event.position),
    })
}

/// An error that says which views there are, when this is none.
pub(super) fn known(views: &Projector, view: &str) -> Result<(), CliError> {
    let names = views.names();
    if names.contains(&view) {
        return Ok(());
    }
    let meant = match did_you_mean(view, names.iter().copied()) {
        none if none.is_empty() => format!("; there are {}", names.join(", ")),
        meant => meant,
    };
    let unknown = EngineError::Unknown(view.to_owned());
    Err(CliError::new(Exit::NotFound, "unknown_projection", format!("{unknown}{meant}")))
}
