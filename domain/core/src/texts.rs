//! What the texts in events are, for who stores them and for who makes a copy that may leave the house.
//!
//! Every event enum says of each text in its payloads whether it stays as it is or who it could tell something about. What is personal is
//! stored under the key of whose it is ([`crate::personal`]). In a copy everything but what is kept is masked, and so is a text that nobody
//! classified.
use serde_json::Value;

use crate::StoredEvent;
use crate::id::is_id;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// One of our ids, an instant, a currency, an account, or a word of a closed list: stays.
    Kept,
    /// The id of a movement: ours stays, a provider's is masked, each alike wherever it stands.
    Movement,
    /// Names a person, a machine or a thing of somebody's.
    Name,
    /// Where a machine is reached.
    Address,
    /// A public key.
    PublicKey,
    /// A hash in lower-case hex.
    Hash,
    /// An id that a provider gave to a movement of money: the books need it for as long as the law wants books.
    ProviderId,
    /// What somebody pays with, as the provider names it.
    Instrument,
    /// What somebody proves with who they are: the hash of a password, a secret shared with a device, a token sent by mail.
    Credential,
    /// A secret that somebody shares with us: sealed before it comes here, and opened in no answer.
    Secret,
    /// What a person said in their own words.
    Said,
    /// What a program reported.
    Reported,
}

impl Text {
    /// Whether it tells something about a person, so that it must be erasable.
    #[must_use]
    pub const fn is_personal(self) -> bool {
        self.identifies() || matches!(self, Self::Said)
    }

    /// Whether it is somebody's own, and nothing can be done without it. Words can be left out.
    #[must_use]
    pub const fn identifies(self) -> bool {
        matches!(self, Self::Name | Self::PublicKey | Self::Instrument | Self::Credential)
    }
}

/// Shows every text of a payload with its path ([`Texts::TEXTS`]). `type` is the wire name and no text.
pub fn for_each(payload: &mut Value, visit: &mut impl FnMut(&str, &mut String)) {
    let Value::Object(members) = payload else { return };
    for (name, value) in members.iter_mut().filter(|(name, _)| *name != "type") {
        walk(name, value, visit);
    }
}

fn walk(path: &str, value: &mut Value, visit: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::String(said) => visit(path, said),
        Value::Array(items) => {
            let path = format!("{path}[]");
            items.iter_mut().for_each(|item| walk(&path, item, visit));
        }
        Value::Object(members) => {
            for (name, value) in members {
                walk(&format!("{path}.{name}"), value, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An aggregate's events with the texts in their payloads.
pub trait Texts: StoredEvent {
    /// Each text by its path: members joined by `.`, elements of a list as `[]`. What stands in a journal transaction is known
    /// to all.
    const TEXTS: &'static [(&'static str, Text)];

    /// What the text at a path is; none when nobody said.
    #[must_use]
    fn text(path: &str) -> Option<Text> {
        let (texts, path) = match path.strip_prefix("journal.") {
            Some(rest) => (JOURNAL, rest),
            None => (Self::TEXTS, path),
        };
        texts.iter().find(|(known, _)| *known == path).map(|(_, text)| *text)
    }
}

/// The texts of a [`crate::JournalTransaction`].
pub const JOURNAL: &[(&str, Text)] = &[
    ("kind", Text::Kept),
    ("source", Text::Kept),
    ("source_id", Text::Movement),
    ("currency", Text::Kept),
    ("occurred_at", Text::Kept),
    ("reverses", Text::Movement),
    ("postings[].account", Text::Kept),
];

/// The part of a movement's id that a provider gave: what follows `source/`, unless it is an id of ours, alone or with a number
/// behind it.
#[must_use]
pub fn given_by_provider(movement: &str) -> Option<&str> {
    let id = movement.rsplit('/').next()?;
    let first = id.split(':').next()?;
    (!is_id(first)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::given_by_provider;

    #[test]
    fn only_what_a_provider_named_is_given_by_it() {
        assert_eq!(given_by_provider("ch_3"), Some("ch_3"));
        assert_eq!(given_by_provider("stripe/re_1"), Some("re_1"));
        assert_eq!(given_by_provider("hold_00000000000000000000000001:333"), None);
        assert_eq!(given_by_provider("refund/refund_00000000000000000000000001"), None);
        assert_eq!(given_by_provider("hold_1"), Some("hold_1"), "it only looks like one of ours");
    }
}
