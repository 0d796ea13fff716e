//! The smallest aggregate that moves money: a till, whose every fact is one journal transaction. The books alone guard it.
use cairn_core::{
    BookEntry, Decider, JournalTransaction, Refusal, Text, Texts, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// Money was moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum TillEvent {
    #[serde(rename = "till.moved")]
    Moved { journal: JournalTransaction },
}

domain_event!(TillEvent {
    Moved => "till.moved", 1;
});

impl Texts for TillEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[];
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
pub struct Till {
    pub moved: u64,
}

impl Decider for Till {
    const TYPE: &'static str = "till";
    type Command = JournalTransaction;
    type Event = TillEvent;
    type Error = Never;

    fn decide(&self, journal: JournalTransaction) -> Result<Vec<TillEvent>, Never> {
        Ok(vec![TillEvent::Moved { journal }])
    }

    fn evolve(self, TillEvent::Moved { .. }: TillEvent) -> Self {
        Self { moved: self.moved + 1 }
    }

    fn book_entry(&self, TillEvent::Moved { journal }: &TillEvent) -> Option<BookEntry> {
        Some(BookEntry::movement(journal.clone()))
    }
}

cqrs_aggregate!(Till);
