//! Organisations: founding, members, invitations, service accounts, projects, grants to support, suspension.
use cairn_core::{
    GrantId, InvitationId, OrganisationId, ProjectId, ServiceAccountId, Timestamp, UserId,
};
use cairn_identity::{
    Invite, Organisation, OrganisationCommand, ProjectWish, Role, ServiceAccountWish,
};
use serde_json::{Value, json};

use super::Code;
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// Founds an organisation, whose owner is who founds it. Answers `{"organisation_id"}`.
///
/// # Errors
/// `organisation_name_invalid`.
pub async fn found(
    commands: &Commands,
    context: &CommandContext,
    owner: UserId,
    name: String,
) -> Result<Executed, ExecuteError> {
    let organisation_id = OrganisationId::from_bits(commands.ids.next());
    let at = commands.clock.now();
    let found = OrganisationCommand::Found { organisation_id, name, owner, at };
    let result = json!({ "organisation_id": organisation_id });
    on(commands, context, organisation_id, (found, result)).await
}

/// Gives an organisation another name.
///
/// # Errors
/// `organisation_name_invalid`, `unknown_organisation`.
pub async fn rename(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    name: String,
) -> Result<Executed, ExecuteError> {
    let rename = OrganisationCommand::Rename { name, at: commands.clock.now() };
    let result = json!({ "organisation_id": organisation_id });
    on(commands, context, organisation_id, (rename, result)).await
}

/// Demands of whoever acts for an organisation that they have shown two factors, or no longer.
///
/// # Errors
/// `unknown_organisation`.
pub async fn set_second_factor_rule(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    demanded: bool,
) -> Result<Executed, ExecuteError> {
    let set = OrganisationCommand::SetSecondFactorRule { demanded, at: commands.clock.now() };
    let result = json!({ "organisation_id": organisation_id });
    on(commands, context, organisation_id, (set, result)).await
}

/// Somebody to invite.
#[derive(Debug, Clone)]
pub struct InviteMember {
    /// Where the code is sent.
    pub email: String,
    /// What the address is found by.
    pub email_index: String,
    /// As what.
    pub role: Role,
    /// Lets its holder in, if they have the address.
    pub code: Code,
    /// The role of whoever invites.
    pub by: Role,
}

/// Invites somebody. Answers `{"invitation_id"}`.
///
/// # Errors
/// `role_too_high`, `organisation_full`, `unknown_organisation`.
pub async fn invite(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    input: InviteMember,
) -> Result<Executed, ExecuteError> {
    let InviteMember { email, email_index, role, code, by } = input;
    let Code { token, token_sha256, expires_at } = code;
    let invitation_id = InvitationId::from_bits(commands.ids.next());
    let invite =
        Invite { invitation_id, email, email_index, role, token, token_sha256, expires_at };
    let invite = OrganisationCommand::Invite { invite, by, at: commands.clock.now() };
    on(commands, context, organisation_id, (invite, json!({ "invitation_id": invitation_id })))
        .await
}

/// Takes an invitation back.
///
/// # Errors
/// `unknown_invitation`.
pub async fn revoke_invitation(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    invitation_id: InvitationId,
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let revoke = OrganisationCommand::RevokeInvitation { invitation_id, at };
    on(commands, context, organisation_id, (revoke, json!({ "invitation_id": invitation_id })))
        .await
}

/// Somebody who comes with an invitation.
#[derive(Debug, Clone)]
pub struct Join {
    /// Who.
    pub user_id: UserId,
    /// What their address is found by.
    pub email_index: String,
    /// Hash of the code.
    pub token_sha256: String,
}

/// Makes somebody who was invited a member. Answers `{"organisation_id"}`.
///
/// # Errors
/// `unknown_invitation`, `invitation_for_another`, `member_already`, `organisation_full`.
pub async fn join(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    input: Join,
) -> Result<Executed, ExecuteError> {
    let Join { user_id, email_index, token_sha256 } = input;
    let at = commands.clock.now();
    let join = OrganisationCommand::Join { token_sha256, user_id, email_index, at };
    let result = json!({ "organisation_id": organisation_id });
    on(commands, context, organisation_id, (join, result)).await
}

/// Gives a member another role.
///
/// # Errors
/// `unknown_member`, `role_too_high`, `last_owner`.
pub async fn change_role(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    (user_id, role, by): (UserId, Role, Role),
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let change = OrganisationCommand::ChangeRole { user_id, role, by, at };
    on(commands, context, organisation_id, (change, json!({ "user_id": user_id }))).await
}

/// Removes a member; `by` is none when they leave by themselves.
///
/// # Errors
/// `unknown_member`, `role_too_high`, `last_owner`.
pub async fn remove(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    (user_id, by): (UserId, Option<Role>),
) -> Result<Executed, ExecuteError> {
    let remove = OrganisationCommand::Remove { user_id, by, at: commands.clock.now() };
    on(commands, context, organisation_id, (remove, json!({ "user_id": user_id }))).await
}

/// Lets the platform's support look, until an instant. Answers `{"grant_id"}`.
///
/// # Errors
/// `grant_invalid`, `reason_needed`, `unknown_organisation`.
pub async fn grant_support(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    (reason, expires_at): (String, Timestamp),
) -> Result<Executed, ExecuteError> {
    let grant_id = GrantId::from_bits(commands.ids.next());
    let at = commands.clock.now();
    let grant = OrganisationCommand::GrantSupport { grant_id, reason, expires_at, at };
    on(commands, context, organisation_id, (grant, json!({ "grant_id": grant_id }))).await
}

/// Ends a grant to support.
///
/// # Errors
/// `unknown_grant`.
pub async fn end_grant(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    grant_id: GrantId,
) -> Result<Executed, ExecuteError> {
    let end = OrganisationCommand::EndGrant { grant_id, at: commands.clock.now() };
    on(commands, context, organisation_id, (end, json!({ "grant_id": grant_id }))).await
}

/// Suspends an organisation, or lets it go on.
///
/// # Errors
/// `reason_needed`, `unknown_organisation`.
pub async fn set_suspended(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    (suspended, reason): (bool, String),
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let command = if suspended {
        OrganisationCommand::Suspend { reason, at }
    } else {
        OrganisationCommand::Resume { reason, at }
    };
    let result = json!({ "organisation_id": organisation_id });
    on(commands, context, organisation_id, (command, result)).await
}

/// A service account that somebody wishes something of.
#[derive(Debug, Clone)]
pub struct OnServiceAccount {
    /// Whose it is, and what was seen of it. It is a part of its organisation, so what was seen is the organisation's version.
    pub organisation: (OrganisationId, Expected),
    /// Which; a new one when something is to be added.
    pub service_account_id: ServiceAccountId,
    /// What for.
    pub wish: ServiceAccountWish,
    /// The role of whoever wishes it.
    pub by: Role,
}

/// Adds, changes, shuts, opens or removes a service account. Answers `{"service_account_id"}`.
///
/// # Errors
/// `unknown_service_account`, `service_account_name_invalid`, `service_account_role_invalid`, `role_too_high`, `organisation_full`,
/// `unknown_organisation`, `precondition_failed`.
pub async fn service_account(
    commands: &Commands,
    context: &CommandContext,
    input: OnServiceAccount,
) -> Result<Executed, ExecuteError> {
    let OnServiceAccount { organisation: (id, expected), service_account_id, wish, by } = input;
    let at = commands.clock.now();
    let command = OrganisationCommand::ServiceAccount { service_account_id, wish, by, at };
    let result = json!({ "service_account_id": service_account_id });
    let stream = (&*id.to_string(), expected);
    commands.executor.execute_upon::<Organisation>(stream, command, context, result).await
}

/// Creates, renames or archives a project. Answers `{"project_id"}`.
///
/// The organisation is expected as it was seen: a project is a part of it.
///
/// # Errors
/// `unknown_project`, `project_name_invalid`, `project_archived`, `organisation_full`, `unknown_organisation`, `precondition_failed`.
pub async fn project(
    commands: &Commands,
    context: &CommandContext,
    (organisation_id, expected): (OrganisationId, Expected),
    (project_id, wish): (ProjectId, ProjectWish),
) -> Result<Executed, ExecuteError> {
    let command = OrganisationCommand::Project { project_id, wish, at: commands.clock.now() };
    let result = json!({ "project_id": project_id });
    let stream = (&*organisation_id.to_string(), expected);
    commands.executor.execute_upon::<Organisation>(stream, command, context, result).await
}

async fn on(
    commands: &Commands,
    context: &CommandContext,
    organisation_id: OrganisationId,
    (command, result): (OrganisationCommand, Value),
) -> Result<Executed, ExecuteError> {
    let id = organisation_id.to_string();
    commands.executor.execute::<Organisation>(&id, command, context, result).await
}
