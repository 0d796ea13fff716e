//! The relay at work.
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_event_log::{EventLog, LogError};
use cairn_spans::{Cause, Kind, Spans};
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;

use super::place::{self, Place};
use super::status::lag_seconds;
use crate::ports::{FailureKind, PortError, Producer, TopicPort};
use crate::public::{PublicEvent, translate};
use crate::traced;

/// How a relay runs.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Names this process in leases; unique among those alive.
    pub owner: String,
    /// Names this Cairn in its events.
    pub source: String,
    /// Facts read at once, and so the most messages in flight.
    pub batch: i64,
    /// How long a lease lasts when its owner is gone.
    pub lease: Duration,
    /// Longest time before somebody looks without being woken.
    pub poll: Duration,
    /// Wait after the first failure; doubles.
    pub backoff: Duration,
    /// Longest wait between two attempts.
    pub backoff_max: Duration,
}

impl RelayConfig {
    /// The defaults, under a name.
    #[must_use]
    pub fn new(owner: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            source: source.into(),
            batch: 1_000,
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(500),
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// Sends public events to one topic.
#[derive(Clone)]
pub struct Relay {
    log: EventLog,
    topic: Arc<dyn TopicPort>,
    config: RelayConfig,
}

/// Why a stretch of sending ended.
enum Ended {
    /// It was told to.
    Stopped,
    /// Another process leads, or may.
    LeaseLost,
    /// Something failed; to be tried again from the checkpoint.
    Failed(PortError),
}

impl From<LogError> for Ended {
    fn from(error: LogError) -> Self {
        let kind =
            if error.is_transient() { FailureKind::Transient } else { FailureKind::Permanent };
        Self::Failed(PortError::new(kind, "log", error.to_string()))
    }
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        LogError::reading(&error).into()
    }
}

impl Relay {
    /// A relay to a topic; nothing runs yet.
    #[must_use]
    pub fn new(log: EventLog, topic: Arc<dyn TopicPort>, config: RelayConfig) -> Self {
        Self { log, topic, config }
    }

    /// Leads or stands by until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let (pool, topic) = (self.log.pool(), self.topic.name());
        let mut pace = Pace { pause: self.config.backoff, one_by_one: 0 };
        while !stop.is_cancelled() {
            let RelayConfig { owner, lease, .. } = &self.config;
            let asked = Instant::now();
            let wait = match place::lease(pool, topic, owner, *lease).await {
                Ok(Some(place)) => match self.lead((place, asked), &mut pace, &stop).await {
                    Ended::Stopped => break,
                    Ended::LeaseLost => {
                        tracing::warn!(topic, "the relay's lease was lost; somebody else may lead");
                        self.config.poll
                    }
                    Ended::Failed(error) => self.failed(place.token, &error, &mut pace).await,
                },
                Ok(None) => self.config.poll,
                Err(error) => {
                    tracing::warn!(topic, %error, "the relay waits for the database");
                    self.back_off(&mut pace)
                }
            };
            gauge!("cairn_relay_leads", "topic" => topic.to_owned()).set(0.0);
            rest(wait, &stop).await;
        }
        if let Err(error) = place::leave(pool, topic, &self.config.owner).await {
            tracing::debug!(topic, %error, "the relay's lease runs out by itself");
        }
    }

    /// With a producer of its own, which is closed whatever comes.
    async fn lead(
        &self,
        (place, asked): (Place, Instant),
        pace: &mut Pace,
        stop: &CancellationToken,
    ) -> Ended {
        let producer = match self.topic.producer() {
            Ok(producer) => producer,
            Err(error) => return Ended::Failed(error),
        };
        tracing::info!(topic = self.topic.name(), position = place.position, "the relay leads");
        gauge!("cairn_relay_leads", "topic" => self.topic.name().to_owned()).set(1.0);
        let spans = Spans::current();
        let mut leading = Leading { relay: self, producer, place, renewed: asked, pace, spans };
        let ended = match leading.until_stopped(stop).await {
            Ok(()) => Ended::Stopped,
            Err(ended) => ended,
        };
        leading.producer.close().await;
        ended
    }

    /// Says why it does not get on, where people and alarms see it; answers how long to wait.
    async fn failed(&self, token: i64, error: &PortError, pace: &mut Pace) -> Duration {
        let topic = self.topic.name();
        counter!("cairn_relay_failures_total", "topic" => topic.to_owned()).increment(1);
        if error.kind != FailureKind::Transient {
            // One of many does not go: the next attempt finds out which, and what comes before it goes.
            if std::mem::replace(&mut pace.one_by_one, self.config.batch) == 0 {
                return Duration::ZERO;
            }
            gauge!("cairn_relay_stopped", "topic" => topic.to_owned()).set(1.0);
            tracing::error!(topic, %error, "the relay stops before an event that does not go");
            pace.pause = self.config.backoff_max;
        } else {
            tracing::warn!(topic, %error, "the relay begins anew from its checkpoint");
        }
        if let Err(error) = place::fail(self.log.pool(), topic, token, &error.to_string()).await {
            tracing::debug!(topic, %error, "the failure was not noted");
        }
        self.back_off(pace)
    }

    fn back_off(&self, pace: &mut Pace) -> Duration {
        let wait = pace.pause;
        pace.pause = (wait * 2).min(self.config.backoff_max);
        wait
    }
}

/// How fast to go, from one attempt to the next.
struct Pace {
    /// Before the next attempt.
    pause: Duration,
    /// So many facts are yet to be sent one by one.
    one_by_one: i64,
}

/// One stretch of leading.
struct Leading<'a> {
    relay: &'a Relay,
    producer: Arc<dyn Producer>,
    place: Place,
    /// When the lease was last asked for.
    renewed: Instant,
    pace: &'a mut Pace,
    spans: Spans,
}

impl Leading<'_> {
    async fn until_stopped(&mut self, stop: &CancellationToken) -> Result<(), Ended> {
        let (log, poll) = (&self.relay.log, self.relay.config.poll);
        let mut grown = log.wake();
        while !stop.is_cancelled() {
            grown.borrow_and_update();
            let head = log.head().await?;
            while self.place.position < head && !stop.is_cancelled() {
                self.send_some(stop).await?;
                self.publish(head).await?;
            }
            self.publish(head).await?;
            self.keep_lease().await?;
            tokio::select! {
                () = stop.cancelled() => {}
                _ = grown.changed() => {}
                () = tokio::time::sleep(poll) => {}
            }
        }
        Ok(())
    }

    /// Sends what the next facts say in public. The checkpoint follows when all of it has arrived.
    async fn send_some(&mut self, stop: &CancellationToken) -> Result<(), Ended> {
        let RelayConfig { source, batch, .. } = &self.relay.config;
        let batch = if self.pace.one_by_one > 0 { 1 } else { *batch };
        let facts = self.relay.log.read(self.place.position, batch).await?;
        let mut events: Vec<PublicEvent> = vec![];
        let (mut unreadable, mut causes) = (None, vec![]);
        let mut last = self.place.position;
        for fact in &facts {
            match translate(fact, source) {
                Ok(Some(event)) => {
                    causes.push(traced::cause(fact));
                    events.push(event);
                }
                Ok(None) => {}
                // What comes before it still goes.
                Err(error) => {
                    unreadable = Some(error);
                    break;
                }
            }
            last = fact.position;
        }
        if !events.is_empty() && !self.send_traced((&events, causes), stop).await? {
            return Ok(());
        }
        if last > self.place.position {
            self.advance(last, events.len()).await?;
        }
        unreadable.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The same, as a share of each trace that an event is part of; the call itself is told in the first.
    async fn send_traced(
        &mut self,
        (events, causes): (&[PublicEvent], Vec<Cause>),
        stop: &CancellationToken,
    ) -> Result<bool, Ended> {
        let name = || Cow::Owned(format!("publish {}", self.relay.topic.name()));
        let causes = (causes.into_iter(), traced::SHARES_MAX);
        let shares = self.spans.begin_all(Kind::Producer, name, causes);
        let sent = match shares.first() {
            Some(first) => first.run(self.send(events, stop)).await,
            None => self.send(events, stop).await,
        };
        for share in &shares {
            share.set("messaging.batch.message_count", i64::try_from(events.len()).unwrap_or(0));
            if sent.is_err() {
                share.fail("not_acknowledged");
            }
        }
        sent
    }

    /// Waits for the acknowledgements and keeps the lease meanwhile. False when it was told to stop before they were here.
    async fn send(
        &mut self,
        events: &[PublicEvent],
        stop: &CancellationToken,
    ) -> Result<bool, Ended> {
        let producer = Arc::clone(&self.producer);
        let mut sending = producer.send(events);
        let third = self.relay.config.lease / 3;
        loop {
            tokio::select! {
                sent = &mut sending => return sent.map(|()| true).map_err(Ended::Failed),
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(third) => {
                    self.keep_lease().await?;
                    self.waits(events).await?;
                }
            }
        }
    }

    async fn advance(&mut self, last: i64, sent: usize) -> Result<(), Ended> {
        let (pool, topic) = (self.relay.log.pool(), self.relay.topic.name());
        let count = i64::try_from(sent).unwrap_or(i64::MAX);
        if !place::advance(pool, topic, self.place, (last, count)).await? {
            return Err(Ended::LeaseLost);
        }
        self.pace.one_by_one = (self.pace.one_by_one - (last - self.place.position)).max(0);
        self.pace.pause = self.relay.config.backoff;
        self.place.position = last;
        counter!("cairn_relay_sent_total", "topic" => topic.to_owned())
            .increment(count.unsigned_abs());
        gauge!("cairn_relay_stopped", "topic" => topic.to_owned()).set(0.0);
        Ok(())
    }

    /// Renews the lease when a third of it is over.
    async fn keep_lease(&mut self) -> Result<(), Ended> {
        let RelayConfig { owner, lease, .. } = &self.relay.config;
        if self.renewed.elapsed() < *lease / 3 {
            return Ok(());
        }
        let (pool, topic) = (self.relay.log.pool(), self.relay.topic.name());
        let asked = Instant::now();
        match place::lease(pool, topic, owner, *lease).await? {
            Some(kept) if kept.token == self.place.token => self.renewed = asked,
            _ => return Err(Ended::LeaseLost),
        }
        Ok(())
    }

    /// Acknowledgements are long in coming: says so where people look.
    async fn waits(&self, events: &[PublicEvent]) -> Result<(), Ended> {
        let (topic, health) = (self.relay.topic.name(), self.relay.topic.health());
        let cause =
            health.last_error.unwrap_or_else(|| "the brokers do not acknowledge".to_owned());
        tracing::warn!(
            topic,
            unacknowledged = events.len(),
            cause,
            "the relay waits for the brokers"
        );
        place::fail(self.relay.log.pool(), topic, self.place.token, &cause).await?;
        self.publish(self.relay.log.head().await?).await
    }

    #[allow(clippy::cast_precision_loss, reason = "a gauge")]
    async fn publish(&self, head: i64) -> Result<(), Ended> {
        let topic = || self.relay.topic.name().to_owned();
        let position = self.place.position;
        gauge!("cairn_relay_position", "topic" => topic()).set(position as f64);
        gauge!("cairn_relay_lag_events", "topic" => topic()).set((head - position).max(0) as f64);
        gauge!("cairn_relay_lag_seconds", "topic" => topic())
            .set(lag_seconds(&self.relay.log, position).await?);
        counter!("cairn_relay_broker_errors_total", "topic" => topic())
            .absolute(self.relay.topic.health().errors);
        Ok(())
    }
}

async fn rest(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}
