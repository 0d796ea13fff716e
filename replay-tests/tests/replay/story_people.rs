//! What people do in the story beside renting and paying.
use cairn_core::Subject;
use cairn_identity::{ErasureCommand, Searched};
use cairn_operations::{InterventionCommand, Verb};

use super::story::{at, text};

pub fn intervention() -> [InterventionCommand; 2] {
    let call = InterventionCommand::Call {
        process: text("rent_node"),
        key: text("alloc_1"),
        intent: text("teardown"),
        error: text("timeout"),
        at: at(15),
    };
    [call, InterventionCommand::Resolve { verb: Verb::Retry, reason: text("back"), at: at(16) }]
}

pub fn erasure(subject: &Subject) -> [ErasureCommand; 2] {
    let begin = ErasureCommand::Begin {
        subject: subject.clone(),
        key_id: "4f".repeat(16),
        reason: text("asked by letter"),
        at: at(950),
    };
    let searched = Searched { texts: 7, tables: 44, rows: 1_234, found: 0 };
    [begin, ErasureCommand::Complete { searched, at: at(953) }]
}
