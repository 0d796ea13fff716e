//! What becomes of work that panicked.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use metrics::counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hook::said;
use super::scope::named;

/// The first pause before work begins anew; it doubles with each panic.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What was done panicked, and stopped wherever it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked(pub String);

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// Does something, and makes a panic of it an error. Only for what holds nothing that it could leave half changed: what others see of
/// it must be in the database, or be made anew.
///
/// # Errors
/// [`Panicked`].
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|payload| Panicked(said(&*payload)))
}

/// The same for what does not wait.
///
/// # Errors
/// [`Panicked`].
pub fn caught_now<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked(said(&*payload)))
}

/// Work that shall run until the token is cancelled, under a name: after a panic it begins anew, after a second, then after two, four and
/// so on up to a minute, and after a second again when it has gone well for as long as the longest pause. Ends when the work does.
/// Whoever is told of panics where this is called is told of its panics as well, in whatever task it then runs.
pub fn kept_up<F: Future<Output = ()>>(
    task: &'static str,
    stop: CancellationToken,
    begin: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    counter!("cairn_panics_total", "where" => task).increment(0);
    named(task, keep(task, stop, begin))
}

async fn keep<F: Future<Output = ()>>(
    task: &'static str,
    stop: CancellationToken,
    mut begin: impl FnMut() -> F,
) {
    let mut pause = PAUSE;
    loop {
        let begun = Instant::now();
        if caught(async { begin().await }).await.is_ok() {
            return;
        }
        if begun.elapsed() >= PAUSE_MAX {
            pause = PAUSE;
        }
        tracing::warn!(task, ?pause, "it begins anew after a pause");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}
