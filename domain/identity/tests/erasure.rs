//! The rules of an erasure.
use cairn_core::testing::given;
use cairn_core::{OrganisationId, Subject, Timestamp};
use cairn_identity::{Erasure, ErasureCommand, ErasureEvent, Searched};

const AT: Timestamp = Timestamp::from_secs(1_800_000_000);
const CLEAN: Searched = Searched { texts: 3, tables: 40, rows: 900, found: 0 };

fn subject() -> Subject {
    Subject::organisation(OrganisationId::from_bits(1))
}

fn begin(reason: &str) -> ErasureCommand {
    let (key_id, reason) = ("4f2a".to_owned(), reason.to_owned());
    ErasureCommand::Begin { subject: subject(), key_id, reason, at: AT }
}

fn begun() -> ErasureEvent {
    let (key_id, reason) = ("4f2a".to_owned(), "asked by letter".to_owned());
    ErasureEvent::Begun { subject: subject(), key_id, reason, at: AT }
}

fn erased() -> ErasureEvent {
    ErasureEvent::Erased { subject: subject(), key_id: "4f2a".to_owned(), searched: CLEAN, at: AT }
}

const fn complete(searched: Searched) -> ErasureCommand {
    ErasureCommand::Complete { searched, at: AT }
}

#[test]
fn an_erasure_begins_with_a_reason() {
    given::<Erasure>([]).when(begin("asked by letter")).then([begun()]);
    given::<Erasure>([]).when(begin("")).then_refused("reason_needed");
}

#[test]
fn a_repeat_changes_nothing() {
    given::<Erasure>([begun()]).when(begin("again")).then([]);
    given::<Erasure>([begun(), erased()]).when(complete(CLEAN)).then([]);
}

#[test]
fn it_is_complete_only_when_it_was_begun() {
    given::<Erasure>([begun()]).when(complete(CLEAN)).then([erased()]);
    given::<Erasure>([]).when(complete(CLEAN)).then_refused("erasure_not_begun");
}
