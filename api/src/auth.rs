//! Who asks: API keys and sessions, the callers they make, and the table of what each role may do.
pub mod device;
pub mod directory;
pub mod one_time;
pub mod passkey;
pub mod password;
pub mod secret;
pub mod standing;
pub mod table;
pub mod ticket;

use cairn_core::{ApiKeyId, GrantId, OrganisationId, ServiceAccountId, SessionId, UserId};
use cairn_identity::Role;
use cairn_projections::Tenancy;

pub use directory::Directory;
pub use secret::{ApiKeySecret, Malformed, Mode, Secret};
pub use standing::Standing;
pub use table::Scope;

/// Who stands behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A program, by its key.
    Key(ApiKeyId),
    /// A program that its organisation knows by name, by one of its keys.
    Service(ServiceAccountId, ApiKeyId),
    /// A person, by a session.
    Person(Person),
    /// The platform's support, by a key, as long as a customer lets it look.
    Support(ApiKeyId, GrantId),
}

/// Whether people must show a second factor to act for an organisation, whatever the organisation itself demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondFactor {
    /// Only where their organisation demands it.
    #[default]
    Offered,
    /// Everywhere.
    Demanded,
}

impl std::str::FromStr for SecondFactor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "offered" => Ok(Self::Offered),
            "demanded" => Ok(Self::Demanded),
            _ => Err(()),
        }
    }
}

/// A person who is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user_id: UserId,
    /// Where.
    pub session_id: SessionId,
}

impl Person {
    /// Name in the audit trail.
    #[must_use]
    pub fn actor(&self) -> String {
        self.user_id.to_string()
    }
}

impl From<Person> for Tenancy {
    fn from(person: Person) -> Self {
        Self::Tenant { organisation_id: None, actor: person.actor() }
    }
}

impl From<&Caller> for Tenancy {
    fn from(caller: &Caller) -> Self {
        caller.tenancy()
    }
}

/// Whoever may ask, within one operation, for one organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub who: Who,
    /// The organisation that is acted for.
    pub organisation_id: OrganisationId,
    /// The role there.
    pub role: Role,
    /// How far it sees in this operation.
    pub scope: Scope,
}

impl Caller {
    /// Name in the audit trail.
    #[must_use]
    pub fn actor(&self) -> String {
        match self.who {
            Who::Key(key_id) => key_id.to_string(),
            Who::Service(account, key_id) => format!("{account} with {key_id}"),
            Who::Person(person) => person.actor(),
            Who::Support(key_id, grant_id) => format!("{key_id} under {grant_id}"),
        }
    }

    /// Whose is what only they have, such as what they have read: a service account's, whichever key it comes with.
    #[must_use]
    pub fn principal(&self) -> String {
        match self.who {
            Who::Service(account, _) => account.to_string(),
            Who::Key(_) | Who::Person(_) | Who::Support(..) => self.actor(),
        }
    }

    /// The organisation that views are narrowed to; `None` sees all.
    #[must_use]
    pub fn narrowed_to(&self) -> Option<OrganisationId> {
        (self.scope != Scope::All).then_some(self.organisation_id)
    }

    /// Whose rows the database lets them read: the platform's own everything, and whom the table narrows in each operation.
    #[must_use]
    pub fn tenancy(&self) -> Tenancy {
        if self.role.is_platform() && !matches!(self.who, Who::Support(..)) {
            return Tenancy::Platform;
        }
        let organisation_id = Some(self.organisation_id);
        Tenancy::Tenant { organisation_id, actor: self.principal() }
    }

    /// Whether a thing of this organisation exists for the caller.
    #[must_use]
    pub fn sees(&self, owner: OrganisationId) -> bool {
        self.narrowed_to().is_none_or(|own| own == owner)
    }
}
