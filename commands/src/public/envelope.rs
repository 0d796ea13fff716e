//! The envelope of a public event: CloudEvents 1.0, in its JSON form.
use cairn_event_log::Recorded;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

/// A public event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicEvent {
    /// Of the fact it tells of.
    pub position: i64,
    /// The same whenever the fact is told again: consumers drop what they have seen.
    pub id: String,
    /// Type and version, for example `cairn.allocation.activated.v1`.
    pub kind: String,
    /// Orders: what has the same key arrives in the log's order.
    pub key: String,
    /// The JSON document.
    pub body: String,
}

/// A public type and what it looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicType {
    /// Type and version.
    pub kind: String,
    /// JSON Schema of the whole document, envelope included.
    pub schema: Value,
}

/// What a public event says.
pub(super) trait PublicData: Serialize + JsonSchema {
    /// Without the version.
    const NAME: &'static str;
    /// From 1.
    const VERSION: u32;
}

/// What a fact says in public.
pub(super) struct Said {
    kind: String,
    data: Value,
}

/// A public event with these data.
pub(super) fn public<T: PublicData>(data: &T) -> Result<Option<Said>, String> {
    let value = serde_json::to_value(data).map_err(|error| error.to_string())?;
    Ok(Some(Said { kind: kind::<T>(), data: value }))
}

/// Nothing that outsiders hear of.
pub(super) const fn private() -> Result<Option<Said>, String> {
    Ok(None)
}

fn kind<T: PublicData>() -> String {
    format!("{}.v{}", T::NAME, T::VERSION)
}

/// An event of Cairn, in the JSON form of CloudEvents 1.0.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    /// Version of CloudEvents.
    specversion: &'static str,
    /// The same whenever this event is delivered again: drop what you have seen.
    id: String,
    /// Which Cairn it comes from.
    source: String,
    /// What happened, and the version of what `data` looks like.
    r#type: String,
    /// When it was recorded: RFC 3339, UTC.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// What it happened to: `<aggregate>/<id>`. Also the key of the message.
    subject: String,
    /// Always JSON.
    datacontenttype: &'static str,
    /// On whose behalf, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<String>,
    /// Place in the log as a decimal number: rises without end, not one by one.
    #[schemars(regex(pattern = "^[1-9][0-9]*$"))]
    position: String,
    /// Shared by everything that one request set in motion.
    correlation: String,
    /// What happened, in detail.
    data: T,
}

impl Said {
    /// The whole document.
    pub(super) fn enveloped(self, fact: &Recorded, source: &str) -> Result<PublicEvent, String> {
        let key = format!("{}/{}", fact.aggregate_type, fact.aggregate_id);
        let id = format!("{:020}", fact.position);
        let envelope = Envelope {
            specversion: "1.0",
            id: id.clone(),
            source: source.to_owned(),
            r#type: self.kind.clone(),
            time: fact.recorded_at.to_string(),
            subject: key.clone(),
            datacontenttype: "application/json",
            organisation: fact.metadata.organisation_id.clone(),
            position: fact.position.to_string(),
            correlation: fact.metadata.correlation_id.clone(),
            data: self.data,
        };
        let body = serde_json::to_string(&envelope).map_err(|error| error.to_string())?;
        Ok(PublicEvent { position: fact.position, id, kind: self.kind, key, body })
    }
}

/// What a public type looks like.
pub(super) fn describe<T: PublicData>() -> PublicType {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Envelope<T>>().to_value();
    let kind = kind::<T>();
    schema["title"] = json!(kind);
    schema["properties"]["specversion"]["const"] = json!("1.0");
    schema["properties"]["datacontenttype"]["const"] = json!("application/json");
    schema["properties"]["type"]["const"] = json!(kind);
    PublicType { kind, schema }
}

/// The types and versions of a context.
macro_rules! public_types {
    ($($data:ident = $name:literal $version:literal;)+) => {
        $(impl $crate::public::envelope::PublicData for $data {
            const NAME: &'static str = $name;
            const VERSION: u32 = $version;
        })+

        /// Every public type of this context.
        pub(super) const TYPES: &[fn() -> $crate::public::PublicType] =
            &[$($crate::public::envelope::describe::<$data>),+];
    };
}
pub(super) use public_types;
