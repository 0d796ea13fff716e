//! Told events, appended to a real log.
use std::collections::BTreeSet;

use cairn_catalog::{Discounts, Sku, TaxTable};
use cairn_compute::Allocation;
use cairn_core::{Decider, StoredEvent};
use cairn_event_log::{AppendRequest, Appended, EventLog, Metadata, NewEvent, Outcome};
use cairn_finance::{Billing, BreakCase, CreditNoteSeries, InvoiceSeries, LegalEntity, Period};
use cairn_fleet::Node;
use cairn_identity::{ApiKey, EmailAddress, Erasure, Organisation, User};
use cairn_ledger::{Dunning, Wallet};
use cairn_notify::WebhookEndpoint;
use cairn_operations::{Configuration, FeatureFlag, Intervention};
use cairn_payments::{AutoTopUp, Dispute, Payment, PaymentMethods, Payout, Refund};

use super::story::{Streams, Told, story};

/// Appends told events, at most `batch` of one stream at a time, with what they write into the books.
pub async fn append(log: &EventLog, told: &[Told], batch: usize) {
    let mut streams = Streams::default();
    let mut rest = told;
    while let Some(first) = rest.first() {
        let stream = |t: &&Told| {
            (&t.aggregate_type, &t.aggregate_id) == (&first.aggregate_type, &first.aggregate_id)
        };
        let count = rest.iter().take(batch).take_while(stream).count();
        append_one(log, &mut streams, &rest[..count]).await;
        rest = &rest[count..];
    }
}

/// Appends told events as they were decided: so many with each command.
pub async fn append_decisions(log: &EventLog, told: &[Told], decisions: &[usize]) {
    let mut streams = Streams::default();
    let mut rest = told;
    for &count in decisions.iter().filter(|&&count| count > 0) {
        append_one(log, &mut streams, &rest[..count]).await;
        rest = &rest[count..];
    }
    assert!(rest.is_empty(), "every event belongs to a decision");
}

#[test]
fn what_writes_into_the_books_is_what_their_verifier_reads() {
    let mut streams = Streams::default();
    let told = story();
    let writes = told.iter().filter(|told| written(&mut streams, told).book.is_some());
    let types: BTreeSet<_> = writes.map(|told| told.aggregate_type.as_str()).collect();
    assert_eq!(types.into_iter().collect::<Vec<_>>(), cairn_commands::replay::IN_THE_BOOKS);
}

async fn append_one(log: &EventLog, streams: &mut Streams, told: &[Told]) {
    let first = &told[0];
    let events = told.iter().map(|t| written(streams, t)).collect();
    let command_id = format!("{}/{}/{}", first.aggregate_type, first.aggregate_id, first.sequence);
    let request = AppendRequest {
        command_id: command_id.clone(),
        command_hash: [0; 32],
        aggregate_type: static_type(&first.aggregate_type),
        aggregate_id: first.aggregate_id.clone(),
        expected_sequence: first.sequence - 1,
        events,
        outcome: Outcome::Accepted { result: serde_json::Value::Null },
        metadata: Metadata { actor: "golden".to_owned(), command_id, ..Metadata::default() },
    };
    assert!(matches!(log.append(request).await.unwrap(), Appended::Done { .. }));
}

macro_rules! for_aggregate {
    ($name:expr, $run:ident, $($argument:expr),*) => {
        match $name {
            Allocation::TYPE => $run::<Allocation>($($argument),*),
            ApiKey::TYPE => $run::<ApiKey>($($argument),*),
            Billing::TYPE => $run::<Billing>($($argument),*),
            BreakCase::TYPE => $run::<BreakCase>($($argument),*),
            Configuration::TYPE => $run::<Configuration>($($argument),*),
            AutoTopUp::TYPE => $run::<AutoTopUp>($($argument),*),
            Dunning::TYPE => $run::<Dunning>($($argument),*),
            EmailAddress::TYPE => $run::<EmailAddress>($($argument),*),
            Erasure::TYPE => $run::<Erasure>($($argument),*),
            FeatureFlag::TYPE => $run::<FeatureFlag>($($argument),*),
            Intervention::TYPE => $run::<Intervention>($($argument),*),
            InvoiceSeries::TYPE => $run::<InvoiceSeries>($($argument),*),
            LegalEntity::TYPE => $run::<LegalEntity>($($argument),*),
            Node::TYPE => $run::<Node>($($argument),*),
            Organisation::TYPE => $run::<Organisation>($($argument),*),
            Payment::TYPE => $run::<Payment>($($argument),*),
            PaymentMethods::TYPE => $run::<PaymentMethods>($($argument),*),
            Payout::TYPE => $run::<Payout>($($argument),*),
            Period::TYPE => $run::<Period>($($argument),*),
            CreditNoteSeries::TYPE => $run::<CreditNoteSeries>($($argument),*),
            Discounts::TYPE => $run::<Discounts>($($argument),*),
            Dispute::TYPE => $run::<Dispute>($($argument),*),
            Refund::TYPE => $run::<Refund>($($argument),*),
            Sku::TYPE => $run::<Sku>($($argument),*),
            TaxTable::TYPE => $run::<TaxTable>($($argument),*),
            User::TYPE => $run::<User>($($argument),*),
            Wallet::TYPE => $run::<Wallet>($($argument),*),
            WebhookEndpoint::TYPE => $run::<WebhookEndpoint>($($argument),*),
            other => panic!("no aggregate is a '{other}'"),
        }
    };
}

fn written(streams: &mut Streams, told: &Told) -> NewEvent {
    fn of<A: Decider>(streams: &mut Streams, told: &Told) -> NewEvent {
        let version = told.event_version.parse().unwrap();
        let event = A::Event::from_stored(&told.event_type, version, &told.payload).unwrap();
        streams.add::<A>(&told.aggregate_id, &event).1
    }
    for_aggregate!(told.aggregate_type.as_str(), of, streams, told)
}

fn static_type(name: &str) -> &'static str {
    fn of<A: Decider>() -> &'static str {
        A::TYPE
    }
    for_aggregate!(name, of,)
}
