//! What somebody may do: a role in an organisation, or one on the platform. What each may do exactly is a table of the API.
use serde::{Deserialize, Serialize};

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything of its own organisation.
    Owner,
    /// Everything but what makes owners.
    Admin,
    /// The money of its own organisation.
    Finance,
    /// The machines of its own organisation.
    Developer,
    /// Reads its own organisation.
    Viewer,
    /// Platform: nodes, SKUs, processes, every allocation.
    PlatformOperator,
    /// Platform: the books, reconciliation, exports; reads only.
    PlatformFinance,
    /// Platform: looks into organisations that allow it.
    PlatformSupport,
    /// Platform: nodes, allocations and processes; reads only.
    PlatformEngineer,
}

impl Role {
    /// Every role, those of organisations first.
    pub const ALL: [Self; 9] = [
        Self::Owner,
        Self::Admin,
        Self::Finance,
        Self::Developer,
        Self::Viewer,
        Self::PlatformOperator,
        Self::PlatformFinance,
        Self::PlatformSupport,
        Self::PlatformEngineer,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Finance => "finance",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::PlatformOperator => "platform_operator",
            Self::PlatformFinance => "platform_finance",
            Self::PlatformSupport => "platform_support",
            Self::PlatformEngineer => "platform_engineer",
        }
    }

    /// The role of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it is the platform's, which no organisation gives.
    #[must_use]
    pub const fn is_platform(self) -> bool {
        match self {
            Self::Owner | Self::Admin | Self::Finance | Self::Developer | Self::Viewer => false,
            Self::PlatformOperator
            | Self::PlatformFinance
            | Self::PlatformSupport
            | Self::PlatformEngineer => true,
        }
    }

    /// Whether somebody of this role may give another one to people and keys: owners every role of an organisation, admins all but that.
    #[must_use]
    pub fn may_give(self, other: Self) -> bool {
        match self {
            Self::Owner => !other.is_platform(),
            Self::Admin => !other.is_platform() && other != Self::Owner,
            Self::Finance
            | Self::Developer
            | Self::Viewer
            | Self::PlatformOperator
            | Self::PlatformFinance
            | Self::PlatformSupport
            | Self::PlatformEngineer => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn a_role_is_known_by_the_name_it_is_stored_under() {
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert_eq!(Role::named("root"), None);
    }

    #[test]
    fn nobody_gives_more_than_they_have() {
        use Role::{Admin, Owner, PlatformOperator, Viewer};
        assert!(Owner.may_give(Owner) && Owner.may_give(Viewer));
        assert!(Admin.may_give(Admin) && !Admin.may_give(Owner));
        for role in Role::ALL {
            assert!(!role.may_give(PlatformOperator), "{role:?}");
            let manages = matches!(role, Owner | Admin);
            assert_eq!(role.may_give(Viewer), manages, "{role:?}");
        }
    }
}
