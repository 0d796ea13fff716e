//! The smallest aggregate there is: it takes notes. Both executors run the same one.
use cairn_core::{Decider, Refusal, Text, Texts, cqrs_aggregate, domain_event};
use serde::{Deserialize, Serialize};

/// A note of about 350 bytes in all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum NoteEvent {
    #[serde(rename = "note.taken")]
    Taken { number: u64, author: String, text: String },
}

domain_event!(NoteEvent {
    Taken => "note.taken", 1;
});

impl Texts for NoteEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[];
}

#[derive(Debug, Clone)]
pub struct TakeNote {
    pub number: u64,
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never;

impl Refusal for Never {
    fn code(&self) -> &'static str {
        "never"
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Note {
    pub taken: u64,
}

impl Decider for Note {
    const TYPE: &'static str = "note";
    type Command = TakeNote;
    type Event = NoteEvent;
    type Error = Never;

    fn decide(&self, command: TakeNote) -> Result<Vec<NoteEvent>, Never> {
        let TakeNote { number, text } = command;
        Ok(vec![NoteEvent::Taken {
            number,
            author: "org_01J0000000000000000000000".to_owned(),
            text,
        }])
    }

    fn evolve(self, NoteEvent::Taken { .. }: NoteEvent) -> Self {
        Self { taken: self.taken + 1 }
    }
}

cqrs_aggregate!(Note);

/// The text that makes an event about 350 bytes.
pub fn text() -> String {
    "The quick brown fox jumps over the lazy dog. ".repeat(6)
}
