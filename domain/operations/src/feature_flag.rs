//! A feature flag: something that is on for some organisations and off for the others. The stream's id is the flag's name.
//!
//! Lifecycle: `defined (off) → rolled out (0 to 100 %), overridden, override cleared, … → archived (off for good)`. An override decides
//! for its organisation; else the percentage does, by a bucket that the flag's name and the organisation's id give. An organisation
//! keeps its bucket, so raising the percentage never switches anybody off, and no two flags choose the same organisations.
use std::collections::BTreeMap;

use cairn_core::{
    Decider, OrganisationId, Refusal, Text, Texts, Timestamp, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum FeatureFlagEvent {
    #[serde(rename = "feature_flag.defined")]
    Defined { flag: String, description: String, at: Timestamp },
    #[serde(rename = "feature_flag.rolled_out")]
    RolledOut { percentage: u8, reason: String, at: Timestamp },
    #[serde(rename = "feature_flag.overridden")]
    Overridden { organisation_id: OrganisationId, on: bool, reason: String, at: Timestamp },
    #[serde(rename = "feature_flag.override_cleared")]
    OverrideCleared { organisation_id: OrganisationId, reason: String, at: Timestamp },
    #[serde(rename = "feature_flag.archived")]
    Archived { reason: String, at: Timestamp },
}

domain_event!(FeatureFlagEvent {
    Defined => "feature_flag.defined", 1;
    RolledOut => "feature_flag.rolled_out", 1;
    Overridden => "feature_flag.overridden", 1;
    OverrideCleared => "feature_flag.override_cleared", 1;
    Archived => "feature_flag.archived", 1;
});

impl Texts for FeatureFlagEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("flag", Text::Kept),
        ("description", Text::Said),
        ("organisation_id", Text::Kept),
        ("reason", Text::Said),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum FeatureFlagCommand {
    Define { flag: String, description: String, at: Timestamp },
    RollOut { percentage: u8, reason: String, at: Timestamp },
    Override { organisation_id: OrganisationId, on: bool, reason: String, at: Timestamp },
    ClearOverride { organisation_id: OrganisationId, reason: String, at: Timestamp },
    Archive { reason: String, at: Timestamp },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FeatureFlagError {
    #[error("a flag's name is 1 to 60 of a-z, 0-9 and '_', and begins with a letter")]
    BadName,
    #[error("a description of 1 to 500 characters is needed")]
    BadDescription,
    #[error("a percentage is 0 to 100")]
    BadPercentage,
    #[error("there is no such feature flag")]
    Unknown,
    #[error("the feature flag exists with another description")]
    Exists,
    #[error("the feature flag is archived")]
    Archived,
    #[error("a feature flag has at most {OVERRIDES_MAX} overrides: raise its percentage instead")]
    TooManyOverrides,
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
}

impl Refusal for FeatureFlagError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadName => "feature_flag_name_invalid",
            Self::BadDescription => "feature_flag_description_invalid",
            Self::BadPercentage => "feature_flag_percentage_invalid",
            Self::Unknown => "unknown_feature_flag",
            Self::Exists => "feature_flag_exists",
            Self::Archived => "feature_flag_archived",
            Self::TooManyOverrides => "feature_flag_overrides_full",
            Self::ReasonNeeded => "reason_needed",
        }
    }
}

/// Most organisations that one flag decides for by name.
pub const OVERRIDES_MAX: usize = 1_000;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FeatureFlag {
    /// Empty until it is defined.
    pub flag: String,
    pub description: String,
    /// 0 to 100.
    pub percentage: u8,
    /// What was decided for single organisations.
    pub overrides: BTreeMap<OrganisationId, bool>,
    pub archived: bool,
}

/// Checks the form of a flag's name.
///
/// # Errors
/// [`FeatureFlagError::BadName`].
pub fn check_flag_name(flag: &str) -> Result<(), FeatureFlagError> {
    let first = flag.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if first && flag.len() <= 60 && flag.bytes().all(rest) {
        Ok(())
    } else {
        Err(FeatureFlagError::BadName)
    }
}

impl Decider for FeatureFlag {
    const TYPE: &'static str = "feature_flag";
    type Command = FeatureFlagCommand;
    type Event = FeatureFlagEvent;
    type Error = FeatureFlagError;

    fn decide(&self, command: FeatureFlagCommand) -> Result<Vec<FeatureFlagEvent>, Self::Error> {
        use FeatureFlagCommand as C;
        use FeatureFlagEvent as E;
        let fact = match command {
            C::Define { flag, description, at } => return self.define(flag, description, at),
            C::RollOut { percentage, reason, at } => {
                self.in_use()?;
                said(&reason, FeatureFlagError::ReasonNeeded)?;
                if percentage > 100 {
                    return Err(FeatureFlagError::BadPercentage);
                }
                let changes = percentage != self.percentage;
                changes.then_some(E::RolledOut { percentage, reason, at })
            }
            C::Override { organisation_id, on, reason, at } => {
                self.in_use()?;
                said(&reason, FeatureFlagError::ReasonNeeded)?;
                let known = self.overrides.get(&organisation_id);
                if known.is_none() && self.overrides.len() >= OVERRIDES_MAX {
                    return Err(FeatureFlagError::TooManyOverrides);
                }
                let changes = known != Some(&on);
                changes.then_some(E::Overridden { organisation_id, on, reason, at })
            }
            C::ClearOverride { organisation_id, reason, at } => {
                self.in_use()?;
                said(&reason, FeatureFlagError::ReasonNeeded)?;
                let changes = self.overrides.contains_key(&organisation_id);
                changes.then_some(E::OverrideCleared { organisation_id, reason, at })
            }
            C::Archive { reason, at } => {
                self.defined()?;
                said(&reason, FeatureFlagError::ReasonNeeded)?;
                (!self.archived).then_some(E::Archived { reason, at })
            }
        };
        Ok(fact.into_iter().collect())
    }

    fn evolve(mut self, event: FeatureFlagEvent) -> Self {
        use FeatureFlagEvent as E;
        match event {
            E::Defined { flag, description, .. } => {
                (self.flag, self.description) = (flag, description);
            }
            E::RolledOut { percentage, .. } => self.percentage = percentage,
            E::Overridden { organisation_id, on, .. } => {
                self.overrides.insert(organisation_id, on);
            }
            E::OverrideCleared { organisation_id, .. } => {
                self.overrides.remove(&organisation_id);
            }
            E::Archived { .. } => self.archived = true,
        }
        self
    }
}

cqrs_aggregate!(FeatureFlag);

impl FeatureFlag {
    /// Whether it is on for an organisation. One that was never defined, and one that is archived, is off for everybody.
    #[must_use]
    pub fn is_on_for(&self, organisation_id: OrganisationId) -> bool {
        if self.flag.is_empty() || self.archived {
            return false;
        }
        let by_name = self.overrides.get(&organisation_id).copied();
        by_name.unwrap_or_else(|| bucket(&self.flag, organisation_id) < u64::from(self.percentage))
    }

    fn define(
        &self,
        flag: String,
        description: String,
        at: Timestamp,
    ) -> Result<Vec<FeatureFlagEvent>, FeatureFlagError> {
        check_flag_name(&flag)?;
        said(&description, FeatureFlagError::BadDescription)?;
        if self.archived {
            return Err(FeatureFlagError::Archived);
        }
        if self.flag.is_empty() {
            return Ok(vec![FeatureFlagEvent::Defined { flag, description, at }]);
        }
        if self.description == description { Ok(vec![]) } else { Err(FeatureFlagError::Exists) }
    }

    const fn defined(&self) -> Result<(), FeatureFlagError> {
        if self.flag.is_empty() { Err(FeatureFlagError::Unknown) } else { Ok(()) }
    }

    fn in_use(&self) -> Result<(), FeatureFlagError> {
        self.defined()?;
        if self.archived { Err(FeatureFlagError::Archived) } else { Ok(()) }
    }
}

/// Which of a hundred an organisation is, for one flag.
fn bucket(flag: &str, organisation_id: OrganisationId) -> u64 {
    let hash = Sha256::new().chain_update(flag).chain_update("/");
    let hash = hash.chain_update(organisation_id.to_string()).finalize();
    let first = hash.iter().take(8).fold(0, |number: u64, byte| (number << 8) | u64::from(*byte));
    first % 100
}

fn said(text: &str, otherwise: FeatureFlagError) -> Result<(), FeatureFlagError> {
    let fits = !text.trim().is_empty() && text.chars().count() <= 500;
    if fits { Ok(()) } else { Err(otherwise) }
}
