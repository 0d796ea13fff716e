//! The identity context: people and how they sign in, organisations, who belongs to them and what programs act for them, API keys,
//! and the erasure of whoever wants to be forgotten.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod api_key;
pub mod email_address;
pub mod erasure;
pub mod organisation;
pub mod role;
pub mod user;

pub use api_key::{ApiKey, ApiKeyCommand, ApiKeyError, ApiKeyEvent, Holder};
pub use email_address::{EmailAddress, EmailAddressCommand, EmailAddressError, EmailAddressEvent};
pub use erasure::{Erasure, ErasureCommand, ErasureError, ErasureEvent, Searched};
pub use organisation::{
    Invite, Organisation, OrganisationCommand, OrganisationError, OrganisationEvent, ProjectWish,
    ServiceAccountWish,
};
pub use role::Role;
pub use user::{
    Algorithm, Backup, Consent, Document, EndReason, Factor, Identity, LinkPurpose, Passkey,
    PasskeyCommand, PasskeyShown, Proof, Said, SignIn, User, UserCommand, UserError, UserEvent,
};

/// Whether it is a reason for the audit trail: 1 to 500 characters.
pub(crate) fn says_why(reason: &str) -> bool {
    (1..=500).contains(&reason.chars().count())
}
