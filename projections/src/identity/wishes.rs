//! What people agreed to, and who wants to be forgotten: asked by those people, and by whoever carries it out.
//!
//! One row of `identity_consents` is one thing that somebody said; the last one of a document counts. One row of `identity_erasures` is
//! the last time that a person asked to be forgotten.
use async_trait::async_trait;
use cairn_event_log::Recorded;
use cairn_identity::{ErasureEvent, UserEvent};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, QueryError, wire_name};

/// Name of this projection.
pub const NAME: &str = "identity/wishes";

/// What somebody said of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Consent {
    /// `terms`, `privacy` or `marketing`.
    pub document: String,
    pub version: String,
    /// Or taken back.
    pub given: bool,
    /// `registering` or `signed_in`.
    pub said: String,
    pub said_at: At,
}

/// When somebody is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Pending {
    pub requested_at: At,
    pub due_at: At,
}

/// The projection.
pub struct Wishes;

#[async_trait]
impl Projection for Wishes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["identity_consents", "identity_erasures"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[UserEvent::TYPES, ErasureEvent::TYPES])
    }

    /// A person, whichever stream it is about.
    fn key(&self, event: &Recorded) -> String {
        let id = &event.aggregate_id;
        id.split_once('/').map_or(id.as_str(), |(_, id)| id).to_owned()
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let user_id = self.key(event);
        if ErasureEvent::TYPES.iter().any(|(name, _)| *name == event.event_type) {
            if let ErasureEvent::Erased { at, .. } = event.decode()? {
                over(changes, user_id, At(at));
            }
            return Ok(());
        }
        match event.decode()? {
            UserEvent::Consented { document, version, given, said, at } => {
                changes.insert(ConsentRow {
                    user_id,
                    position: event.position,
                    document: wire_name(&document)?,
                    version,
                    given,
                    said: wire_name(&said)?,
                    said_at: At(at),
                });
            }
            UserEvent::ErasureRequested { due_at, at } => {
                changes.put((user_id.clone(),), move |_: Option<ErasureRow>| {
                    let (requested_at, due_at) = (At(at), At(due_at));
                    Ok(ErasureRow { user_id, requested_at, due_at, over_at: None })
                });
            }
            UserEvent::ErasureCancelled { at } => over(changes, user_id, At(at)),
            UserEvent::Registered { .. }
            | UserEvent::LinkRequested { .. }
            | UserEvent::Reminded { .. }
            | UserEvent::EmailVerified { .. }
            | UserEvent::PasswordSet { .. }
            | UserEvent::TotpBegun { .. }
            | UserEvent::TotpConfirmed { .. }
            | UserEvent::TotpRemoved { .. }
            | UserEvent::SignedIn { .. }
            | UserEvent::SignInFailed { .. }
            | UserEvent::SessionRenewed { .. }
            | UserEvent::SessionEnded { .. }
            | UserEvent::SessionsEnded { .. }
            | UserEvent::FactorsReset { .. }
            | UserEvent::IdentityLinked { .. }
            | UserEvent::IdentityUnlinked { .. }
            | UserEvent::PasskeyAdded { .. }
            | UserEvent::PasskeyUsed { .. }
            | UserEvent::PasskeyRenamed { .. }
            | UserEvent::PasskeyRemoved { .. }
            | UserEvent::Closed { .. } => {}
        }
        Ok(())
    }
}

/// Nothing waits any more.
fn over(changes: &mut Changes, user_id: String, at: At) {
    changes.change_any((user_id,), move |row: &mut ErasureRow| {
        row.over_at = Some(at);
        Ok(())
    });
}

row! {
    /// What somebody said once.
    pub(crate) struct ConsentRow in "identity_consents" by (user_id: String, position: i64) {
        user_id: String,
        position: i64,
        document: String,
        version: String,
        given: bool,
        said: String,
        said_at: At,
    }
}

row! {
    /// The last time that somebody asked to be forgotten.
    pub(crate) struct ErasureRow in "identity_erasures" by (user_id: String) {
        user_id: String,
        requested_at: At,
        due_at: At,
        over_at: Option<At>,
    }
}

/// Everything that a person said of documents, the last first.
///
/// # Errors
/// [`QueryError`].
pub async fn consents(db: impl PgExecutor<'_>, user_id: &str) -> Result<Vec<Consent>, QueryError> {
    let rows = sqlx::query_as!(
        Consent,
        r#"SELECT document, version, given, said, said_at AS "said_at: At"
           FROM identity_consents WHERE user_id = $1 ORDER BY position DESC"#,
        user_id,
    );
    Ok(rows.fetch_all(db).await?)
}

/// When a person is to be forgotten, if they asked for it.
///
/// # Errors
/// [`QueryError`].
pub async fn pending(
    db: impl PgExecutor<'_>,
    user_id: &str,
) -> Result<Option<Pending>, QueryError> {
    let row = sqlx::query_as!(
        Pending,
        r#"SELECT requested_at AS "requested_at: At", due_at AS "due_at: At"
           FROM identity_erasures WHERE user_id = $1 AND over_at IS NULL"#,
        user_id,
    );
    Ok(row.fetch_optional(db).await?)
}

/// Who is to be forgotten by now, the longest due first.
///
/// # Errors
/// [`QueryError`].
pub async fn due(pool: &PgPool, now: At, limit: i64) -> Result<Vec<String>, QueryError> {
    let rows = sqlx::query_scalar!(
        "SELECT user_id FROM identity_erasures WHERE over_at IS NULL AND due_at <= $1
         ORDER BY due_at, user_id LIMIT $2",
        now as At,
        limit,
    );
    Ok(rows.fetch_all(pool).await?)
}
