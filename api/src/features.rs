//! What is on for whom: feature flags as a server acts on them, and the operations that operators can pause by one.
//!
//! A process keeps a copy of the view and reads it anew when it is older than a second, so a change is acted on a second after the view
//! has it, at the latest, everywhere. A copy that is older is never used: whoever cannot read a newer one refuses.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_core::OrganisationId;
use cairn_operations::FeatureFlag;
use cairn_projections::operations::feature_flags as view;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::problem::Problem;

/// For how long a copy is used.
pub const FRESH: Duration = Duration::from_secs(1);

/// The operations that are refused while a flag is on for whoever asks. A flag that nobody defined is off.
pub const BRAKES: &[(&str, &str)] = &[
    ("request_allocation", "pause_rentals"),
    ("create_top_up", "pause_top_ups"),
    ("create_webhook_endpoint", "pause_webhook_endpoints"),
];

/// The operations that a flag pauses.
#[must_use]
pub fn pauses(flag: &str) -> Vec<&'static str> {
    let of_flag = BRAKES.iter().filter(|(_, brake)| *brake == flag);
    of_flag.map(|(operation, _)| *operation).collect()
}

type Flags = Arc<BTreeMap<String, FeatureFlag>>;

/// The flags in use; clones share a copy.
#[derive(Debug, Clone)]
pub struct Features {
    pool: PgPool,
    copy: Arc<Mutex<Option<(Instant, Flags)>>>,
}

impl Features {
    /// Over the view.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, copy: Arc::default() }
    }

    /// Whether a flag is on for an organisation.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn is_on(&self, flag: &str, organisation: OrganisationId) -> Result<bool, Problem> {
        let flags = self.flags().await?;
        Ok(flags.get(flag).is_some_and(|flag| flag.is_on_for(organisation)))
    }

    /// Refuses an operation that is paused for an organisation.
    ///
    /// # Errors
    /// `operation_paused`, `database_unavailable`.
    pub async fn check(&self, operation: &str, who: OrganisationId) -> Result<(), Problem> {
        let Some((_, brake)) = BRAKES.iter().find(|(name, _)| *name == operation) else {
            return Ok(());
        };
        if self.is_on(brake, who).await? {
            let detail = "operators have paused this for now; what runs goes on";
            return Err(Problem::new("operation_paused", detail));
        }
        Ok(())
    }

    async fn flags(&self) -> Result<Flags, Problem> {
        let mut copy = self.copy.lock().await;
        if let Some((_, flags)) = copy.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(flags));
        }
        let read_at = Instant::now();
        let flags = Arc::new(view::in_use(&self.pool).await?);
        *copy = Some((read_at, Arc::clone(&flags)));
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::BRAKES;
    use crate::auth::table::rule;

    #[test]
    fn every_brake_is_of_an_operation_and_has_a_flags_name() {
        for (operation, flag) in BRAKES {
            assert!(rule(operation).is_some(), "{operation}");
            assert_eq!(cairn_operations::check_flag_name(flag), Ok(()), "{flag}");
        }
    }
}
