//! Appends at most once per command id, over streams that know nothing of each other.
//!
//! | step | what is written | who else sees it |
//! |---|---|---|
//! | claim | the whole request, in the stream of its command id, which must not exist yet | a second one under the id finds it |
//! | facts | its events, in the stream of its aggregate, at the expected revision | everybody |
//!
//! A claim without events is done when it is written. One with events is done when its events are there, impossible when others
//! are at their place, and else still to be done: whoever finds it does it, since it holds all that is needed and its events have
//! ids of their own, so that doing it twice is doing it once. Only after an impossible claim another one may follow.
use cairn_event_log::{AppendRequest, Appended, LogError, StoredOutcome};
use eventstore::{
    AppendToStreamOptions, Error, EventData, ExpectedRevision, ReadStreamOptions, StreamPosition,
};

use crate::client::{Connection, writing};
use crate::read::events;
use crate::wire::{self, Claim, Found};

/// How often an append looks again at who else claims its command id.
const ROUNDS: usize = 16;

/// What there is under a command id.
enum Standing {
    /// Nothing.
    Free,
    /// A claim that was carried out, at a position.
    Done(Claim, i64),
    /// A claim, at a revision, that can never be carried out.
    Void(Claim, u64),
}

pub(crate) async fn append(
    connection: &Connection,
    request: &AppendRequest,
) -> Result<Appended, LogError> {
    let claim = Claim::of(request);
    wire::stream_name(claim.stream())?;
    // Mostly nobody has claimed it.
    let mut standing = Standing::Free;
    for _ in 0..ROUNDS {
        let attempt = match &standing {
            Standing::Free => 0,
            Standing::Done(first, _) | Standing::Void(first, _)
                if first.hash()? != request.command_hash =>
            {
                return Ok(Appended::KeyReused);
            }
            Standing::Done(first, position) => {
                return Ok(Appended::Repeated(stored(first, *position)));
            }
            Standing::Void(_, revision) => revision + 1,
        };
        match claim_it(connection, &claim, attempt).await? {
            Some(position) if claim.events.is_empty() => {
                return Ok(Appended::Done { position, sequence: claim.expected_sequence });
            }
            Some(_) => {
                let done = carry_out(connection, &claim, attempt).await?;
                return Ok(done.map_or(Appended::Stale, |position| Appended::Done {
                    position,
                    sequence: claim.sequence_after(),
                }));
            }
            None => standing = look(connection, &claim.command_id).await?,
        }
    }
    Err(LogError::Unavailable("many use one key at the same time".to_owned()))
}

/// The outcome of a command id, if anything was carried out under it.
pub(crate) async fn outcome(
    connection: &Connection,
    command_id: &str,
) -> Result<Option<(StoredOutcome, [u8; 32])>, LogError> {
    match look(connection, command_id).await.map_err(read_only)? {
        Standing::Done(claim, position) => Ok(Some((stored(&claim, position), claim.hash()?))),
        Standing::Free | Standing::Void(..) => Ok(None),
    }
}

/// Who asks for an outcome is not in doubt of anything of his own.
fn read_only(error: LogError) -> LogError {
    match error {
        LogError::InDoubt(cause) => LogError::Unavailable(cause),
        other => other,
    }
}

fn stored(claim: &Claim, position: i64) -> StoredOutcome {
    StoredOutcome {
        outcome: claim.outcome().clone(),
        position,
        aggregate_type: claim.stream().0.to_owned(),
        aggregate_id: claim.aggregate_id.clone(),
        sequence: claim.sequence_after(),
    }
}

/// The last claim of a command id; if it can still be carried out, it is.
async fn look(connection: &Connection, command_id: &str) -> Result<Standing, LogError> {
    let last = ReadStreamOptions::default().backwards().position(StreamPosition::End).max_count(1);
    let last = events(connection, &wire::key_name(command_id), &last).await?;
    let Some(event) = last.first() else { return Ok(Standing::Free) };
    let Found::Claim(claim) = wire::read(event)? else {
        return Err(wire::corrupt("what is in the stream of a key is no claim"));
    };
    if claim.command_id != command_id {
        return Err(wire::corrupt(format!("the claim of {command_id} is of {}", claim.command_id)));
    }
    if claim.events.is_empty() {
        return Ok(Standing::Done(*claim, wire::number(event.position.commit)?));
    }
    Ok(match carry_out(connection, &claim, event.revision).await? {
        Some(position) => Standing::Done(*claim, position),
        None => Standing::Void(*claim, event.revision),
    })
}

/// Writes a claim as number `attempt` of its command id, and says where. `None`: that number is taken.
async fn claim_it(
    connection: &Connection,
    claim: &Claim,
    attempt: u64,
) -> Result<Option<i64>, LogError> {
    let key = wire::key_name(&claim.command_id);
    write(connection, &key, attempt, vec![claim.data()?]).await
}

/// Writes the events of a claim, and says where. `None`: others are at their place.
async fn carry_out(
    connection: &Connection,
    claim: &Claim,
    attempt: u64,
) -> Result<Option<i64>, LogError> {
    let stream = wire::stream_name(claim.stream())?;
    let length = u64::try_from(claim.expected_sequence).map_err(wire::corrupt)?;
    if let Some(position) = write(connection, &stream, length, claim.facts(attempt)?).await? {
        return Ok(Some(position));
    }
    // The server may have forgotten that it has just these; their ids say it.
    let last = u64::try_from(claim.sequence_after() - 1).map_err(wire::corrupt)?;
    let id = wire::event_id(&claim.command_id, attempt, claim.events.len());
    let there = ReadStreamOptions::default().position(StreamPosition::Position(last)).max_count(1);
    let there = events(connection, &stream, &there).await?;
    let ours = there.first().filter(|event| event.id == id);
    ours.map(|event| wire::number(event.position.commit)).transpose()
}

/// Appends to a stream of so many events. `None`: it has another number.
async fn write(
    connection: &Connection,
    stream: &str,
    length: u64,
    data: Vec<EventData>,
) -> Result<Option<i64>, LogError> {
    let expected = match length.checked_sub(1) {
        None => ExpectedRevision::NoStream,
        Some(revision) => ExpectedRevision::Exact(revision),
    };
    let options = AppendToStreamOptions::default().expected_revision(expected);
    let stream = stream.to_owned();
    let written = connection
        .call(|client| async move { client.append_to_stream(stream, &options, data).await })
        .await;
    match written {
        Ok(written) => wire::number(written.position.commit).map(Some),
        Err(Error::WrongExpectedVersion { .. }) => Ok(None),
        Err(error) => Err(writing(&error)),
    }
}
