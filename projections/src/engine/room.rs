//! Where a generation of a view's rows lives. Tables have the same names in every room; the search path of a transaction
//! says which are meant, so the same `project` and the same checkpoint serve all of them.
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

/// Where a generation lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// What is read.
    Live,
    /// What is being built beside it.
    Building,
    /// What was read before, and goes on following the log.
    Kept,
}

impl Room {
    /// Name of its schema.
    pub(crate) const fn schema(self) -> &'static str {
        match self {
            Self::Live => "public",
            Self::Building => "view_building",
            Self::Kept => "view_kept",
        }
    }

    /// How `projection_generations` calls it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Building => "building",
            Self::Kept => "kept",
        }
    }
}

/// A transaction in which unqualified names mean the tables of a room.
pub(crate) async fn begin(
    pool: &PgPool,
    room: Room,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    if room != Room::Live {
        enter_in_tx(&mut tx, room).await?;
    }
    Ok(tx)
}

/// From here on, unqualified names mean the tables of a room.
pub(crate) async fn enter_in_tx(db: &mut PgConnection, room: Room) -> Result<(), sqlx::Error> {
    let path = match room {
        Room::Live => room.schema().to_owned(),
        _ => format!("{}, {}", room.schema(), Room::Live.schema()),
    };
    let enter =
        sqlx::query_scalar!(r#"SELECT set_config('search_path', $1, true) AS "path!""#, path);
    enter.fetch_one(db).await.map(drop)
}

/// Long work that must not be cut short by what limits a request.
pub(crate) async fn be_patient_in_tx(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"SELECT set_config('statement_timeout', '0', true) AS "statement!",
             set_config('idle_in_transaction_session_timeout', '0', true) AS "idle!",
             set_config('synchronous_commit', 'off', true) AS "commit!""#
    )
    .fetch_one(db)
    .await
    .map(drop)
}
