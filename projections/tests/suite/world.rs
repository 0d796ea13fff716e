//! A log in a database of its own, and the smallest executor that decides, books and appends.
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cairn_core::{Decider, OrganisationId, Refusal, Timestamp};
use cairn_event_log::{AppendRequest, Appended, EventLog, Metadata, NewEvent, Outcome};
use cairn_projections::{Projection, Projector};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub log: EventLog,
    pub pool: PgPool,
    ticks: AtomicI64,
}

pub fn organisation(number: u128) -> OrganisationId {
    OrganisationId::from_bits(number)
}

impl World {
    /// Acts as the application's role, so what the role may not do fails here.
    pub async fn new(pool: PgPool) -> Self {
        let log = EventLog::connect((*pool.connect_options()).clone(), 12).await.unwrap();
        Self { log, pool, ticks: AtomicI64::new(0) }
    }

    /// A later instant each time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + self.ticks.fetch_add(1, Ordering::Relaxed))
    }

    /// Loads, decides and appends; answers the position after it.
    pub async fn run<A: Decider>(&self, id: &str, command: A::Command) -> i64 {
        self.decide::<A>(id, command).await.unwrap()
    }

    /// The same with a command that may be refused; answers whether it was accepted.
    pub async fn try_run<A: Decider>(&self, id: &str, command: A::Command) -> bool {
        self.decide::<A>(id, command).await.is_ok()
    }

    async fn decide<A: Decider>(&self, id: &str, command: A::Command) -> Result<i64, &'static str> {
        let history = self.log.load(A::TYPE, id, 0).await.unwrap();
        let known = i64::try_from(history.len()).unwrap();
        let mut state = A::fold(history.iter().map(|event| event.decode().unwrap()));
        let decided = state.decide(command).map_err(|error| error.code())?;
        let mut events = vec![];
        for event in decided {
            state = state.evolve(event.clone());
            events.push(NewEvent::try_new(&event, state.book_entry(&event)).unwrap());
        }
        Ok(self.append(A::TYPE, id, known, events).await)
    }

    /// Appends as it is, sound or not.
    pub async fn append(
        &self,
        aggregate_type: &'static str,
        id: &str,
        expected_sequence: i64,
        events: Vec<NewEvent>,
    ) -> i64 {
        let command_id = format!("command-{}", self.ticks.fetch_add(1, Ordering::Relaxed));
        let request = AppendRequest {
            command_hash: [0; 32],
            aggregate_type,
            aggregate_id: id.to_owned(),
            expected_sequence,
            events,
            outcome: Outcome::Accepted { result: serde_json::Value::Null },
            metadata: Metadata {
                actor: "tester".to_owned(),
                organisation_id: Some(organisation(1).to_string()),
                correlation_id: format!("for {aggregate_type}"),
                command_id: command_id.clone(),
                origin: Some("127.0.0.1".to_owned()),
                ..Metadata::default()
            },
            command_id,
        };
        match self.log.append(request).await.unwrap() {
            Appended::Done { position, .. } => position,
            other => panic!("not appended: {other:?}"),
        }
    }

    pub fn projector(&self, projections: Vec<Box<dyn Projection>>) -> Projector {
        Projector::new(self.log.clone(), projections)
    }

    /// Everything projected up to the head; the projector, stopped.
    pub async fn caught_up(&self, projections: Vec<Box<dyn Projection>>) -> Projector {
        let projector = self.projector(projections);
        let running = Running::start(&projector);
        projector.wait_for(self.log.head().await.unwrap(), PATIENCE).await.unwrap();
        running.stop().await;
        projector
    }

    /// So that the database can go.
    pub async fn close(self) {
        self.log.close().await;
        self.pool.close().await;
    }
}

/// A projector at work.
pub struct Running {
    tasks: JoinSet<()>,
    token: CancellationToken,
}

impl Running {
    pub fn start(projector: &Projector) -> Self {
        let (projector, token) = (projector.clone(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let theirs = token.clone();
        tasks.spawn(async move { projector.run(theirs).await });
        Self { tasks, token }
    }

    /// As SIGTERM does.
    pub async fn stop(mut self) {
        self.token.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    /// As SIGKILL does: whatever was under way is not finished.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Looks again and again until it holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "it did not come about in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn new_event(event_type: &str, payload: serde_json::Value) -> NewEvent {
    NewEvent {
        event_type: event_type.to_owned(),
        event_version: "1".to_owned(),
        payload: payload.to_string(),
        book: None,
    }
}
