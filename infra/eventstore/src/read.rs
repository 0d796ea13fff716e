//! Reads streams and `$all`, and follows it across broken connections.
use std::sync::Arc;
use std::time::Duration;

use cairn_event_log::{Carried, LogError, Recorded};
use eventstore::{
    Position, ReadAllOptions, ReadStreamOptions, RecordedEvent, StreamPosition,
    SubscribeToAllOptions, Subscription, SubscriptionEvent, SubscriptionFilter,
};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use crate::client::{Connection, reading};
use crate::wire::{self, Assembly, Found};

/// Events of one read of `$all`.
const PAGE: usize = 512;
/// How long a broken subscription waits before it tries again.
const PAUSE: Duration = Duration::from_millis(200);

/// The events of a stream that is perhaps not there.
pub(crate) async fn events(
    connection: &Connection,
    stream: &str,
    options: &ReadStreamOptions,
) -> Result<Vec<RecordedEvent>, LogError> {
    let read = connection.ask(async |client| {
        let (mut found, mut reading) = (vec![], client.read_stream(stream, options).await?);
        while let Some(event) = reading.next().await? {
            found.extend(event.event);
        }
        Ok(found)
    });
    Ok(read.await?.unwrap_or_default())
}

/// Events of an aggregate after a sequence.
pub(crate) async fn after(
    connection: &Connection,
    stream: (&str, &str),
    (after_sequence, limit): (i64, i64),
) -> Result<Vec<RecordedEvent>, LogError> {
    let from = u64::try_from(after_sequence).map_err(wire::corrupt)?;
    let limit = usize::try_from(limit).map_err(wire::corrupt)?;
    let options =
        ReadStreamOptions::default().position(StreamPosition::Position(from)).max_count(limit);
    events(connection, &wire::stream_name(stream)?, &options).await
}

/// Facts of all streams after a position.
pub(crate) async fn all(
    connection: &Connection,
    after_position: i64,
    limit: i64,
) -> Result<Vec<Recorded>, LogError> {
    let limit = usize::try_from(limit).map_err(wire::corrupt)?;
    let (mut facts, mut after) = (vec![], after_position);
    while facts.len() < limit {
        let page = page(connection, after).await?;
        let Some(last) = page.last() else { break };
        after = wire::number(last.position.commit)?;
        for event in &page {
            if let Found::Fact(fact) = wire::read(event)? {
                facts.push(fact.recorded()?);
            }
        }
    }
    facts.truncate(limit);
    Ok(facts)
}

/// Some events of `$all` after a position; none at its end.
async fn page(connection: &Connection, after: i64) -> Result<Vec<RecordedEvent>, LogError> {
    let from = place(after)?;
    let options = ReadAllOptions::default().position(from).max_count(PAGE);
    let read = connection.ask(async |client| {
        let (mut found, mut reading) = (vec![], client.read_all(&options).await?);
        while let Some(event) = reading.next().await? {
            found.extend(event.event);
        }
        Ok(found)
    });
    let mut page = read.await?.unwrap_or_default();
    // A read begins with the event at its position.
    page.retain(|event| wire::number(event.position.commit).is_ok_and(|at| at > after));
    Ok(page)
}

fn place(position: i64) -> Result<StreamPosition<Position>, LogError> {
    let commit = u64::try_from(position).map_err(wire::corrupt)?;
    Ok(match commit {
        0 => StreamPosition::Start,
        // What is appended by these calls is committed where it is prepared.
        commit => StreamPosition::Position(Position { commit, prepare: commit }),
    })
}

/// Follows `$all`.
struct Follower {
    connection: Arc<Connection>,
    after: i64,
    /// With the number of the client that it came from.
    under_way: Option<(Subscription, u64)>,
    broken: bool,
}

impl Follower {
    /// The next event of ours. After an error it begins where it was.
    async fn next(&mut self) -> Result<RecordedEvent, LogError> {
        if std::mem::take(&mut self.broken) {
            tokio::time::sleep(PAUSE).await;
        }
        let (mut subscription, number) = match self.under_way.take() {
            Some(under_way) => under_way,
            None => subscribe(&self.connection, self.after).await?,
        };
        loop {
            match subscription.next_subscription_event().await {
                Ok(SubscriptionEvent::EventAppeared(found)) => {
                    let Some(event) = found.event else { continue };
                    self.after = wire::number(event.position.commit)?;
                    self.under_way = Some((subscription, number));
                    return Ok(event);
                }
                Ok(_) => {}
                Err(error) => {
                    self.broken = true;
                    self.connection.give_up(number, &error);
                    return Err(reading(&error));
                }
            }
        }
    }
}

async fn subscribe(connection: &Connection, after: i64) -> Result<(Subscription, u64), LogError> {
    let ours = SubscriptionFilter::on_stream_name().add_prefix(wire::PREFIX);
    let options = SubscribeToAllOptions::default().position(place(after)?).filter(ours);
    let (client, number) = connection.current();
    Ok((client.subscribe_to_all(&options).await, number))
}

fn follow(
    connection: Arc<Connection>,
    after: i64,
) -> impl futures::Stream<Item = Result<RecordedEvent, LogError>> + Send + 'static {
    let follower = Follower { connection, after, under_way: None, broken: false };
    stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await;
        Some((next, follower))
    })
}

/// Facts after a position, for ever.
pub(crate) fn facts(
    connection: Arc<Connection>,
    after: i64,
) -> BoxStream<'static, Result<Recorded, LogError>> {
    let facts = follow(connection, after).filter_map(async |event| {
        match event.and_then(|event| wire::read(&event)) {
            Ok(Found::Fact(fact)) => Some(fact.recorded()),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    });
    facts.boxed()
}

/// Requests after a position, for ever.
pub(crate) fn requests(
    connection: Arc<Connection>,
    after: i64,
) -> BoxStream<'static, Result<Carried, LogError>> {
    let events = follow(connection, after);
    let requests = events.scan(Assembly::default(), |assembly, event| {
        let next = event.and_then(|event| assemble(assembly, &event));
        std::future::ready(Some(next.transpose()))
    });
    requests.filter_map(std::future::ready).boxed()
}

/// `None` in the midst of a request.
fn assemble(assembly: &mut Assembly, event: &RecordedEvent) -> Result<Option<Carried>, LogError> {
    let position = wire::number(event.position.commit)?;
    let request = match wire::read(event)? {
        Found::Fact(fact) => match assembly.add(*fact)? {
            Some(request) => Some(request),
            None => return Ok(None),
        },
        Found::Claim(claim) if claim.events.is_empty() => Some(claim.into_request()?),
        Found::Claim(_) | Found::Other => None,
    };
    Ok(Some(Carried { position, request }))
}
