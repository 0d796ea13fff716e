//! Members and invitations of the organisation that is acted for.
use axum::extract::{Path, State};
use cairn_commands::identity::organisations::{self, InviteMember, Join};
use cairn_core::Timestamp;
use cairn_projections::identity::{organisations as view, organisations_query as query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::answer::Done;
use super::super::own::Own;
use super::super::page::Page;
use super::super::preview::{Answer, Staged};
use super::super::reader::{ListQuery, Reader, Seen};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::super::wish::Wish;
use super::organisations::{OrganisationDone, changed};
use super::sessions::own_user;
use super::{address, caught_up, code_hash, new_code, open_or_erased, role, seen};
use crate::problem::Problem;

/// How long an invitation may be accepted: 7 days.
const INVITED_SECS: i64 = 7 * 24 * 3_600;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_members))
        .routes(routes!(change_member_role))
        .routes(routes!(remove_member))
        .routes(routes!(list_invitations, invite_member))
        .routes(routes!(revoke_invitation))
        .routes(routes!(accept_invitation))
}

/// Somebody in the organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Member {
    /// `user_…`
    user_id: String,
    /// Their address.
    email: String,
    /// What they are called.
    name: String,
    /// `owner`, `admin`, `finance`, `developer` or `viewer`.
    role: String,
    /// RFC 3339.
    joined_at: String,
}

/// A role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// `owner`, `admin`, `finance`, `developer` or `viewer`.
    #[schema(example = "developer")]
    role: String,
}

/// Somebody to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteMemberBody {
    /// Where the code is sent. Only who has this address can use it.
    #[schema(example = "grace@example.org")]
    email: String,
    /// `owner`, `admin`, `finance`, `developer` or `viewer`.
    #[schema(example = "developer")]
    role: String,
}

/// A code that was sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptBody {
    /// `cairn_code_…`
    code: String,
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberInvitation {
    /// `inv_…`
    invitation_id: String,
    /// Where the code was sent.
    email: String,
    /// As what.
    role: String,
    /// `open`, `accepted`, `revoked` or `over`.
    status: String,
    /// RFC 3339.
    invited_at: String,
    /// RFC 3339.
    expires_at: String,
}

/// Who it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberDone {
    /// `user_…`
    user_id: String,
}

/// Which invitation it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationDone {
    /// `inv_…`
    invitation_id: String,
}

/// Who belongs to the organisation.
#[utoipa::path(get, path = "/v1/members", operation_id = "list_members", tag = "identity",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page, newest first", body = Page<Member>)))]
async fn list_members(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<Member>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let own = reader.caller.organisation_id;
    let mut rows =
        query::members(&mut *api.read_for(&reader.caller).await?, own, page.after, page.limit)
            .await?;
    // What is personal of a member is sealed for them, and not for the organisation.
    for row in &mut rows.items {
        row.email = open_or_erased(&api, &row.email).await?;
        row.name = open_or_erased(&api, &row.name).await?;
    }
    Ok(at.saw(reader.shown(rows, |row| Member {
        user_id: row.user_id,
        email: row.email,
        name: row.name,
        role: row.role,
        joined_at: Timestamp::from(row.joined_at).to_string(),
    })?))
}

/// Gives a member another role, which is not more than one's own.
#[utoipa::path(post, path = "/v1/members/{user_id}/role", operation_id = "change_member_role", tag = "identity",
    request_body = RoleBody, security(("api_key" = []), ("session" = [])),
    params(
        ("user_id" = String, Path, description = "`user_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Changed", body = MemberDone)))]
async fn change_member_role(
    State(api): State<Api>,
    Path(user_id): Path<String>,
    wish: Wish<RoleBody>,
) -> Result<Done<MemberDone>, Problem> {
    let (id, by) = (wish.caller.organisation_id, wish.caller.role);
    let member = unknown_unless(&user_id)?;
    let wanted = (member, role(&wish.body.role)?, by);
    let done = organisations::change_role(&api.commands, &wish.context, id, wanted).await?;
    seen(&api, view::NAME, done.position).await;
    api.directory.forget(member);
    Ok(Done::ok(&done, MemberDone { user_id }).without_version())
}

/// Removes a member.
#[utoipa::path(post, path = "/v1/members/{user_id}/remove", operation_id = "remove_member", tag = "identity",
    request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("user_id" = String, Path, description = "`user_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Removed", body = MemberDone)))]
async fn remove_member(
    State(api): State<Api>,
    Path(user_id): Path<String>,
    Staged { wish, stage }: Staged<Nothing>,
) -> Result<Answer<MemberDone>, Problem> {
    let (id, by) = (wish.caller.organisation_id, Some(wish.caller.role));
    let member = unknown_unless(&user_id)?;
    let gone = (member, by);
    let done = organisations::remove(stage.commands(&api), &wish.context, id, gone).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.without_version().into());
    }
    seen(&api, view::NAME, done.position).await;
    api.directory.forget(member);
    Ok(Done::ok(&done, MemberDone { user_id }).without_version().into())
}

/// What is no id names nobody.
fn unknown_unless(user_id: &str) -> Result<cairn_core::UserId, Problem> {
    user_id.parse().map_err(|_| Problem::new("unknown_member", "there is no such member"))
}

/// Invites somebody by mail. An older invitation of the same address is over.
#[utoipa::path(post, path = "/v1/invitations", operation_id = "invite_member", tag = "identity",
    request_body = InviteMemberBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "A code is on its way", body = InvitationDone)))]
async fn invite_member(
    State(api): State<Api>,
    wish: Wish<InviteMemberBody>,
) -> Result<Done<InvitationDone>, Problem> {
    let (id, by) = (wish.caller.organisation_id, wish.caller.role);
    let (email, email_index) = address(&api, &wish.body.email).await?;
    let code = new_code(api.commands.clock.now(), INVITED_SECS)?;
    let input = InviteMember { email, email_index, role: role(&wish.body.role)?, code, by };
    let done = organisations::invite(&api.commands, &wish.context, id, input).await?;
    seen(&api, view::NAME, done.position).await;
    let invitation_id = done.result["invitation_id"].as_str().unwrap_or_default().to_owned();
    let location = "/v1/invitations".to_owned();
    Ok(Done::created(&done, location, InvitationDone { invitation_id }).without_version())
}

/// Who was invited.
#[utoipa::path(get, path = "/v1/invitations", operation_id = "list_invitations", tag = "identity",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page, newest first", body = Page<MemberInvitation>)))]
async fn list_invitations(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<MemberInvitation>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let own = reader.caller.organisation_id;
    let rows =
        query::invitations(&mut *api.read_for(&reader.caller).await?, own, page.after, page.limit)
            .await?;
    let now = api.commands.clock.now();
    Ok(at.saw(reader.shown(rows, |row| {
        let is_over = row.status == "open" && Timestamp::from(row.expires_at) <= now;
        MemberInvitation {
            invitation_id: row.invitation_id,
            email: row.email,
            role: row.role,
            status: if is_over { "over".to_owned() } else { row.status },
            invited_at: Timestamp::from(row.invited_at).to_string(),
            expires_at: Timestamp::from(row.expires_at).to_string(),
        }
    })?))
}

/// Takes an invitation back.
#[utoipa::path(post, path = "/v1/invitations/{invitation_id}/revoke", operation_id = "revoke_invitation",
    tag = "identity", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("invitation_id" = String, Path, description = "`inv_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It opens nothing", body = InvitationDone)))]
async fn revoke_invitation(
    State(api): State<Api>,
    Path(invitation_id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<InvitationDone>, Problem> {
    let id = wish.caller.organisation_id;
    let unknown = |_| Problem::new("unknown_invitation", "there is no such invitation");
    let invitation = invitation_id.parse().map_err(unknown)?;
    let context = &wish.context;
    let done = organisations::revoke_invitation(&api.commands, context, id, invitation).await?;
    seen(&api, view::NAME, done.position).await;
    Ok(Done::ok(&done, InvitationDone { invitation_id }).without_version())
}

/// Accepts an invitation with the code that was sent to this person's address.
#[utoipa::path(post, path = "/v1/invitations/accept", operation_id = "accept_invitation", tag = "identity",
    request_body = AcceptBody, security(("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "A member", body = OrganisationDone)))]
async fn accept_invitation(
    State(api): State<Api>,
    Own { person, context, body }: Own<AcceptBody>,
) -> Result<Done<OrganisationDone>, Problem> {
    let token_sha256 = code_hash(&body.code)?;
    let unknown = || {
        let detail = "there is no such invitation, it was used, or it is over";
        Problem::new("unknown_invitation", detail)
    };
    caught_up(&api, view::NAME).await?;
    let found = query::invited_by(api.pool(), &token_sha256).await?.ok_or_else(unknown)?;
    let id = found.parse().map_err(|_| unknown())?;
    let email_index = own_user(&api, person).await?.email_index;
    let join = Join { user_id: person.user_id, email_index, token_sha256 };
    let done = organisations::join(&api.commands, &context, id, join).await?;
    changed(&api, person, done.position).await;
    Ok(Done::ok(&done, OrganisationDone { organisation_id: found }).without_version())
}
