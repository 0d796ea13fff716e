//! `cairn migrate`: the schema.
use serde_json::json;

use super::args::MigrateCommand;
use super::exit::{CliError, Exit};
use super::output::Output;
use crate::config::Config;
use crate::database::{Database, DatabaseError};

impl From<DatabaseError> for CliError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Sqlx(error) => error.into(),
            DatabaseError::Cluster(_) => {
                Self::new(Exit::Unavailable, "database_unavailable", error.to_string())
            }
            DatabaseError::Behind(_) => {
                Self::new(Exit::Failure, "schema_behind", error.to_string())
            }
            DatabaseError::NotEmpty(_) => {
                Self::new(Exit::Refused, "log_not_empty", error.to_string())
            }
            DatabaseError::Migrate(_) => {
                Self::new(Exit::Failure, "migration_failed", error.to_string())
            }
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: MigrateCommand,
    output: Output,
) -> Result<(), CliError> {
    let database = Database::open(config).await?;
    match command {
        MigrateCommand::Up => output.one(&json!({ "applied": database.migrate_up().await? })),
        MigrateCommand::Down { destroy } => {
            output.one(&json!({ "taken_back": database.migrate_down(destroy).await? }))
        }
        MigrateCommand::Status => {
            output.rows(&database.migrations().await?, &["version", "description", "applied"])
        }
    }
}
