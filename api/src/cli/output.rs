//! The only place that writes to stdout and stderr: data on the one, talk on the other. Personal data is opened here: whoever has the
//! machine has its keys.
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use cairn_commands::Personal;
use cairn_core::personal::SEALED;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::exit::CliError;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
}

/// What opens the personal data of this process's one command, as soon as it has a database.
static KEYS: OnceLock<Personal> = OnceLock::new();

/// From now on personal data is shown.
pub(super) fn opens(personal: &Personal) {
    let _ = KEYS.set(personal.clone());
}

/// Opens what is sealed. What is erased reads as `erased`.
fn opened(mut value: Value) -> Result<Value, CliError> {
    let Some(personal) = KEYS.get() else { return Ok(value) };
    tokio::task::block_in_place(|| {
        let opening = personal.open_in(&mut value, None);
        tokio::runtime::Handle::current().block_on(opening)
    })?;
    Ok(value)
}

/// Prints one command's data and talk.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// In a format.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether a program reads the data.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether a progress bar has somebody to look at it.
    #[must_use]
    pub fn shows_progress(self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Prints a list: as a table of these members, or whole as JSON.
    ///
    /// # Errors
    /// When a row cannot be serialised.
    pub fn rows<T: Serialize>(self, rows: &[T], columns: &[&str]) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.json(&rows),
            Format::Table => {
                let mut table = new_table();
                table.set_header(columns.iter().map(|column| title(column)));
                for row in rows {
                    let row = opened(serde_json::to_value(row)?)?;
                    table.add_row(columns.iter().map(|column| cell(row.get(column))));
                }
                self.data(&table.to_string());
                Ok(())
            }
        }
    }

    /// Prints one thing: as a table of members and values, with a table for each list in it, or as JSON.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn one<T: Serialize>(self, thing: &T) -> Result<(), CliError> {
        if self.is_json() {
            return self.json(thing);
        }
        let (mut table, mut lists) = (new_table(), vec![]);
        if let Value::Object(members) = opened(serde_json::to_value(thing)?)? {
            for (name, value) in members {
                match value {
                    Value::Object(inner) if !is_money(&inner) => {
                        for (part, value) in inner {
                            table.add_row([title(&format!("{name} {part}")), cell(Some(&value))]);
                        }
                    }
                    Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                        lists.push((name, items));
                    }
                    value => drop(table.add_row([title(&name), cell(Some(&value))])),
                }
            }
        }
        self.data(&table.to_string());
        for (name, items) in lists {
            let columns = members_of(&items);
            self.data(&format!("\n{}", title(&name)));
            self.rows(&items, &columns.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Whether data goes to somebody's screen.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Where a document of its own format (CSV, a journal) goes as it is made.
    pub fn stream(self) -> impl Write + Send {
        std::io::BufWriter::new(std::io::stdout())
    }

    /// Prints a document of its own format as it is.
    pub fn raw(self, text: &str) {
        self.data(text.trim_end_matches('\n'));
    }

    /// Prints one line of JSON, whatever the format.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn json_line<T: Serialize>(self, thing: &T) -> Result<(), CliError> {
        let text = serde_json::to_string(thing)?;
        self.data(&if text.contains(SEALED) {
            serde_json::to_string(&opened(serde_json::from_str(&text)?)?)?
        } else {
            text
        });
        Ok(())
    }

    /// Says something to people.
    pub fn say(self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Says why the command failed.
    pub fn fail(self, error: &CliError) {
        match self.format {
            Format::Table => self.say(&format!("error: {error}")),
            Format::Json => {
                let error = serde_json::json!({
                    "error": { "code": error.code, "message": error.message, "exit": error.exit }
                });
                self.say(&error.to_string());
            }
        }
    }

    fn json<T: Serialize>(self, thing: &T) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(thing)?;
        self.data(&if text.contains(SEALED) {
            serde_json::to_string_pretty(&opened(serde_json::from_str(&text)?)?)?
        } else {
            text
        });
        Ok(())
    }

    /// A reader that closed the pipe has seen enough: that is no error.
    fn data(self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    // Where nobody looks, nothing is wrapped.
    if let Some((width, _)) = terminal_size::terminal_size_of(std::io::stdout()) {
        table.set_width(width.0);
    }
    table
}

fn title(name: &str) -> String {
    name.replace('_', " ")
}

/// Names of all members of some objects, in the order they first appear.
fn members_of(items: &[Value]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for name in items.iter().filter_map(Value::as_object).flat_map(|members| members.keys()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(members)) if is_money(members) => {
            format!("{} {}", cell(members.get("amount")), cell(members.get("currency")))
        }
        Some(Value::Object(members)) => {
            let said = members
                .iter()
                .map(|(name, value)| format!("{} {}", title(name), cell(Some(value))));
            said.collect::<Vec<_>>().join(", ")
        }
        Some(Value::Array(items)) => {
            items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

fn is_money(members: &serde_json::Map<String, Value>) -> bool {
    members.len() == 2 && members.contains_key("amount") && members.contains_key("currency")
}
