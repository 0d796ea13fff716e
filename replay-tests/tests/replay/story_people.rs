//! What people do in the story beside renting and paying.
use cairn_core::Subject;
use cairn_identity::{ErasureCommand, Searched};
use cairn_operations::{ConfigurationCommand, InterventionCommand, Verb};

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

pub fn configuration() -> [ConfigurationCommand; 1] {
    let change = ConfigurationCommand::Change {
        setting: text("logging.filter"),
        from: text("info"),
        to: text("debug"),
        said_in: text("/etc/cairn/cairn.toml:7"),
        at: at(960),
    };
    [change]
}
