//! An organisation: who belongs to it and as what, whom it invites, which programs act for it, what projects it sorts its rentals into, whom of
//! the platform's support it lets look.
//!
//! Lifecycle: `founded → (suspended ⇄ active)`. An invitation is `open → accepted | revoked | over`, a service account
//! `(active ⇄ disabled) → removed`. There is always an owner, who is a person, and nobody gives a role that is more than their own.
mod events;
mod members;
mod projects;
mod service_accounts;

use cairn_core::{
    Decider, GrantId, InvitationId, OrganisationId, ProjectId, Refusal, ServiceAccountId, Subject,
    Timestamp, UserId, cqrs_aggregate,
};
use serde::{Deserialize, Serialize};

use crate::{Role, says_why};
pub use events::OrganisationEvent;
pub use projects::{Project, ProjectWish};
pub use service_accounts::{ServiceAccount, ServiceAccountWish};

/// Open invitations at once.
pub const INVITATIONS_MAX: usize = 200;
/// Members.
pub const MEMBERS_MAX: usize = 1_000;
/// Service accounts, disabled ones included.
pub const SERVICE_ACCOUNTS_MAX: usize = 100;
/// Projects, archived ones included.
pub const PROJECTS_MAX: usize = 1_000;
/// The longest that support may look for one grant: 7 days.
pub const GRANT_MAX_SECS: i64 = 7 * 86_400;

/// Somebody to invite.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Invite {
    pub invitation_id: InvitationId,
    pub email: String,
    pub email_index: String,
    pub role: Role,
    pub token: String,
    pub token_sha256: String,
    pub expires_at: Timestamp,
}

/// What may be asked of an organisation. `by` is the role of whoever asks.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum OrganisationCommand {
    Found {
        organisation_id: OrganisationId,
        name: String,
        owner: UserId,
        at: Timestamp,
    },
    Rename {
        name: String,
        at: Timestamp,
    },
    SetSecondFactorRule {
        demanded: bool,
        at: Timestamp,
    },
    Invite {
        invite: Invite,
        by: Role,
        at: Timestamp,
    },
    RevokeInvitation {
        invitation_id: InvitationId,
        at: Timestamp,
    },
    /// Somebody with the invited address comes.
    Join {
        token_sha256: String,
        user_id: UserId,
        email_index: String,
        at: Timestamp,
    },
    ChangeRole {
        user_id: UserId,
        role: Role,
        by: Role,
        at: Timestamp,
    },
    /// `by` is none when somebody leaves by themselves.
    Remove {
        user_id: UserId,
        by: Option<Role>,
        at: Timestamp,
    },
    GrantSupport {
        grant_id: GrantId,
        reason: String,
        expires_at: Timestamp,
        at: Timestamp,
    },
    EndGrant {
        grant_id: GrantId,
        at: Timestamp,
    },
    Suspend {
        reason: String,
        at: Timestamp,
    },
    Resume {
        reason: String,
        at: Timestamp,
    },
    ServiceAccount {
        service_account_id: ServiceAccountId,
        wish: ServiceAccountWish,
        by: Role,
        at: Timestamp,
    },
    Project {
        project_id: ProjectId,
        wish: ProjectWish,
        at: Timestamp,
    },
}

/// Why an organisation refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OrganisationError {
    #[error("there is no such organisation")]
    Unknown,
    #[error("a name is 1 to 100 characters")]
    BadName,
    #[error("the id was used before for something else")]
    IdReused,
    #[error("nobody gives a role that is more than their own")]
    RoleTooHigh,
    #[error("there is no such invitation, it was used, or it is over")]
    UnknownInvitation,
    #[error("the invitation is for another address")]
    InvitedOtherwise,
    #[error("they belong to it already")]
    MemberAlready,
    #[error("there is no such member")]
    UnknownMember,
    #[error("an organisation keeps an owner: make somebody else one first")]
    LastOwner,
    #[error("there are too many already")]
    TooMany,
    #[error("support may look for at most 7 days, from now on")]
    BadGrant,
    #[error("there is no such grant")]
    UnknownGrant,
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
    #[error("there is no such service account")]
    UnknownServiceAccount,
    #[error("a service account's name is 1 to 100 characters")]
    BadServiceAccountName,
    #[error("a service account is admin, finance, developer or viewer")]
    BadServiceAccountRole,
    #[error("there is no such project")]
    UnknownProject,
    #[error("a project's name is 1 to 100 characters")]
    BadProjectName,
    #[error("the project is archived: it takes no new rental and keeps its name")]
    ProjectArchived,
}

impl Refusal for OrganisationError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_organisation",
            Self::BadName => "organisation_name_invalid",
            Self::IdReused => "id_reused",
            Self::RoleTooHigh => "role_too_high",
            Self::UnknownInvitation => "unknown_invitation",
            Self::InvitedOtherwise => "invitation_for_another",
            Self::MemberAlready => "member_already",
            Self::UnknownMember => "unknown_member",
            Self::LastOwner => "last_owner",
            Self::TooMany => "organisation_full",
            Self::BadGrant => "grant_invalid",
            Self::UnknownGrant => "unknown_grant",
            Self::ReasonNeeded => "reason_needed",
            Self::UnknownServiceAccount => "unknown_service_account",
            Self::BadServiceAccountName => "service_account_name_invalid",
            Self::BadServiceAccountRole => "service_account_role_invalid",
            Self::UnknownProject => "unknown_project",
            Self::BadProjectName => "project_name_invalid",
            Self::ProjectArchived => "project_archived",
        }
    }
}

/// Somebody who belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Member {
    pub user_id: UserId,
    pub role: Role,
}

/// An invitation that was not used yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Invitation {
    pub invitation_id: InvitationId,
    pub email_index: String,
    pub role: Role,
    pub token_sha256: String,
    pub expires_at: Timestamp,
}

/// What an organisation remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Organisation {
    pub organisation_id: Option<OrganisationId>,
    pub name: String,
    pub members: Vec<Member>,
    pub invitations: Vec<Invitation>,
    /// Grants to support, with the instant they end.
    pub grants: Vec<(GrantId, Timestamp)>,
    pub suspended: bool,
    /// Whether whoever acts for it must have shown two factors.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_factor_demanded: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<ServiceAccount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<Project>,
}

impl Decider for Organisation {
    const TYPE: &'static str = "organisation";
    type Command = OrganisationCommand;
    type Event = OrganisationEvent;
    type Error = OrganisationError;

    fn decide(
        &self,
        command: OrganisationCommand,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        use OrganisationCommand as C;
        use OrganisationEvent as E;
        if self.organisation_id.is_none() && !matches!(command, C::Found { .. }) {
            return Err(OrganisationError::Unknown);
        }
        match command {
            C::Found { organisation_id, name, owner, at } => {
                self.found((organisation_id, owner), name, at)
            }
            C::Rename { name, at } => {
                named(&name)?;
                Ok(vec![E::Renamed { name, at }])
            }
            C::SetSecondFactorRule { demanded, at } => {
                let set = E::SecondFactorRuleSet { demanded, at };
                Ok(if self.second_factor_demanded == demanded { vec![] } else { vec![set] })
            }
            C::Invite { invite, by, at } => self.invite(invite, by, at),
            C::RevokeInvitation { invitation_id, at } => {
                let is_open = |known: &&Invitation| known.invitation_id == invitation_id;
                self.invitations
                    .iter()
                    .find(is_open)
                    .ok_or(OrganisationError::UnknownInvitation)?;
                Ok(vec![E::InvitationRevoked { invitation_id, at }])
            }
            C::Join { token_sha256, user_id, email_index, at } => {
                self.join(&token_sha256, (user_id, &email_index), at)
            }
            C::ChangeRole { user_id, role, by, at } => self.change_role((user_id, role), by, at),
            C::Remove { user_id, by, at } => self.remove(user_id, by, at),
            C::GrantSupport { grant_id, reason, expires_at, at } => {
                reasoned(&reason)?;
                if self.grants.iter().any(|(known, _)| *known == grant_id) {
                    return Ok(vec![]);
                }
                match expires_at.secs_since(at) {
                    1..=GRANT_MAX_SECS => {
                        Ok(vec![E::SupportGranted { grant_id, reason, expires_at, at }])
                    }
                    _ => Err(OrganisationError::BadGrant),
                }
            }
            C::EndGrant { grant_id, at } => {
                if !self.grants.iter().any(|(known, _)| *known == grant_id) {
                    return Err(OrganisationError::UnknownGrant);
                }
                Ok(vec![E::GrantEnded { grant_id, at }])
            }
            C::Suspend { reason, at } => {
                reasoned(&reason)?;
                let suspended = E::Suspended { reason, at };
                Ok(if self.suspended { vec![] } else { vec![suspended] })
            }
            C::Resume { reason, at } => {
                reasoned(&reason)?;
                let resumed = E::Resumed { reason, at };
                Ok(if self.suspended { vec![resumed] } else { vec![] })
            }
            C::ServiceAccount { service_account_id, wish, by, at } => {
                self.decide_service_account((service_account_id, wish), by, at)
            }
            C::Project { project_id, wish, at } => self.decide_project(project_id, wish, at),
        }
    }

    fn evolve(mut self, event: OrganisationEvent) -> Self {
        use OrganisationEvent as E;
        match event {
            E::Founded { organisation_id, name, .. } => {
                self.organisation_id = Some(organisation_id);
                self.name = name;
            }
            E::Renamed { name, .. } => self.name = name,
            E::SecondFactorRuleSet { demanded, .. } => self.second_factor_demanded = demanded,
            E::MemberInvited {
                invitation_id, email_index, role, token_sha256, expires_at, ..
            } => {
                let known =
                    Invitation { invitation_id, email_index, role, token_sha256, expires_at };
                self.invitations.push(known);
            }
            E::InvitationRevoked { invitation_id, .. } => {
                self.invitations.retain(|known| known.invitation_id != invitation_id);
            }
            E::MemberJoined { user_id, role, invitation_id, .. } => {
                self.invitations.retain(|known| Some(known.invitation_id) != invitation_id);
                self.members.push(Member { user_id, role });
            }
            E::RoleChanged { user_id, role, .. } => {
                let changed = self.members.iter_mut().find(|member| member.user_id == user_id);
                if let Some(member) = changed {
                    member.role = role;
                }
            }
            E::MemberLeft { user_id, .. } => {
                self.members.retain(|member| member.user_id != user_id);
            }
            E::SupportGranted { grant_id, expires_at, at, .. } => {
                self.grants.retain(|(_, ends)| *ends > at);
                self.grants.push((grant_id, expires_at));
            }
            E::GrantEnded { grant_id, .. } => self.grants.retain(|(known, _)| *known != grant_id),
            E::Suspended { .. } => self.suspended = true,
            E::Resumed { .. } => self.suspended = false,
            E::ServiceAccountAdded { service_account_id, name, role, .. } => {
                let disabled = false;
                let added = ServiceAccount { service_account_id, name, role, disabled };
                self.service_accounts.push(added);
            }
            E::ServiceAccountRenamed { service_account_id, name, .. } => {
                self.on_account(service_account_id, |known| known.name = name);
            }
            E::ServiceAccountRoleChanged { service_account_id, role, .. } => {
                self.on_account(service_account_id, |known| known.role = role);
            }
            E::ServiceAccountDisabled { service_account_id, .. } => {
                self.on_account(service_account_id, |known| known.disabled = true);
            }
            E::ServiceAccountEnabled { service_account_id, .. } => {
                self.on_account(service_account_id, |known| known.disabled = false);
            }
            E::ServiceAccountRemoved { service_account_id, .. } => {
                self.service_accounts
                    .retain(|known| known.service_account_id != service_account_id);
            }
            E::ProjectCreated { project_id, .. } => {
                self.projects.push(Project { project_id, archived: false });
            }
            E::ProjectRenamed { .. } => {}
            E::ProjectArchived { project_id, .. } => self.archive_project(project_id),
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }
}

fn named(name: &str) -> Result<(), OrganisationError> {
    match name.chars().count() {
        1..=100 => Ok(()),
        _ => Err(OrganisationError::BadName),
    }
}

fn reasoned(reason: &str) -> Result<(), OrganisationError> {
    says_why(reason).then_some(()).ok_or(OrganisationError::ReasonNeeded)
}

cqrs_aggregate!(Organisation);
