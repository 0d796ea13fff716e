//! The one shape of every projection.
use async_trait::async_trait;
use cairn_event_log::Recorded;
use sqlx::PgConnection;

use super::ProjectError;

/// Which events a projection reads. Types it does not name never reach it, so a type it has not heard of cannot break it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Every event, whatever its type.
    Everything,
    /// Events of these types.
    Types(Vec<&'static str>),
}

impl Interest {
    /// All types of some aggregates.
    #[must_use]
    pub fn of(aggregates: &[&'static [(&'static str, u32)]]) -> Self {
        Self::Types(aggregates.iter().copied().flatten().map(|(name, _)| *name).collect())
    }

    /// And these types.
    #[must_use]
    pub fn and(self, more: &[&'static str]) -> Self {
        match self {
            Self::Everything => Self::Everything,
            Self::Types(mut types) => {
                types.extend(more);
                Self::Types(types)
            }
        }
    }

    /// The types as the log is asked for them; `None` for every type.
    pub(crate) fn types(&self) -> Option<Vec<String>> {
        match self {
            Self::Everything => None,
            Self::Types(types) => Some(types.iter().map(|&name| name.to_owned()).collect()),
        }
    }
}

/// A fold of the log into tables.
///
/// The same `project` serves the live view, a rebuild and a verification: it names its tables without a schema, and the
/// engine decides which tables those are.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// `<context>/<view>`.
    fn name(&self) -> &'static str;

    /// Grows when `project` or the tables change: rows of an older version are rebuilt before new events are folded.
    fn version(&self) -> i32 {
        1
    }

    /// Its tables. Nobody else writes them, each has a primary key, and no column takes its value from a clock.
    fn tables(&self) -> &'static [&'static str];

    /// Which events it reads.
    fn interest(&self) -> Interest;

    /// What an event is about: when one cannot be folded, later ones of the same key wait behind it.
    fn key(&self, event: &Recorded) -> String {
        format!("{}/{}", event.aggregate_type, event.aggregate_id)
    }

    /// Whether events of different keys touch different rows and read no others, so that several workers may fold a rebuild
    /// beside each other, and a few keys can be folded alone.
    fn splits_by_key(&self) -> bool {
        false
    }

    /// Folds one event, in the transaction that also moves the checkpoint.
    ///
    /// # Errors
    /// [`ProjectError`]: the event is tried again, then parked if it is to blame.
    async fn project(&self, db: &mut PgConnection, event: &Recorded) -> Result<(), ProjectError>;
}
