//! `cairn access`: who may do what.
use cairn_identity::Role;
use serde_json::{Map, Value, json};

use super::args::AccessCommand;
use super::exit::CliError;
use super::output::Output;
use crate::auth::{Scope, table};

#[allow(clippy::needless_pass_by_value, reason = "as every command")]
pub(super) fn run(command: AccessCommand, output: Output) -> Result<(), CliError> {
    match command {
        AccessCommand::Matrix if output.is_json() => output.one(&as_json()),
        AccessCommand::Matrix => {
            output.raw(&table::matrix());
            Ok(())
        }
    }
}

fn as_json() -> Value {
    let said = |scope| match scope {
        Scope::None => "none",
        Scope::Own => "own",
        Scope::All => "all",
    };
    let row = |rule: &table::Rule| {
        let cells = Role::ALL.map(|role| (role.name().to_owned(), json!(said(rule.scope(role)))));
        (rule.operation.to_owned(), Value::Object(cells.into_iter().collect()))
    };
    let operations: Map<_, _> = table::RULES.iter().map(row).collect();
    let open =
        table::PUBLIC.iter().map(|(operation, guard)| ((*operation).to_owned(), json!(guard)));
    json!({
        "operations": operations,
        "personal": table::PERSONAL,
        "open": open.collect::<Map<_, _>>(),
        "while_suspended": table::WHILE_SUSPENDED,
    })
}
