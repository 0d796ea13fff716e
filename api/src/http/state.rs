//! What every handler reaches.
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cairn_commands::Commands;
use cairn_commands::ports::{PaymentPort, WebhookPort};
use cairn_commands::rehearsal::Rehearsals;
use cairn_oidc::Provider;
use cairn_privacy::SubjectKeys;
use cairn_projections::{Projector, Tenancy, WaitError};
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::edge::conditions::Version;
use super::edge::headers::Origins;
use super::fleet::Enrolments;
use super::flight::InFlight;
use super::limits::Limits;
use crate::auth::password::Passwords;
use crate::auth::{Directory, Mode};
use crate::erasure::Promises;
use crate::features::Features;
use crate::live::Hub;
use crate::problem::Problem;
use crate::quota::Quotas;
use crate::reconciliation::Reconciliation;
use crate::reports::Reports;
use crate::traces::Traces;
use crate::verification::Verification;

/// The parts of the API.
pub struct Parts {
    /// What acts.
    pub commands: Commands,
    /// What finds out what would happen.
    pub rehearsals: Rehearsals,
    /// What is seen.
    pub views: Views,
    /// Who may ask.
    pub directory: Directory,
    /// Hashes and compares passwords.
    pub passwords: Passwords,
    /// The master key, which marks what is given out and comes back.
    pub master: Arc<SubjectKeys>,
    /// What was found when the books were derived again.
    pub verification: Arc<Verification>,
    /// What was found when the provider's book was held against ours.
    pub reconciliation: Arc<Reconciliation>,
    /// What people are promised.
    pub promises: Promises,
    /// What is on for whom.
    pub features: Features,
    /// Wishes on their way.
    pub in_flight: InFlight,
    /// Who holds a stream of events open.
    pub live: Hub,
    /// The payment provider, for what is never stored.
    pub payments: Arc<dyn PaymentPort>,
    /// Webhooks out.
    pub webhooks: Arc<dyn WebhookPort>,
    /// Secrets that may sign webhooks.
    pub webhook_secrets: Vec<String>,
    /// Rung when a webhook is stored.
    pub webhook_bell: Arc<Notify>,
    /// How nodes are let in.
    pub enrolments: Enrolments,
    /// Every request that runs.
    pub tasks: TaskTracker,
    /// Who is told of faults of ours.
    pub reports: Reports,
    /// Who is told what was done, and as part of what.
    pub traces: Traces,
    /// Metrics, when they are collected.
    pub metrics: Option<PrometheusHandle>,
    /// Whether every part has been fit at once since this server began.
    pub started: AtomicBool,
    /// How nodes and customers reach this server.
    pub public_url: String,
    /// How long anybody waits.
    pub limits: Limits,
    /// How often anybody may ask.
    pub quotas: Quotas,
    /// Whose pages may ask.
    pub origins: Origins,
    /// Proxies that are believed about who came to them.
    pub proxies: Vec<IpNet>,
    /// Whether money is real.
    pub mode: Mode,
    /// Through whom people may sign in as well.
    pub providers: Vec<Provider>,
}

/// The API; clones share it.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

impl Api {
    /// Of its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The pool of the application.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.views.pool()
    }

    /// A transaction in which views are read for somebody.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn read_for(
        &self,
        whom: impl Into<Tenancy> + Send,
    ) -> Result<Transaction<'static, Postgres>, Problem> {
        Ok(whom.into().begin(self.pool()).await?)
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// The views and where they stand.
#[derive(Clone)]
pub struct Views {
    log: cairn_event_log::EventLog,
    projector: Projector,
}

impl Views {
    /// Over the log that they follow.
    #[must_use]
    pub const fn new(log: cairn_event_log::EventLog, projector: Projector) -> Self {
        Self { log, projector }
    }

    /// The pool that they are read from.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.log.pool()
    }

    /// The projector itself.
    #[must_use]
    pub const fn projector(&self) -> &Projector {
        &self.projector
    }

    /// How many events a stream had at a position.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn version(&self, stream: (&str, &str), position: i64) -> Result<Version, Problem> {
        Ok(Version(self.log.sequence_at(stream, position).await?))
    }

    /// Waits until a view is at `wanted`; answers the position that it has reached.
    ///
    /// # Errors
    /// `position_unknown`, `position_not_reached` or `database_unavailable`.
    pub async fn reach(
        &self,
        view: &'static str,
        wanted: Option<i64>,
        within: Duration,
    ) -> Result<i64, Problem> {
        let wanted = wanted.unwrap_or(0);
        if wanted > 0 {
            let head = self.log.head().await?;
            if wanted > head {
                let detail = format!("position {wanted} is beyond the end of the log, {head}");
                return Err(Problem::new("position_unknown", detail));
            }
        }
        self.projector.wait_for_view(view, wanted, within).await.map_err(|error| match error {
            WaitError::TimedOut { reached, .. } => Problem::new(
                "position_not_reached",
                format!("{view} is at {reached}, not yet at {wanted}"),
            ),
            WaitError::Engine(error) => error.into(),
        })
    }
}
