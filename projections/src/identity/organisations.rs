//! Organisations, members, invitations, service accounts, projects and grants to support: asked whenever somebody acts for an organisation.
use async_trait::async_trait;
use cairn_core::{ProjectId, ServiceAccountId};
use cairn_event_log::Recorded;
use cairn_identity::OrganisationEvent;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, wire_name};

/// Name of this projection.
pub const NAME: &str = "identity/organisations";

/// The projection.
pub struct Organisations;

#[async_trait]
impl Projection for Organisations {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &[
            "identity_organisations",
            "identity_members",
            "identity_invitations",
            "identity_grants",
            "identity_service_accounts",
            "identity_projects",
        ]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[OrganisationEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        use OrganisationEvent as E;
        let (organisation_id, position) = (event.aggregate_id.clone(), event.position);
        match event.decode()? {
            E::Founded { name, at, .. } => changes.insert(OrganisationRow {
                organisation_id,
                position,
                name,
                founded_at: At(at),
                suspended_at: None,
                suspended_reason: None,
                second_factor_demanded: false,
            }),
            E::MemberInvited {
                invitation_id, email, role, token_sha256, expires_at, at, ..
            } => {
                changes.insert(InvitationRow {
                    invitation_id: invitation_id.to_string(),
                    position,
                    organisation_id,
                    email,
                    role: wire_name(&role)?,
                    token_sha256,
                    status: "open".to_owned(),
                    invited_at: At(at),
                    expires_at: At(expires_at),
                });
            }
            E::InvitationRevoked { invitation_id, .. } => {
                settle(changes, invitation_id.to_string(), "revoked");
            }
            E::MemberJoined { user_id, role, invitation_id, at } => {
                if let Some(invitation_id) = invitation_id {
                    settle(changes, invitation_id.to_string(), "accepted");
                }
                changes.insert(MemberRow {
                    organisation_id,
                    user_id: user_id.to_string(),
                    position,
                    role: wire_name(&role)?,
                    joined_at: At(at),
                });
            }
            E::RoleChanged { user_id, role, .. } => {
                let key = (organisation_id, user_id.to_string());
                become_of(changes, key, wire_name(&role)?);
            }
            E::MemberLeft { user_id, .. } => {
                changes.remove::<MemberRow>((organisation_id, user_id.to_string()));
            }
            E::SupportGranted { grant_id, reason, expires_at, at } => changes.insert(GrantRow {
                grant_id: grant_id.to_string(),
                position,
                organisation_id,
                reason,
                granted_at: At(at),
                expires_at: At(expires_at),
                ended_at: None,
            }),
            E::GrantEnded { grant_id, at } => end_grant(changes, grant_id.to_string(), At(at)),
            own @ (E::Renamed { .. }
            | E::SecondFactorRuleSet { .. }
            | E::Suspended { .. }
            | E::Resumed { .. }) => project_own(changes, organisation_id, own),
            of_part => project_part(changes, (organisation_id, position), of_part)?,
        }
        Ok(())
    }
}

fn change(
    changes: &mut Changes,
    organisation_id: String,
    change: impl FnOnce(&mut OrganisationRow) + Send + 'static,
) {
    changes.change((organisation_id,), move |row: &mut OrganisationRow| {
        change(row);
        Ok(())
    });
}

/// What happens to the organisation itself.
fn project_own(changes: &mut Changes, organisation_id: String, event: OrganisationEvent) {
    use OrganisationEvent as E;
    match event {
        E::Renamed { name, .. } => change(changes, organisation_id, |row| row.name = name),
        E::SecondFactorRuleSet { demanded, .. } => change(changes, organisation_id, move |row| {
            row.second_factor_demanded = demanded;
        }),
        E::Suspended { reason, at } => change(changes, organisation_id, move |row| {
            (row.suspended_at, row.suspended_reason) = (Some(At(at)), Some(reason));
        }),
        E::Resumed { .. } => change(changes, organisation_id, |row| {
            (row.suspended_at, row.suspended_reason) = (None, None);
        }),
        _ => {}
    }
}

/// What happens to service accounts and projects.
fn project_part(
    changes: &mut Changes,
    (organisation_id, position): (String, i64),
    event: OrganisationEvent,
) -> Result<(), ProjectError> {
    use OrganisationEvent as E;
    match event {
        E::ServiceAccountAdded { service_account_id, name, role, at } => {
            changes.insert(ServiceAccountRow {
                service_account_id: service_account_id.to_string(),
                position,
                organisation_id,
                name,
                role: wire_name(&role)?,
                added_at: At(at),
                disabled_at: None,
                removed_at: None,
            });
        }
        E::ServiceAccountRenamed { service_account_id, name, .. } => {
            account(changes, service_account_id, |row| row.name = name);
        }
        E::ServiceAccountRoleChanged { service_account_id, role, .. } => {
            let role = wire_name(&role)?;
            account(changes, service_account_id, |row| row.role = role);
        }
        E::ServiceAccountDisabled { service_account_id, at } => {
            account(changes, service_account_id, move |row| row.disabled_at = Some(At(at)));
        }
        E::ServiceAccountEnabled { service_account_id, .. } => {
            account(changes, service_account_id, |row| row.disabled_at = None);
        }
        E::ServiceAccountRemoved { service_account_id, at } => {
            account(changes, service_account_id, move |row| row.removed_at = Some(At(at)));
        }
        E::Founded { .. }
        | E::Renamed { .. }
        | E::SecondFactorRuleSet { .. }
        | E::MemberInvited { .. }
        | E::InvitationRevoked { .. }
        | E::MemberJoined { .. }
        | E::RoleChanged { .. }
        | E::MemberLeft { .. }
        | E::SupportGranted { .. }
        | E::GrantEnded { .. }
        | E::Suspended { .. }
        | E::Resumed { .. } => {}
        E::ProjectCreated { project_id, name, at } => changes.insert(ProjectRow {
            project_id: project_id.to_string(),
            position,
            organisation_id,
            name,
            created_at: At(at),
            archived_at: None,
        }),
        E::ProjectRenamed { project_id, name, .. } => {
            of_project(changes, project_id, |row| row.name = name);
        }
        E::ProjectArchived { project_id, at } => {
            of_project(changes, project_id, move |row| row.archived_at = Some(At(at)));
        }
    }
    Ok(())
}

fn of_project(
    changes: &mut Changes,
    id: ProjectId,
    change: impl FnOnce(&mut ProjectRow) + Send + 'static,
) {
    changes.change((id.to_string(),), move |row: &mut ProjectRow| {
        change(row);
        Ok(())
    });
}

fn account(
    changes: &mut Changes,
    id: ServiceAccountId,
    change: impl FnOnce(&mut ServiceAccountRow) + Send + 'static,
) {
    changes.change((id.to_string(),), move |row: &mut ServiceAccountRow| {
        change(row);
        Ok(())
    });
}

fn become_of(changes: &mut Changes, key: (String, String), role: String) {
    changes.change(key, move |member: &mut MemberRow| {
        member.role = role;
        Ok(())
    });
}

fn end_grant(changes: &mut Changes, grant_id: String, at: At) {
    changes.change((grant_id,), move |grant: &mut GrantRow| {
        grant.ended_at = Some(at);
        Ok(())
    });
}

fn settle(changes: &mut Changes, invitation_id: String, status: &'static str) {
    changes.change((invitation_id,), move |row: &mut InvitationRow| {
        row.status = status.to_owned();
        Ok(())
    });
}

row! {
    /// An organisation.
    pub(crate) struct OrganisationRow in "identity_organisations" by (organisation_id: String) {
        organisation_id: String,
        position: i64,
        name: String,
        founded_at: At,
        suspended_at: Option<At>,
        suspended_reason: Option<String>,
        second_factor_demanded: bool,
    }
}

row! {
    /// Somebody in an organisation.
    pub(crate) struct MemberRow in "identity_members" by (organisation_id: String, user_id: String) {
        organisation_id: String,
        user_id: String,
        position: i64,
        role: String,
        joined_at: At,
    }
}

row! {
    /// An invitation.
    pub(crate) struct InvitationRow in "identity_invitations" by (invitation_id: String) {
        invitation_id: String,
        position: i64,
        organisation_id: String,
        email: String,
        role: String,
        token_sha256: String,
        status: String,
        invited_at: At,
        expires_at: At,
    }
}

row! {
    /// A grant to support.
    pub(crate) struct GrantRow in "identity_grants" by (grant_id: String) {
        grant_id: String,
        position: i64,
        organisation_id: String,
        reason: String,
        granted_at: At,
        expires_at: At,
        ended_at: Option<At>,
    }
}

row! {
    /// A program that acts for an organisation.
    pub(crate) struct ServiceAccountRow in "identity_service_accounts" by (service_account_id: String) {
        service_account_id: String,
        position: i64,
        organisation_id: String,
        name: String,
        role: String,
        added_at: At,
        disabled_at: Option<At>,
        removed_at: Option<At>,
    }
}

row! {
    /// What an organisation sorts its rentals into.
    pub(crate) struct ProjectRow in "identity_projects" by (project_id: String) {
        project_id: String,
        position: i64,
        organisation_id: String,
        name: String,
        created_at: At,
        archived_at: Option<At>,
    }
}
