//! Starting and stopping: inside a process of others, or as a process of its own.
use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::book::{Book, ChallengeEnd, DisputeStep, PayoutStep};
use crate::config::{Faults, SimulatorConfig};
use crate::faults::FaultCounts;
use crate::http::router;
use crate::state::Shared;
use crate::webhooks::{self, WebhookCounts};

/// Serves on a listener until `shutdown` is done; then takes no more calls and drops webhooks that are still to be sent.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    config: SimulatorConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (shared, events) = Shared::open(config)?;
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        tokio::select! {
            () = shutdown => stop.cancel(),
            () = stop.cancelled() => {}
        }
    });
    run(listener, shared, events).await
}

async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    events: tokio::sync::mpsc::UnboundedReceiver<crate::Event>,
) -> io::Result<()> {
    shared.tasks.spawn(webhooks::deliver(Arc::clone(&shared), events));
    let result = axum::serve(listener, router(Arc::clone(&shared)))
        .with_graceful_shutdown(shared.stop.clone().cancelled_owned())
        .await;
    shared.stop.cancel();
    shared.tasks.close();
    shared.tasks.wait().await;
    result
}

/// A simulator inside this process. Dropping it stops it; [`Simulator::shutdown`] also waits for its end.
pub struct Simulator {
    /// `http://127.0.0.1:<port>`, for `StripeConfig::api_base`.
    pub base_url: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinSet<io::Result<()>>,
}

impl Simulator {
    /// Starts one on a free port of the loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(config: SimulatorConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let (shared, events) = Shared::open(config)?;
        let mut server = tokio::task::JoinSet::new();
        server.spawn(run(listener, Arc::clone(&shared), events));
        Ok(Self { base_url, shared, server })
    }

    /// A copy of its book as it is now.
    #[must_use]
    pub fn book(&self) -> Book {
        self.shared.desk().book.clone()
    }

    /// How often each fault struck.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.shared.desk().mischief.counts
    }

    /// How the webhooks fare.
    #[must_use]
    pub fn webhooks(&self) -> WebhookCounts {
        self.shared.webhook_counts()
    }

    /// The bank questions a charge; answers the dispute's id, or Stripe's error document.
    ///
    /// # Errors
    /// When there is no such charge, or nothing of it to question.
    pub fn open_dispute(&self, charge: &str) -> Result<String, serde_json::Value> {
        let mut desk = self.shared.desk();
        let opened = desk.change().open_dispute(charge, "fraudulent");
        self.shared.follow_up(&mut desk);
        opened.map_err(crate::http::ApiError::body)
    }

    /// Takes a dispute one step further.
    ///
    /// # Errors
    /// When there is no such dispute, or the step was taken already.
    pub fn step_dispute(&self, id: &str, step: DisputeStep) -> Result<(), serde_json::Value> {
        let mut desk = self.shared.desk();
        let stepped = desk.change().step_dispute(id, step);
        self.shared.follow_up(&mut desk);
        stepped.map_err(crate::http::ApiError::body)
    }

    /// Meets the challenge of a bank for a payment or has the bank be done that took its time, or fails it.
    ///
    /// # Errors
    /// When it waits for nobody.
    pub fn end_waiting(&self, id: &str, end: ChallengeEnd) -> Result<(), serde_json::Value> {
        let mut desk = self.shared.desk();
        let ended = desk.change().end_waiting(id, end);
        self.shared.follow_up(&mut desk);
        ended.map_err(crate::http::ApiError::body)
    }

    /// Meets the challenge of a bank for a method that is to be kept, or fails it.
    ///
    /// # Errors
    /// When there is none.
    pub fn end_setup_challenge(
        &self,
        id: &str,
        end: ChallengeEnd,
    ) -> Result<(), serde_json::Value> {
        let mut desk = self.shared.desk();
        let ended = desk.change().end_setup_challenge(id, end);
        self.shared.follow_up(&mut desk);
        ended.map_err(crate::http::ApiError::body)
    }

    /// Pays out all that is left in a currency (`usd`); answers the payout's id, or Stripe's error document.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn pay_out(&self, currency: &str) -> Result<String, serde_json::Value> {
        let mut desk = self.shared.desk();
        let made = desk.change().pay_out_all(currency);
        self.shared.follow_up(&mut desk);
        made.map_err(crate::http::ApiError::body)
    }

    /// Takes a payout one step further.
    ///
    /// # Errors
    /// When there is no such payout, or it is over.
    pub fn step_payout(&self, id: &str, step: PayoutStep) -> Result<(), serde_json::Value> {
        let mut desk = self.shared.desk();
        let stepped = desk.change().step_payout(id, step);
        self.shared.follow_up(&mut desk);
        stepped.map_err(crate::http::ApiError::body)
    }

    /// Replaces all faults; the counts go on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.desk().mischief.faults = faults;
    }

    /// Where webhooks go from now on. Retries of earlier ones go there too.
    pub fn set_webhook(&self, url: &str, secret: &str) {
        self.shared.set_webhook(Some(url.to_owned()), secret.to_owned());
    }

    /// Stops it and waits for its end.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        while self.server.join_next().await.is_some() {}
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
