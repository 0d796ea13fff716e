//! The one shape of every projection.
use async_trait::async_trait;
use cairn_event_log::Recorded;

use super::{Changes, ProjectError};

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
/// It sees one event and says what that changes, row by row. The engine loads the rows that a batch names, does the changes in
/// memory, and writes what came of them: to the live tables, to those of a rebuild or of a verification.
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

    /// Says what an event changes. The same event must always say the same: no clock, no chance, no look outside.
    ///
    /// # Errors
    /// [`ProjectError`]: the event is tried again, then parked if it is to blame.
    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError>;
}
