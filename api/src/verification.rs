//! The books are derived again from the log for as long as a server runs; what was found is shown, counted, and paged for.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_commands::Commands;
use cairn_commands::replay::{BooksVerifier, VerifiedBooks};
use cairn_core::Timestamp;
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;

use crate::upkeep::Upkeep;

/// After how many looks the whole log is read again: about once a day at a look a minute.
const ANEW_AFTER: u32 = 1_440;

/// What was found last.
#[derive(Debug, Default)]
pub struct Verification(Mutex<Option<Looked>>);

/// A look that came to its end.
#[derive(Debug, Clone)]
pub struct Looked {
    /// When.
    pub at: Timestamp,
    /// What the books are.
    pub books: VerifiedBooks,
}

impl Verification {
    /// The last look; none before the first.
    pub fn last(&self) -> Option<Looked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for as long as a server runs.
    pub fn keep(self: &Arc<Self>, upkeep: &mut Upkeep, commands: &Commands, every: Duration) {
        let (books, commands, stop) = (Arc::clone(self), commands.clone(), upkeep.stop());
        upkeep.keep("verification", move || {
            let (books, commands, stop) = (Arc::clone(&books), commands.clone(), stop.clone());
            async move { books.run(commands, every, stop).await }
        });
    }

    /// Looks again and again until the token is cancelled. What fails is said, counted, and tried again.
    async fn run(&self, commands: Commands, every: Duration, stop: CancellationToken) {
        let mut every = tokio::time::interval(every);
        let (mut verifier, mut looks) = (BooksVerifier::default(), 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {
                    if looks == ANEW_AFTER {
                        (verifier, looks) = (BooksVerifier::default(), 0);
                    }
                    looks += 1;
                    self.look(&commands, &mut verifier).await;
                }
            }
        }
    }

    async fn look(&self, commands: &Commands, verifier: &mut BooksVerifier) {
        let books = match verifier.look(commands.executor.log()).await {
            Ok(books) => books,
            Err(error) => {
                counter!("cairn_books_verification_failures_total").increment(1);
                tracing::warn!(%error, "the books were not derived again");
                return;
            }
        };
        let at = commands.clock.now();
        let seconds = u32::try_from(at.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        gauge!("cairn_books_verified_timestamp_seconds").set(seconds);
        let found = u32::try_from(books.differences_found).unwrap_or(u32::MAX);
        gauge!("cairn_books_differences").set(found);
        let known = self.last().map_or(0, |last| last.books.differences_found);
        if books.differences_found != known {
            for difference in &books.differences {
                let (what, which, message) =
                    (difference.what, &difference.which, &difference.message);
                tracing::error!(what, which, message, "the books are not what the log says");
            }
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Looked { at, books });
    }
}
