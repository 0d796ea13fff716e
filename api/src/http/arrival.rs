//! The arrival of a body: it comes whole within its time, or not at all.
//!
//! Whoever stops waiting for an answer asks here whether the body had come. If not, it never will: nothing happens.
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::{StreamExt as _, stream};

const COMING: u8 = 0;
const WHOLE: u8 = 1;
const REFUSED: u8 = 2;

/// The client was too slow with its body.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub struct Late;

/// Whether a body has arrived; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Arrival(Arc<AtomicU8>);

impl Arrival {
    /// The body, which breaks off with [`Late`] after `patience`, or once it was refused.
    pub fn watch(&self, body: Body, patience: Duration) -> Body {
        let (arrival, late) = (self.clone(), Box::pin(tokio::time::sleep(patience)));
        let frames =
            stream::unfold((body.into_data_stream(), late), move |(mut body, mut late)| {
                let arrival = arrival.clone();
                async move {
                    let frame = tokio::select! {
                        biased;
                        frame = body.next() => frame,
                        () = &mut late => Some(Err(axum::Error::new(Late))),
                    };
                    let frame = match frame {
                        None if !arrival.settle(WHOLE) => Some(Err(axum::Error::new(Late))),
                        frame => frame,
                    };
                    frame.map(|frame| (frame, (body, late)))
                }
            });
        Body::from_stream(frames)
    }

    /// Refuses the body from here on. `false`: it is there, and what it asks for may happen.
    #[must_use]
    pub fn refuse(&self) -> bool {
        self.settle(REFUSED)
    }

    /// The first to settle it decides.
    fn settle(&self, as_what: u8) -> bool {
        let before = self.0.compare_exchange(COMING, as_what, Ordering::AcqRel, Ordering::Acquire);
        before.is_ok() || before == Err(as_what)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::{Body, Bytes, to_bytes};
    use futures::stream;

    use super::Arrival;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_body_that_came_is_not_refused_any_more() {
        let arrival = Arrival::default();
        let body = arrival.watch(Body::from("all of it"), LONG);
        assert_eq!(to_bytes(body, 100).await.unwrap(), "all of it");
        assert!(!arrival.refuse(), "what it asks for may have happened");
    }

    #[tokio::test]
    async fn a_refused_body_never_comes() {
        let arrival = Arrival::default();
        let body = arrival.watch(Body::from("all of it"), LONG);
        assert!(arrival.refuse() && arrival.refuse());
        assert!(to_bytes(body, 100).await.unwrap_err().to_string().contains("in time"));
    }

    #[tokio::test]
    async fn a_body_that_stays_away_breaks_off() {
        let endless = stream::pending::<Result<Bytes, std::io::Error>>();
        let arrival = Arrival::default();
        let body = arrival.watch(Body::from_stream(endless), Duration::from_millis(1));
        assert!(to_bytes(body, 100).await.unwrap_err().to_string().contains("in time"));
        assert!(arrival.refuse());
    }
}
