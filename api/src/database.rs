//! The database of one process: the server of `DATABASE_URL`, or a private cluster under the data directory.
use std::path::Path;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_event_log::MIGRATOR;
use sqlx::migrate::Migrate as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

const NAME: &str = "cairn";
const LOOK: Duration = Duration::from_secs(1);

/// Whether the cluster had to be started again.
fn revive(cluster: &Mutex<Cluster>) -> Result<bool, cairn_cluster::ClusterError> {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    if cluster.is_running() { Ok(false) } else { cluster.restart() }
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The private cluster did not start.
    #[error("the private PostgreSQL cluster: {0}")]
    Cluster(#[from] cairn_cluster::ClusterError),
    /// The server did not answer, or refused.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    /// A migration failed.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Somebody must migrate first.
    #[error("{0} migrations are not applied: run `cairn migrate up`")]
    Behind(usize),
    /// Taking back would lose what happened.
    #[error(
        "the log is not empty, and migration {0} would be taken back with all the data it holds: say --destroy to lose it"
    )]
    NotEmpty(i64),
}

/// Where the database is; holds the private cluster while it is in use.
#[derive(Debug)]
pub struct Database {
    /// How to connect as the owner of the schema.
    pub options: PgConnectOptions,
    /// The private cluster, if that is what runs.
    pub cluster: Option<Arc<Mutex<Cluster>>>,
}

/// One migration and whether it is applied.
#[derive(Debug, serde::Serialize)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Whether the database has it.
    pub applied: bool,
}

impl Database {
    /// Finds the server, or starts or joins the private cluster.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn open(config: &Config) -> Result<Self, DatabaseError> {
        if let Some(url) = &config.database_url {
            return Ok(Self { options: PgConnectOptions::from_str(url.expose())?, cluster: None });
        }
        Self::private(&config.data).await
    }

    /// The private cluster under a data directory.
    ///
    /// # Errors
    /// [`DatabaseError::Cluster`].
    pub async fn private(data: &Path) -> Result<Self, DatabaseError> {
        let directory = data.join("postgres");
        let start = move || {
            let config = ClusterConfig { directory, durable: true, settings: vec![] };
            let cluster = Cluster::start(config)?;
            cluster.create_database(NAME)?;
            Ok::<_, cairn_cluster::ClusterError>(cluster)
        };
        let cluster = tokio::task::spawn_blocking(start)
            .await
            .map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
        let options = PgConnectOptions::from_str(&cluster.url(NAME))?;
        Ok(Self { options, cluster: Some(Arc::new(Mutex::new(cluster))) })
    }

    /// Another database of the private cluster, made when it is not there.
    ///
    /// # Errors
    /// [`DatabaseError::Cluster`]; a server of somebody else's is left as it is.
    pub async fn another(&self, name: &'static str) -> Result<Self, DatabaseError> {
        let Some(cluster) = self.cluster.clone() else {
            return Err(sqlx::Error::Configuration("there is no private cluster".into()).into());
        };
        let held = Arc::clone(&cluster);
        let make = move || {
            let cluster = held.lock().unwrap_or_else(PoisonError::into_inner);
            cluster.create_database(name)?;
            Ok::<_, cairn_cluster::ClusterError>(cluster.url(name))
        };
        let made = tokio::task::spawn_blocking(make).await;
        let url = made.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
        Ok(Self { options: PgConnectOptions::from_str(&url)?, cluster: Some(cluster) })
    }

    /// Starts the private cluster again whenever it is found stopped, until the token is cancelled. A server runs this; the server of
    /// `DATABASE_URL` is its owner's affair.
    pub async fn keep_running(cluster: Option<Arc<Mutex<Cluster>>>, stop: CancellationToken) {
        let Some(cluster) = cluster else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let held = Arc::clone(&cluster);
            match tokio::task::spawn_blocking(move || revive(&held)).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => {
                    tracing::warn!("the private cluster had stopped and was started again")
                }
                Ok(Err(error)) => tracing::error!(%error, "the private cluster does not start"),
                Err(error) => tracing::error!(%error, "the look at the private cluster failed"),
            }
        }
    }

    /// Leaves the private cluster; the last user stops it.
    pub async fn close(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self.cluster)).await;
    }

    /// One connection as the owner of the schema.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn owner(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.clone().disable_statement_logging().connect().await
    }

    /// Applies what is missing. Returns how many migrations that were.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn migrate_up(&self) -> Result<usize, DatabaseError> {
        let missing = self.migrations().await?.iter().filter(|m| !m.applied).count();
        let mut connection = self.owner().await?;
        MIGRATOR.run(&mut connection).await?;
        connection.close().await?;
        Ok(missing)
    }

    /// Takes back the newest applied migration with the data it holds, which must be nothing unless `destroy` says so. Returns
    /// its number.
    ///
    /// # Errors
    /// [`DatabaseError::NotEmpty`] when anything has happened; else what a migration said.
    pub async fn migrate_down(&self, destroy: bool) -> Result<Option<i64>, DatabaseError> {
        let applied: Vec<_> =
            self.migrations().await?.iter().filter(|m| m.applied).map(|m| m.version).collect();
        let Some((newest, rest)) = applied.split_last() else { return Ok(None) };
        let mut connection = self.owner().await?;
        if !destroy && has_events(&mut connection).await? {
            return Err(DatabaseError::NotEmpty(*newest));
        }
        MIGRATOR.undo(&mut connection, rest.last().copied().unwrap_or(0)).await?;
        connection.close().await?;
        Ok(Some(*newest))
    }

    /// Every migration.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn migrations(&self) -> Result<Vec<MigrationStatus>, DatabaseError> {
        let mut connection = self.owner().await?;
        // Whoever may not make the table may still read it.
        let kept = sqlx::query_scalar!(
            r#"SELECT to_regclass('public._sqlx_migrations') IS NOT NULL AS "kept!""#
        );
        let applied = match kept.fetch_one(&mut connection).await? {
            true => connection.list_applied_migrations().await?,
            false => vec![],
        };
        connection.close().await?;
        Ok(MIGRATOR
            .iter()
            .filter(|m| !m.migration_type.is_down_migration())
            .map(|m| MigrationStatus {
                version: m.version,
                description: m.description.to_string(),
                applied: applied.iter().any(|a| a.version == m.version),
            })
            .collect())
    }

    /// Makes the schema fit: a private cluster is migrated, a server of others must be already, unless `migrate` says so.
    ///
    /// # Errors
    /// [`DatabaseError::Behind`], or what a migration said.
    pub async fn ensure_schema(&self, migrate: bool) -> Result<(), DatabaseError> {
        if migrate || self.cluster.is_some() {
            return self.migrate_up().await.map(drop);
        }
        let missing = self.migrations().await?.iter().filter(|m| !m.applied).count();
        if missing == 0 { Ok(()) } else { Err(DatabaseError::Behind(missing)) }
    }
}

/// Whether anything has happened.
async fn has_events(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let made = sqlx::query_scalar!(r#"SELECT to_regclass('public.events') IS NOT NULL AS "made!""#);
    if !made.fetch_one(&mut *connection).await? {
        return Ok(false);
    }
    let any = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM events) AS "any!""#);
    any.fetch_one(connection).await
}
