//! Who is to be told, as the log has it up to the teller's place: kept with that place, and read by those who send.
use std::collections::BTreeMap;

use cairn_core::Timestamp;
use cairn_notify::WebhookEndpointEvent as Event;
use sqlx::{PgConnection, PgPool};

use super::kinds::wants;
use crate::processes::store::to_sql;

/// An endpoint that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub organisation_id: String,
    pub event_types: Vec<String>,
    pub status: Standing,
}

/// Whether anything goes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Enabled,
    Disabled,
    Deleted,
}

impl Standing {
    const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "enabled" => Self::Enabled,
            "disabled" => Self::Disabled,
            _ => Self::Deleted,
        }
    }
}

/// Every endpoint by its id.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets(BTreeMap<String, Target>);

impl Targets {
    pub async fn load(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let rows = sqlx::query!(
            "SELECT endpoint_id, organisation_id, event_types, status FROM notify_targets WHERE status <> 'deleted'"
        );
        let targets = rows.fetch_all(pool).await?.into_iter().map(|row| {
            let status = Standing::of(&row.status);
            let (organisation_id, event_types) = (row.organisation_id, row.event_types);
            (row.endpoint_id, Target { organisation_id, event_types, status })
        });
        Ok(Self(targets.collect()))
    }

    /// Whether there is anybody to tell.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|target| target.status != Standing::Enabled)
    }

    /// Who of an organisation is told of events of this type.
    pub fn of<'a>(
        &'a self,
        organisation_id: &'a str,
        kind: &'a str,
    ) -> impl Iterator<Item = &'a String> {
        let told = move |target: &Target| {
            target.status == Standing::Enabled
                && target.organisation_id == organisation_id
                && wants(&target.event_types, kind)
        };
        self.0.iter().filter(move |(_, target)| told(target)).map(|(id, _)| id)
    }

    /// Whether this one is told at all.
    pub fn is_enabled(&self, endpoint_id: &str) -> bool {
        self.0.get(endpoint_id).is_some_and(|target| target.status == Standing::Enabled)
    }

    /// Takes an event of an endpoint in; answers how it stands now.
    pub fn take_in(&mut self, endpoint_id: &str, event: &Event) -> Option<&Target> {
        match event {
            Event::Created { organisation_id, event_types, .. } => {
                let organisation_id = organisation_id.to_string();
                let event_types = event_types.clone();
                let target = Target { organisation_id, event_types, status: Standing::Enabled };
                self.0.insert(endpoint_id.to_owned(), target);
            }
            Event::Updated { event_types, .. } => {
                self.0.get_mut(endpoint_id)?.event_types.clone_from(event_types);
            }
            Event::Disabled { .. } => self.0.get_mut(endpoint_id)?.status = Standing::Disabled,
            Event::Enabled { .. } => self.0.get_mut(endpoint_id)?.status = Standing::Enabled,
            Event::Deleted { .. } => self.0.get_mut(endpoint_id)?.status = Standing::Deleted,
            Event::SecretRotated { .. }
            | Event::TestRequested { .. }
            | Event::ResendRequested { .. } => return None,
        }
        self.0.get(endpoint_id)
    }
}

/// How an endpoint stands from a position on.
#[derive(Debug)]
pub(super) struct Change {
    pub endpoint_id: String,
    pub position: i64,
    pub target: Target,
}

/// Keeps a change. Whoever is enabled has not failed yet, and what is still owed to who was deleted is dropped.
pub(super) async fn keep_in_tx(
    tx: &mut PgConnection,
    change: &Change,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let Change { endpoint_id, position, target } = change;
    sqlx::query!(
        r#"INSERT INTO notify_targets (endpoint_id, organisation_id, event_types, status, position)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (endpoint_id) DO UPDATE
           SET event_types = excluded.event_types, position = excluded.position, updated_at = now(),
               failing_since = CASE WHEN notify_targets.status = excluded.status THEN notify_targets.failing_since END,
               status = excluded.status"#,
        endpoint_id,
        target.organisation_id,
        &target.event_types,
        target.status.name(),
        position,
    )
    .execute(&mut *tx)
    .await?;
    if target.status == Standing::Deleted {
        sqlx::query!(
            r#"UPDATE notify_deliveries SET status = 'dropped', finished_at = $2, lease_until = NULL
               WHERE endpoint_id = $1 AND status = 'pending'"#,
            endpoint_id,
            to_sql(now),
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}
