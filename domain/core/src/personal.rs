//! Personal data: whose it is, and how a text of it looks when it is stored.
//!
//! `personal:1:<id of a key>:<base 64>` is a text that only the key of its subject opens. Whatever is made of events holds it as it is; it
//! is opened where a person or the world needs it. When the key is destroyed, nobody can, and it reads as [`ERASED`].
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{OrganisationId, UserId, wire};

/// Stands where a text was that nobody can open any more.
pub const ERASED: &str = "erased";

/// What every sealed text begins with.
pub const SEALED: &str = "personal:1:";

const ORGANISATION: &str = "organisation/";
const USER: &str = "user/";
const DIRECTORY: &str = "directory/addresses";

/// Whose data it is: an organisation's, `organisation/org_…`, or a person's, `user/user_…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

/// The text names no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no subject: an organisation is one (org_ and 26 characters of base 32) and a person (user_ and 26 characters)"
)]
pub struct NoSubject(String);

impl Subject {
    /// An organisation.
    #[must_use]
    pub fn organisation(id: OrganisationId) -> Self {
        Self(format!("{ORGANISATION}{id}"))
    }

    /// A person.
    #[must_use]
    pub fn user(id: UserId) -> Self {
        Self(format!("{USER}{id}"))
    }

    /// Nobody: the key that addresses are found by. The same address is sealed alike with it, so that it is found and not read.
    #[must_use]
    pub fn directory() -> Self {
        Self(DIRECTORY.to_owned())
    }

    /// Its id, kind first.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its id among its kind.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, id)| id)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Subject {
    type Err = NoSubject;

    /// `organisation/org_…`, `user/user_…`, or the id alone.
    fn from_str(text: &str) -> Result<Self, NoSubject> {
        if text == DIRECTORY {
            return Ok(Self::directory());
        }
        let organisation = text.strip_prefix(ORGANISATION).unwrap_or(text).parse();
        let user = || text.strip_prefix(USER).unwrap_or(text).parse().map(Self::user);
        let found = organisation.map(Self::organisation).or_else(|_| user());
        found.map_err(|_| NoSubject(text.to_owned()))
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::parsed(deserializer)
    }
}

/// The id of the key that a text was sealed with, and what is sealed; `None` when it is a plain text.
#[must_use]
pub fn sealed(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(SEALED)?.split_once(':')
}

#[cfg(test)]
mod tests {
    use super::{Subject, sealed};
    use crate::{OrganisationId, UserId};

    #[test]
    fn a_subject_is_read_with_and_without_its_kind() {
        let subject = Subject::organisation(OrganisationId::from_bits(7));
        assert_eq!(subject.as_str().parse(), Ok(subject.clone()));
        assert_eq!(subject.id().parse(), Ok(subject.clone()));
        for wrong in [
            "",
            "org_7",
            "person/org_00000000000000000000000007",
            "alloc_00000000000000000000000007",
        ] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
        let person = Subject::user(UserId::from_bits(7));
        assert_eq!(person.as_str().parse(), Ok(person.clone()));
        assert_eq!(person.id().parse(), Ok(person));
    }

    #[test]
    fn a_sealed_text_names_its_key() {
        assert_eq!(sealed("personal:1:abc:AAAA"), Some(("abc", "AAAA")));
        assert_eq!(sealed("personal:2:abc:AAAA"), None);
        assert_eq!(sealed("ssh-ed25519 AAAA"), None);
    }
}
