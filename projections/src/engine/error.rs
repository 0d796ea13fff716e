//! What can go wrong in a projection: a poisonous event, or a fault that passes.
use cairn_event_log::LogError;

/// Why one event was not folded.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The database refused or did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The payload is not what its type and version say.
    #[error("cannot read the event: {0}")]
    Event(#[from] LogError),
    /// The event does not fit what was folded before it.
    #[error("{0}")]
    Inconsistent(String),
    /// The code panicked.
    #[error("the projection panicked: {0}")]
    Panicked(String),
}

impl ProjectError {
    /// Whether the event itself is to blame. Everything else passes, and the batch is tried again as it is.
    #[must_use]
    pub fn is_poison(&self) -> bool {
        match self {
            // Later code will fold it, and an archive comes back; parked, it would be missing from the view until somebody looks.
            Self::Event(LogError::Newer { .. } | LogError::Segment { .. }) => false,
            Self::Event(error) => !error.is_transient(),
            Self::Inconsistent(_) | Self::Panicked(_) => true,
            Self::Database(error) => is_data_error(error),
        }
    }
}

/// Whether the values were refused (SQLSTATE classes 21, 22, 23 and 54, or a raised exception), not the work as such.
fn is_data_error(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["21", "22", "23", "54", "P0"].iter().any(|class| code.starts_with(class))
        }),
        sqlx::Error::RowNotFound
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The log did not answer.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// No such projection.
    #[error("there is no projection '{0}'")]
    Unknown(String),
    /// The caller stopped it.
    #[error("cancelled")]
    Cancelled,
    /// Another process rebuilds the same projection.
    #[error("projection '{0}' is being rebuilt elsewhere")]
    AlreadyRebuilding(String),
    /// A part of the program ended that should not have.
    #[error("a worker of the rebuild ended badly: {0}")]
    Stopped(String),
    /// Somebody else moved the rows that this process was folding.
    #[error("projection '{0}' is folded by another process now")]
    TakenOver(String),
    /// There is nothing to go back to.
    #[error(
        "projection '{0}' keeps no earlier rows: they are gone, or no rebuild has replaced any"
    )]
    NothingKept(String),
    /// There are no such rows to hold the live ones against.
    #[error("projection '{name}' has no such rows; beside the live ones it has: {there}")]
    NoGeneration {
        /// The projection.
        name: String,
        /// What there is.
        there: String,
    },
    /// Events do not decode, and the rebuild was told to stop then.
    #[error("{found} events that '{name}' reads do not decode, the first at position {position}")]
    Unreadable {
        /// The projection.
        name: String,
        /// How many.
        found: u64,
        /// Of the first.
        position: i64,
    },
    /// The rows to go back to are of other code.
    #[error(
        "the rows that projection '{name}' keeps are of version {kept}, and this program folds version \
         {known}: go back with the program that made them"
    )]
    KeptByOthers {
        /// The projection.
        name: String,
        /// Version of the kept rows.
        kept: i32,
        /// Version of the code.
        known: i32,
    },
    /// A migration came between.
    #[error("the tables of projection '{0}' have changed since these rows were built")]
    OtherShape(String),
    /// The rows were written by newer code than this.
    #[error(
        "projection '{name}' is at version {stored}, newer than version {known} of this program"
    )]
    Newer {
        /// The projection.
        name: String,
        /// Version of the rows.
        stored: i32,
        /// Version of the code.
        known: i32,
    },
    /// The rows were written by older code than this, and wait to be folded anew.
    #[error(
        "projection '{name}' is at version {stored}, older than version {known} of this program: \
         a server of this version folds it anew, and so does `cairn projections rebuild {name}`"
    )]
    Older {
        /// The projection.
        name: String,
        /// Version of the rows.
        stored: i32,
        /// Version of the code.
        known: i32,
    },
    /// Nothing is parked there.
    #[error("projection '{name}' has nothing parked at {place}")]
    NotParked {
        /// The projection.
        name: String,
        /// Key or position asked for.
        place: String,
    },
    /// A person must say why.
    #[error("a reason is needed")]
    ReasonNeeded,
    /// The first parked event of the key still cannot be folded.
    #[error("event {position} still cannot be folded: {error}")]
    StillPoisonous {
        /// Its position.
        position: i64,
        /// Why.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use cairn_event_log::LogError;

    use super::ProjectError;

    #[test]
    fn only_what_the_event_caused_is_poison() {
        let lost = std::io::Error::other("reset");
        assert!(!ProjectError::Database(sqlx::Error::Io(lost)).is_poison());
        assert!(!ProjectError::Database(sqlx::Error::PoolTimedOut).is_poison());
        assert!(!ProjectError::Event(LogError::Unavailable("down".to_owned())).is_poison());
        let newer = LogError::Newer {
            position: 7,
            event_type: "wallet.topped_up".to_owned(),
            version: 2,
            known: 1,
        };
        assert!(!ProjectError::Event(newer).is_poison());
        assert!(ProjectError::Event(LogError::Corrupt("not JSON".to_owned())).is_poison());
        assert!(ProjectError::Database(sqlx::Error::RowNotFound).is_poison());
        assert!(ProjectError::Inconsistent("no row".to_owned()).is_poison());
        assert!(ProjectError::Panicked("index".to_owned()).is_poison());
    }
}
