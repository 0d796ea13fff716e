//! What an event carries, as it was written: JSON texts, read into their types by whoever wants them, once for all who do.
use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::Metadata;

/// The JSON text of a fact.
#[derive(Clone, Default)]
pub struct Payload {
    text: String,
    /// What it was read as. An event is of one type, so there is one.
    read: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Payload {
    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Some of it, or all: whatever the type asks for.
    ///
    /// # Errors
    /// When the text says something else.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// What was read before, if it was read as this type.
    pub(crate) fn known<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.read.get()?).downcast().ok()
    }

    /// Keeps what was read, and answers it.
    pub(crate) fn keep<T: Send + Sync + 'static>(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        // Another reader may have been first, with the same.
        drop(self.read.set(Arc::<T>::clone(&value)));
        value
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self { text, read: OnceLock::new() }
    }
}

impl From<serde_json::Value> for Payload {
    fn from(value: serde_json::Value) -> Self {
        value.to_string().into()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The metadata of an event, read when somebody looks at it. Empty when it cannot be read.
#[derive(Clone, Default)]
pub struct Told {
    text: String,
    read: OnceLock<Box<Metadata>>,
}

impl Told {
    /// From its text, with what is wrong with it, if something is.
    pub(crate) fn checked(text: String) -> (Self, Option<serde_json::Error>) {
        let wrong = serde_json::from_str::<shape::Metadata>(&text).err();
        (Self { text, read: OnceLock::new() }, wrong)
    }
}

impl Deref for Told {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        self.read.get_or_init(|| Box::new(serde_json::from_str(&self.text).unwrap_or_default()))
    }
}

impl From<Metadata> for Told {
    fn from(metadata: Metadata) -> Self {
        Self { text: String::new(), read: OnceLock::from(Box::new(metadata)) }
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

mod shape {
    //! Whether a text is metadata, without making any: what is wrong is said in the same words.
    use serde::Deserialize;

    use super::Chars;

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only the shape is of interest")]
    pub(super) struct Metadata {
        actor: Chars,
        #[serde(default)]
        organisation_id: Option<Chars>,
        correlation_id: Chars,
        #[serde(default)]
        causation_id: Option<Chars>,
        command_id: Chars,
        #[serde(default)]
        traceparent: Option<Chars>,
        #[serde(default)]
        origin: Option<Chars>,
    }
}

/// Some string.
struct Chars;

impl<'de> Deserialize<'de> for Chars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Self)
    }
}

impl Visitor<'_> for Chars {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Metadata, Told};

    #[test]
    fn what_is_told_is_sound_if_and_only_if_it_can_be_read() {
        let sound =
            r#"{"actor":"a","correlation_id":"b","command_id":"c","origin":null,"more":[1]}"#;
        let broken = [
            "[]",
            "null",
            r#"{"actor":5,"correlation_id":"b","command_id":"c"}"#,
            r#"{"actor":"a","correlation_id":"b"}"#,
            r#"{"actor":"a","correlation_id":"b","command_id":"c","origin":7}"#,
            r#"{"actor":"a","actor":"a","correlation_id":"b","command_id":"c"}"#,
        ];
        for text in broken.into_iter().chain([sound]) {
            let (told, wrong) = Told::checked(text.to_owned());
            let read = serde_json::from_str::<Metadata>(text);
            let said = wrong.map(|error| error.to_string());
            assert_eq!(said, read.as_ref().err().map(ToString::to_string), "{text}");
            assert_eq!(*told, read.unwrap_or_default());
        }
        assert_eq!(Told::checked(sound.to_owned()).0.command_id, "c");
    }
}
