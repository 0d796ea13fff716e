//! Requests and a log that acts as the application's role.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part")]
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_core::{BookEntry, Currency, HoldChange, HoldId, JournalTransaction, Timestamp};
use cairn_event_log::{AppendRequest, Appended, EventLog, Metadata, NewEvent, Outcome};
use sqlx::PgPool;

pub const TYPE: &str = "thing";

/// The log of a test database. Close it at the end, so that the database can go.
pub async fn open(pool: &PgPool) -> EventLog {
    EventLog::connect((*pool.connect_options()).clone(), 8).await.unwrap()
}

/// A command of its own for a stream of which `expected` events are known.
pub fn request(stream: &str, expected: i64, events: Vec<NewEvent>) -> AppendRequest {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    AppendRequest {
        command_id: format!("command-{}-{number}", std::process::id()),
        command_hash: [7; 32],
        aggregate_type: TYPE,
        aggregate_id: stream.to_owned(),
        expected_sequence: expected,
        events,
        outcome: Outcome::Accepted { result: serde_json::json!({ "number": number }) },
        metadata: Metadata {
            actor: "test".to_owned(),
            correlation_id: "test".to_owned(),
            ..Metadata::default()
        },
    }
}

pub fn event(note: &str) -> NewEvent {
    NewEvent {
        event_type: "thing.noted".to_owned(),
        event_version: "1".to_owned(),
        payload: serde_json::json!({ "type": "thing.noted", "note": note }).to_string(),
        book: None,
    }
}

pub fn booked(book: BookEntry) -> NewEvent {
    NewEvent { book: Some(book), ..event("money") }
}

pub fn done(appended: &Appended) -> (i64, i64) {
    match appended {
        Appended::Done { position, sequence } => (*position, *sequence),
        other => panic!("not done: {other:?}"),
    }
}

pub const WALLET: &str = "wallet:paid:org_1:USD";

pub fn transfer(
    (kind, source_id): (&str, &str),
    amount: i64,
    (debit, credit): (&str, &str),
) -> JournalTransaction {
    JournalTransaction::transfer(
        (kind, "test", source_id),
        (Currency::USD, amount),
        (debit.to_owned(), credit.to_owned()),
        Timestamp::from_secs(1_700_000_000),
    )
}

pub fn top_up(source_id: &str, amount: i64) -> BookEntry {
    moved(transfer(("top_up", source_id), amount, ("stripe:pending:USD", WALLET)))
}

pub fn usage(source_id: &str, amount: i64) -> BookEntry {
    moved(transfer(("usage", source_id), amount, (WALLET, "usage:compute:USD")))
}

pub fn moved(journal: JournalTransaction) -> BookEntry {
    BookEntry::movement(journal)
}

pub fn hold(id: u128, reserved: i64, captured: i64, released: i64) -> HoldChange {
    HoldChange {
        hold_id: HoldId::from_bits(id),
        account: WALLET.to_owned(),
        currency: Currency::USD,
        reserved_nanos: reserved,
        captured_nanos: captured,
        released_nanos: released,
        expires_at: Timestamp::from_secs(1_700_003_600),
    }
}

pub fn held(hold: HoldChange) -> BookEntry {
    BookEntry { hold: Some(hold), ..BookEntry::default() }
}
