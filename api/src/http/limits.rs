//! How long anybody waits for anybody.
use std::time::Duration;

/// The limits of one server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the head of a request, and between two requests on one connection.
    pub head: Duration,
    /// For the body of a request, from its head on.
    pub body: Duration,
    /// For the answer, from the head of the request on.
    pub answer: Duration,
    /// For connections, and then for requests that have begun, once the server is told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { head: seconds(30), body: seconds(10), answer: seconds(30), drain: seconds(10) }
    }
}
