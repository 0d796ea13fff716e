//! Why a node could not be had.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// This machine cannot run namespace nodes; the text says why.
    #[error("no namespace nodes here: {0}")]
    Unavailable(String),
    /// A program failed.
    #[error("{program} failed: {message}")]
    Failed {
        /// The program and its arguments.
        program: String,
        /// What it said.
        message: String,
    },
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it was refused.
        source: std::io::Error,
    },
    /// The node did not come up in time.
    #[error("the node did not come up: {0}")]
    NotReady(String),
}

pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> TestbedError {
    let doing = doing.into();
    move |source| TestbedError::Io { doing, source }
}
