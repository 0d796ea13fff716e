//! The parts of a server that run by themselves: each has a name, and one that panics is told of and begins anew.
use cairn_tasks::{Told, kept_up, telling};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What runs beside requests.
pub struct Upkeep {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    told: Told,
}

impl Upkeep {
    /// None yet. Whoever is told hears of their panics, and of those of what they begin.
    #[must_use]
    pub fn new(told: Told) -> Self {
        Self { tasks: JoinSet::new(), stop: CancellationToken::new(), told }
    }

    /// Cancelled when everything shall end.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a part, and begins it anew when it panics.
    pub fn keep<F>(&mut self, name: &'static str, begin: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let kept = kept_up(name, self.stop.clone(), begin);
        self.tasks.spawn(telling(self.told.clone(), kept));
    }

    /// Runs a part that cannot begin anew.
    pub fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(telling(self.told.clone(), work));
    }

    /// Tells all to end, and waits until they have.
    pub async fn end(&mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
