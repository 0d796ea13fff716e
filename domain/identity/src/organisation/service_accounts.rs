//! Programs that act for an organisation: who they are, what they may do, and whether they may at this time. Their keys stand in
//! streams of their own, and are whatever the account is.
use cairn_core::{ServiceAccountId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Organisation, OrganisationError, OrganisationEvent, SERVICE_ACCOUNTS_MAX};
use crate::Role;

/// A service account that was not removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ServiceAccount {
    pub service_account_id: ServiceAccountId,
    pub name: String,
    pub role: Role,
    pub disabled: bool,
}

/// What may be asked of a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ServiceAccountWish {
    Add {
        name: String,
        role: Role,
    },
    /// What is absent stays as it is.
    Update {
        name: Option<String>,
        role: Option<Role>,
    },
    Disable,
    Enable,
    Remove,
}

impl Organisation {
    /// The account of this id.
    #[must_use]
    pub fn service_account(&self, id: ServiceAccountId) -> Option<&ServiceAccount> {
        self.service_accounts.iter().find(|known| known.service_account_id == id)
    }

    pub(super) fn decide_service_account(
        &self,
        (service_account_id, wish): (ServiceAccountId, ServiceAccountWish),
        by: Role,
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        use OrganisationEvent as E;
        use ServiceAccountWish as W;
        let known = self.service_account(service_account_id);
        if let W::Add { name, role } = wish {
            named(&name)?;
            may_have(role, by)?;
            return match known {
                Some(_) => Ok(vec![]),
                None if self.service_accounts.len() >= SERVICE_ACCOUNTS_MAX => {
                    Err(OrganisationError::TooMany)
                }
                None => Ok(vec![E::ServiceAccountAdded { service_account_id, name, role, at }]),
            };
        }
        let known = known.ok_or(OrganisationError::UnknownServiceAccount)?;
        may_have(known.role, by)?;
        Ok(match wish {
            W::Update { name, role } => return known.update((name, role), by, at),
            W::Disable if !known.disabled => {
                vec![E::ServiceAccountDisabled { service_account_id, at }]
            }
            W::Enable if known.disabled => {
                vec![E::ServiceAccountEnabled { service_account_id, at }]
            }
            W::Remove => vec![E::ServiceAccountRemoved { service_account_id, at }],
            W::Add { .. } | W::Disable | W::Enable => vec![],
        })
    }

    pub(super) fn on_account(
        &mut self,
        id: ServiceAccountId,
        change: impl FnOnce(&mut ServiceAccount),
    ) {
        let known = self.service_accounts.iter_mut().find(|known| known.service_account_id == id);
        if let Some(known) = known {
            change(known);
        }
    }
}

impl ServiceAccount {
    fn update(
        &self,
        (name, role): (Option<String>, Option<Role>),
        by: Role,
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        let service_account_id = self.service_account_id;
        let renamed = name.filter(|name| *name != self.name).map(|name| {
            named(&name)?;
            Ok(OrganisationEvent::ServiceAccountRenamed { service_account_id, name, at })
        });
        let changed = role.filter(|role| *role != self.role).map(|role| {
            may_have(role, by)?;
            Ok(OrganisationEvent::ServiceAccountRoleChanged { service_account_id, role, at })
        });
        renamed.into_iter().chain(changed).collect()
    }
}

fn named(name: &str) -> Result<(), OrganisationError> {
    match name.chars().count() {
        1..=100 => Ok(()),
        _ => Err(OrganisationError::BadServiceAccountName),
    }
}

/// Whether somebody of the role `by` may give, change and take away an account of a role. What makes owners is for people alone.
fn may_have(role: Role, by: Role) -> Result<(), OrganisationError> {
    if !by.may_give(role) {
        return Err(OrganisationError::RoleTooHigh);
    }
    if role == Role::Owner { Err(OrganisationError::BadServiceAccountRole) } else { Ok(()) }
}
