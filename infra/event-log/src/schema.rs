//! The schema, and the role that the application acts as.
use sqlx::migrate::Migrator;
use sqlx::{Executor, PgConnection};

/// Every migration of Cairn, up and down.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// The role: it may read the log and the books, and write them by `log_append` only.
pub const APP_ROLE: &str = "cairn_app";

/// Makes a connection act as [`APP_ROLE`] from here on.
///
/// # Errors
/// When the role is missing (the migrations make it) or may not be taken.
pub async fn as_app(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("SET ROLE cairn_app").await.map(|_| ())
}
