//! Events outlive the code that wrote them: an old payload is brought up to date before it is read, a newer one is refused.
//!
//! An event whose payload changes gets the next version in its aggregate's `domain_event!`, and beside it a pure function from
//! the payload of the version before. A chain with a gap does not compile.
use cqrs_es::DomainEvent;
use serde_json::Value;

/// One step: the payload of one version of one event as the next version has it.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    /// Wire name.
    pub event_type: &'static str,
    /// The version it begins at.
    pub from: u32,
    /// Pure; `type` in the payload is the wire name and stays.
    pub to_next: fn(Value) -> Value,
}

/// Why a stored event cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Code later than this wrote it.
    #[error("it was written by a newer version of Cairn: this one knows version {known}")]
    Newer {
        /// The latest version that this code knows.
        known: u32,
    },
    /// The wire name is none of this aggregate's, the version none that ever was, or the payload not what they say.
    #[error("{0}")]
    Malformed(String),
}

/// An aggregate's events with their versions. [`domain_event!`](crate::domain_event) implements it.
pub trait StoredEvent: DomainEvent {
    /// Every wire name with its current version.
    const CURRENT: &'static [(&'static str, u32)];
    /// The steps from every older version.
    const UPCASTS: &'static [Upcast];

    /// Reads an event as the log holds it.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn from_stored(event_type: &str, version: u32, payload: &Value) -> Result<Self, Unreadable> {
        if is_current::<Self>(event_type, version)? {
            Self::deserialize(payload).map_err(malformed)
        } else {
            upcast(event_type, version, payload.clone())
        }
    }

    /// The same from its text. One of the current version, as nearly all are, is read straight into its type.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn from_text(event_type: &str, version: u32, payload: &str) -> Result<Self, Unreadable> {
        if is_current::<Self>(event_type, version)? {
            serde_json::from_str(payload).map_err(malformed)
        } else {
            upcast(event_type, version, serde_json::from_str(payload).map_err(malformed)?)
        }
    }
}

fn malformed(error: serde_json::Error) -> Unreadable {
    Unreadable::Malformed(error.to_string())
}

/// The version of an event that this code writes.
fn known<E: StoredEvent>(event_type: &str) -> Result<u32, Unreadable> {
    let known = E::CURRENT.iter().find(|(name, _)| *name == event_type);
    let known = known.map(|(_, version)| *version);
    known.ok_or_else(|| {
        Unreadable::Malformed(format!("{event_type} is not an event of this aggregate"))
    })
}

/// Whether it is of that version, and not of an older one.
fn is_current<E: StoredEvent>(event_type: &str, version: u32) -> Result<bool, Unreadable> {
    let known = known::<E>(event_type)?;
    if version > known { Err(Unreadable::Newer { known }) } else { Ok(version == known) }
}

fn upcast<E: StoredEvent>(
    event_type: &str,
    version: u32,
    mut payload: Value,
) -> Result<E, Unreadable> {
    // Steps put members in: into what has none, that would be a panic.
    if !payload.is_object() {
        return Err(Unreadable::Malformed(format!("{event_type} is no object")));
    }
    for from in version..known::<E>(event_type)? {
        let step = |step: &&Upcast| step.event_type == event_type && step.from == from;
        let step = E::UPCASTS.iter().find(step).ok_or_else(|| {
            Unreadable::Malformed(format!("{event_type} never had a version {from}"))
        })?;
        payload = (step.to_next)(payload);
    }
    E::deserialize(payload).map_err(malformed)
}

/// Every version from 1 to the current one has exactly one step, and there is no other step. `domain_event!` evaluates it while
/// it compiles.
///
/// # Panics
/// When it is not so.
pub const fn assert_chain(current: &[(&str, u32)], upcasts: &[Upcast]) {
    let mut needed = 0;
    let mut event = 0;
    while event < current.len() {
        let (name, version) = current[event];
        assert!(version >= 1, "versions begin at 1");
        let mut from = 1;
        while from < version {
            assert!(steps(upcasts, name, from) == 1, "an old version needs exactly one upcast");
            needed += 1;
            from += 1;
        }
        event += 1;
    }
    assert!(needed == upcasts.len(), "an upcast leads to no current version");
}

const fn steps(upcasts: &[Upcast], name: &str, from: u32) -> usize {
    let (mut found, mut at) = (0, 0);
    while at < upcasts.len() {
        if upcasts[at].from == from && same(upcasts[at].event_type, name) {
            found += 1;
        }
        at += 1;
    }
    found
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
