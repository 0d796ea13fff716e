//! The configuration of one running server: which settings were changed while it ran. The stream's id is the server's name.
//!
//! What a server began with is not told: its file and its environment say so. Only what is no secret changes while a server runs.
use std::collections::BTreeMap;

use cairn_core::{Decider, Refusal, Text, Texts, Timestamp, cqrs_aggregate, domain_event};
use serde::{Deserialize, Serialize};

/// What has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum ConfigurationEvent {
    #[serde(rename = "configuration.changed")]
    Changed {
        /// The setting's key, for example `logging.filter`.
        setting: String,
        from: String,
        to: String,
        /// Where the new value stands, for example a file and a line.
        said_in: String,
        at: Timestamp,
    },
}

domain_event!(ConfigurationEvent {
    Changed => "configuration.changed", 1;
});

impl Texts for ConfigurationEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("setting", Text::Kept),
        ("from", Text::Reported),
        ("to", Text::Reported),
        ("said_in", Text::Reported),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ConfigurationCommand {
    Change { setting: String, from: String, to: String, said_in: String, at: Timestamp },
}

/// Nothing is refused here: whether a value is right is known before it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {}

impl Refusal for ConfigurationError {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

/// What is remembered: the settings that were changed, as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Configuration {
    pub changed: BTreeMap<String, String>,
}

impl Decider for Configuration {
    const TYPE: &'static str = "configuration";
    type Command = ConfigurationCommand;
    type Event = ConfigurationEvent;
    type Error = ConfigurationError;

    fn decide(
        &self,
        command: ConfigurationCommand,
    ) -> Result<Vec<ConfigurationEvent>, ConfigurationError> {
        let ConfigurationCommand::Change { setting, from, to, said_in, at } = command;
        if from == to {
            return Ok(vec![]);
        }
        Ok(vec![ConfigurationEvent::Changed { setting, from, to, said_in, at }])
    }

    fn evolve(mut self, event: ConfigurationEvent) -> Self {
        match event {
            ConfigurationEvent::Changed { setting, to, .. } => self.changed.insert(setting, to),
        };
        self
    }
}

cqrs_aggregate!(Configuration);
