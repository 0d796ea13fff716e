//! The deliverer: sends what is due. At least once, each endpoint by itself, and one that fails takes no hands from those that answer.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_core::Timestamp;
use cairn_notify::{DisableReason, WebhookEndpoint};
use cairn_spans::{Cause, Kind, Spans, Work};
use cairn_tasks::{caught, named};
use metrics::{counter, histogram};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::due::{self, Attempt, Fate, Leased, Room};
use super::endpoints::{self, Change, Wish};
use super::{SCHEDULE, schedule, secrets};
use crate::ports::{PortError, WebhookAnswer, WebhookCall, WebhookPort};
use crate::public::translate;
use crate::traced;
use crate::{CommandContext, Commands, ExecuteError, Expected};

/// How deliveries are made.
#[derive(Debug, Clone)]
pub struct DeliverConfig {
    /// Names this Cairn in its events.
    pub source: String,
    /// Deliveries of this process at once.
    pub workers: usize,
    /// Of them to one endpoint.
    pub per_endpoint: usize,
    /// How long a lease lasts when its owner is gone; longer than any attempt.
    pub lease: Duration,
    /// Longest time before it looks without being woken.
    pub poll: Duration,
    /// Pauses after attempts that failed.
    pub schedule: Vec<Duration>,
    /// An endpoint that has failed for so long is disabled.
    pub disable_after: Duration,
}

impl DeliverConfig {
    /// The defaults.
    #[must_use]
    pub fn new(source: &str) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        Self {
            source: source.to_owned(),
            workers: 32,
            per_endpoint: 4,
            lease: Duration::from_secs(60),
            poll: Duration::from_millis(500),
            schedule: SCHEDULE.to_vec(),
            disable_after: 5 * DAY,
        }
    }
}

/// Sends webhooks; any number of processes may.
#[derive(Clone)]
pub struct Deliverer {
    commands: Commands,
    port: Arc<dyn WebhookPort>,
    config: DeliverConfig,
    /// Rung when something is owed.
    bell: Arc<Notify>,
    spans: Spans,
}

/// What is being sent, by endpoint: how often, and how often to one that fails.
#[derive(Default)]
struct Hands {
    tasks: JoinSet<Leased>,
    busy: BTreeMap<String, usize>,
    failing: usize,
}

/// Why an attempt was not made.
enum Unmade {
    /// Something of ours is away: as if nobody had tried.
    Later(String),
    /// It will never be.
    Never(&'static str),
}

impl From<ExecuteError> for Unmade {
    fn from(error: ExecuteError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<PortError> for Unmade {
    fn from(error: PortError) -> Self {
        Self::Later(error.to_string())
    }
}

impl Deliverer {
    /// A deliverer; nothing runs yet.
    #[must_use]
    pub fn new(
        commands: Commands,
        port: Arc<dyn WebhookPort>,
        config: DeliverConfig,
        bell: Arc<Notify>,
    ) -> Self {
        Self { commands, port, config, bell, spans: Spans::default() }
    }

    /// Sends until the token is cancelled; then ends what it has begun.
    pub async fn run(mut self, stop: CancellationToken) {
        self.spans = Spans::current();
        let mut hands = Hands::default();
        while !stop.is_cancelled() {
            let wait = match self.fill(&mut hands).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "webhooks wait for the database");
                    self.config.poll
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bell.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(done) = hands.tasks.join_next() => hands.free(done.ok()),
            }
        }
        while hands.tasks.join_next().await.is_some() {}
    }

    /// Gives every free hand something that is due. Answers how long there is nothing more to do.
    async fn fill(&self, hands: &mut Hands) -> Result<Duration, sqlx::Error> {
        let pool = self.commands.executor.log().pool();
        while let Some(done) = hands.tasks.try_join_next() {
            hands.free(done.ok());
        }
        while hands.tasks.len() < self.config.workers {
            let (now, room) = (self.commands.clock.now(), hands.room(&self.config));
            let Some(leased) = due::lease(pool, now, self.config.lease, &room).await? else {
                let next = due::next(pool, now).await?;
                return Ok(self.idle_for(next));
            };
            hands.take(&leased);
            let deliverer = self.clone();
            hands.tasks.spawn(named("webhooks", async move {
                // Its lease runs out, and somebody tries again.
                let _ = caught(deliverer.deliver(&leased)).await;
                leased
            }));
        }
        Ok(self.config.poll)
    }

    fn idle_for(&self, next: Option<Timestamp>) -> Duration {
        let now = self.commands.clock.now().as_micros();
        let until = next.map_or(i64::MAX, |due| due.as_micros().saturating_sub(now));
        let until = Duration::from_micros(u64::try_from(until).unwrap_or(0));
        until.clamp(Duration::from_millis(1), self.config.poll)
    }

    async fn deliver(&self, leased: &Leased) {
        let pool = self.commands.executor.log().pool();
        let (endpoint_id, position) = (&leased.endpoint_id, leased.position);
        let done = match self.call(leased).await {
            Ok((call, cause)) => self.attempt(leased, call, cause).await,
            Err(Unmade::Never(why)) => {
                due::drop_it(pool, leased, (self.commands.clock.now(), why)).await
            }
            Err(Unmade::Later(why)) => {
                tracing::warn!(endpoint_id, position, why, "a webhook waits");
                let later = self.commands.clock.now().as_micros().saturating_add(5_000_000);
                due::give_back(pool, leased, Timestamp::from_micros(later)).await
            }
        };
        if let Err(error) = done {
            tracing::warn!(endpoint_id, position, %error, "an attempt was not noted: it is made again");
        }
    }

    /// What is sent, as everything is now.
    async fn call(&self, leased: &Leased) -> Result<(WebhookCall, Cause), Unmade> {
        let executor = &self.commands.executor;
        let (endpoint, _) = executor.load::<WebhookEndpoint>(&leased.endpoint_id).await?;
        if endpoint.deleted {
            return Err(Unmade::Never("the endpoint was deleted"));
        }
        if endpoint.disabled.is_some() {
            return Err(Unmade::Later("the endpoint was disabled".to_owned()));
        }
        let (personal, at) = (executor.personal(), self.commands.clock.now());
        const ERASED: Unmade = Unmade::Never("the organisation is erased");
        let url = personal.open(&endpoint.url).await?.ok_or(ERASED)?;
        let mut secrets = vec![];
        for secret in endpoint.signing(at) {
            secrets.push(secrets::open(personal, secret).await?.ok_or(ERASED)?);
        }
        let facts = executor.log().read(leased.position - 1, 1).await;
        let facts = facts.map_err(|error| Unmade::Later(error.to_string()))?;
        let fact = facts.first().filter(|fact| fact.position == leased.position);
        let fact = fact.ok_or(Unmade::Never("there is no such event"))?;
        let event = translate(fact, &self.config.source);
        let event = event.map_err(|error| Unmade::Later(error.to_string()))?;
        let event = event.ok_or(Unmade::Never("the event is not public any more"))?;
        let call = WebhookCall { id: event.id, url, at, secrets, body: event.body };
        Ok((call, traced::cause(fact)))
    }

    async fn attempt(
        &self,
        leased: &Leased,
        call: WebhookCall,
        cause: Cause,
    ) -> Result<(), sqlx::Error> {
        let attempt = u32::try_from(leased.attempt).unwrap_or(u32::MAX);
        let work = self.spans.begin(Kind::Client, "webhook POST", cause).tried(attempt);
        let begun = Instant::now();
        let heard = caught(work.run(self.port.post(call))).await;
        let heard = heard
            .unwrap_or_else(|panicked| Err(PortError::transient("internal", panicked.to_string())));
        answered(&work, &heard);
        drop(work);
        let (latency, now) = (begun.elapsed(), self.commands.clock.now());
        let fate = self.fate(leased, &heard, now);
        counter!("cairn_webhooks_attempts_total", "outcome" => fate.name()).increment(1);
        histogram!("cairn_webhooks_attempt_seconds").record(latency.as_secs_f64());
        let is_gone = heard.as_ref().is_ok_and(|answer| answer.status == 410);
        let heard = heard.map(|answer| (answer.status, answer.begins));
        let attempt = Attempt { at: now, latency, heard: heard.map_err(|error| error.to_string()) };
        let pool = self.commands.executor.log().pool();
        let Ok(failing_since) = due::note(pool, leased, &attempt, fate).await? else {
            let (endpoint_id, position) = (&leased.endpoint_id, leased.position);
            tracing::warn!(
                endpoint_id,
                position,
                "a webhook's lease was lost: it may arrive twice"
            );
            return Ok(());
        };
        let patience = i64::try_from(self.config.disable_after.as_micros()).unwrap_or(i64::MAX);
        let failed_for = failing_since.map(|since| now.as_micros() - since.as_micros());
        if is_gone {
            self.disable(leased, DisableReason::Gone).await;
        } else if failed_for.is_some_and(|micros| micros >= patience) {
            self.disable(leased, DisableReason::Failing).await;
        }
        Ok(())
    }

    fn fate(
        &self,
        leased: &Leased,
        heard: &Result<WebhookAnswer, PortError>,
        now: Timestamp,
    ) -> Fate {
        let asked = match heard {
            Ok(answer) if (200..300).contains(&answer.status) => return Fate::Delivered,
            Ok(answer) if answer.status == 410 => return Fate::Failed,
            Ok(answer) => answer.retry_after,
            Err(_) => None,
        };
        let name = format!("{}/{}", leased.endpoint_id, leased.position);
        let next = schedule::next(&self.config.schedule, (&name, leased.tries), now, asked);
        next.map_or(Fate::Failed, Fate::Pending)
    }

    /// Says in the log that nothing goes there any more. Should that fail, the next attempt will find the same.
    async fn disable(&self, leased: &Leased, reason: DisableReason) {
        let Leased { endpoint_id, position, attempt, .. } = leased;
        let Ok(id) = endpoint_id.parse() else { return };
        let command_id = format!("webhooks:{endpoint_id}:{position}:{attempt}:disable");
        let context = CommandContext {
            body_hash: Sha256::digest(&command_id).into(),
            origin: Some("webhooks".to_owned()),
            ..CommandContext::by_itself("webhooks", command_id)
        };
        let change =
            Change { organisation_id: None, endpoint_id: id, expected: Expected::Anything };
        let wish = (change, Wish::Disable(reason));
        match endpoints::change(&self.commands, &context, wish).await {
            Ok(_) => {
                tracing::warn!(endpoint_id, ?reason, "a webhook endpoint is disabled");
                counter!("cairn_webhooks_disabled_total").increment(1);
            }
            Err(error) => tracing::warn!(endpoint_id, %error, "an endpoint was not disabled yet"),
        }
    }
}

/// What a span says of an answer. Not where it came from: that is the customer's.
fn answered(work: &Work, heard: &Result<WebhookAnswer, PortError>) {
    work.set("http.request.method", "POST");
    match heard {
        Ok(answer) => {
            work.set("http.response.status_code", i64::from(answer.status));
            if !(200..300).contains(&answer.status) {
                work.fail(answer.status.to_string());
            }
        }
        Err(error) => work.fail(error.code.clone()),
    }
}

impl Hands {
    fn take(&mut self, leased: &Leased) {
        *self.busy.entry(leased.endpoint_id.clone()).or_default() += 1;
        self.failing += usize::from(leased.failing);
    }

    /// A hand is free. Of one that was cut off nobody knows whose it was, so all are counted anew when none is left.
    fn free(&mut self, done: Option<Leased>) {
        if let Some(leased) = done {
            self.failing -= usize::from(leased.failing);
            if let Some(count) = self.busy.get_mut(&leased.endpoint_id) {
                *count -= 1;
            }
            self.busy.retain(|_, count| *count > 0);
        }
        if self.tasks.is_empty() {
            (self.busy, self.failing) = (BTreeMap::new(), 0);
        }
    }

    /// Of the hands at most half are for endpoints that fail, so that there is always one for those that do not.
    fn room(&self, config: &DeliverConfig) -> Room {
        let busy = self.busy.iter().filter(|(_, count)| **count >= config.per_endpoint);
        Room {
            busy: busy.map(|(endpoint_id, _)| endpoint_id.clone()).collect(),
            healthy_only: self.failing >= config.workers / 2,
        }
    }
}
