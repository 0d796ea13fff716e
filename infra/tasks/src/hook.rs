//! The one hook: every panic of the process is counted, and written where its other words are.
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::sync::{Once, PoisonError, RwLock};

use metrics::counter;

use super::scope::{Panic, Told, current};

/// What has no name of its own: threads of others, and calls that block.
const ELSEWHERE: &str = "elsewhere";

/// Who is told of panics of which nobody else is told.
static OTHERWISE: RwLock<Option<Told>> = RwLock::new(None);

/// Somebody is told of every panic of the process that nobody listens to where it happens: of threads of others, calls that block, and
/// what was begun before anybody listened.
pub fn otherwise(told: Told) {
    *OTHERWISE.write().unwrap_or_else(PoisonError::into_inner) = Some(told);
}

/// Watches over the process from here on; a second call changes nothing. While nobody has said where log lines go, panics are also
/// printed as they were before.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        counter!("cairn_panics_total", "where" => ELSEWHERE).increment(0);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            seen(info);
            if !tracing::dispatcher::has_been_set() {
                before(info);
            }
        }));
    });
}

/// It runs where the panic is: what panics in here ends the process, so it does little.
fn seen(info: &PanicHookInfo<'_>) {
    let scope = current();
    let panic = Panic {
        task: scope.task.unwrap_or(ELSEWHERE),
        message: said(info.payload()),
        place: info.location().map(|at| format!("{}:{}", own(at.file()), at.line())),
    };
    counter!("cairn_panics_total", "where" => panic.task).increment(1);
    let (task, place) = (panic.task, panic.place.as_deref().unwrap_or_default());
    let trace = Backtrace::capture();
    let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
    tracing::error!(task, place, backtrace = trace, "a panic: {}", panic.message);
    let otherwise = || OTHERWISE.try_read().ok().and_then(|told| told.clone());
    if let Some(told) = scope.told.or_else(otherwise) {
        told(&panic);
    }
}

/// A file of ours as it is in the repository, one of others from its package on: where it was built is nobody's business.
fn own(file: &str) -> &str {
    let (_, rest) = file.split_once("/registry/src/").unwrap_or(("", file));
    let (_, package) = rest.split_once('/').filter(|_| rest != file).unwrap_or(("", rest));
    package
}

/// What a panic said last.
pub(crate) fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn nobody_reads_where_it_was_built() {
        assert_eq!(own("commands/src/executor.rs"), "commands/src/executor.rs");
        let theirs = "/home/x/.cargo/registry/src/index.crates.io-1949cf8c/tokio-1.0.0/src/a.rs";
        assert_eq!(own(theirs), "tokio-1.0.0/src/a.rs");
    }
}
