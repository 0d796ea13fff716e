//! Who asks: API keys, the callers they make, and the table of what each role may do.
pub mod directory;
pub mod key;
pub mod table;
pub mod ticket;

use cairn_core::{ApiKeyId, OrganisationId};
use cairn_identity::Role;

pub use directory::KeyDirectory;
pub use key::{ApiKeySecret, MalformedKey};
pub use table::Scope;

/// Whoever holds a valid key, within one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The key.
    pub key_id: ApiKeyId,
    /// The organisation it is bound to.
    pub organisation_id: OrganisationId,
    /// Its role.
    pub role: Role,
    /// How far it sees in this operation.
    pub scope: Scope,
}

impl Caller {
    /// Name in the audit trail.
    #[must_use]
    pub fn actor(&self) -> String {
        self.key_id.to_string()
    }

    /// The organisation that views are narrowed to; `None` sees all.
    #[must_use]
    pub fn narrowed_to(&self) -> Option<OrganisationId> {
        (self.scope != Scope::All).then_some(self.organisation_id)
    }

    /// Whether a thing of this organisation exists for the caller.
    #[must_use]
    pub fn sees(&self, owner: OrganisationId) -> bool {
        self.narrowed_to().is_none_or(|own| own == owner)
    }
}
