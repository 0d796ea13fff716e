//! Where a panic happens: in which work, and who is told.
use std::sync::Arc;

/// A panic, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// The work that it happened in; `elsewhere` when that has no name.
    pub task: &'static str,
    /// What was said. It may quote anything.
    pub message: String,
    /// File and line.
    pub place: Option<String>,
}

/// Who is told. It is called where the panic happens, before anything is cleared up, so it may not wait.
pub type Told = Arc<dyn Fn(&Panic) + Send + Sync>;

#[derive(Clone, Default)]
pub(crate) struct Scope {
    pub task: Option<&'static str>,
    pub told: Option<Told>,
}

tokio::task_local! {
    static SCOPE: Scope;
}

pub(crate) fn current() -> Scope {
    SCOPE.try_with(Scope::clone).unwrap_or_default()
}

/// Work under a name. Whoever is told of panics where this is called is told of its panics as well, in whatever task it then runs; if
/// nobody is, whoever is where it runs.
pub fn named<F: Future>(task: &'static str, work: F) -> impl Future<Output = F::Output> {
    let here = current().told;
    async move {
        let told = here.or_else(|| current().told);
        SCOPE.scope(Scope { task: Some(task), told }, work).await
    }
}

/// Work, and all that is begun in it under a name, of whose panics somebody is told.
pub async fn telling<F: Future>(told: Told, work: F) -> F::Output {
    let task = current().task;
    SCOPE.scope(Scope { task, told: Some(told) }, work).await
}
