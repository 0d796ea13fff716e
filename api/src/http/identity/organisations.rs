//! Organisations: founding one, leaving one, its name; suspension by the platform.
use axum::Json;
use axum::extract::{Extension, Path, State};
use cairn_commands::identity::organisations;
use cairn_core::{OrganisationId, Timestamp};
use cairn_projections::identity::{organisations as view, organisations_query as query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::answer::Done;
use super::super::own::Own;
use super::super::preview::{Answer, Staged};
use super::super::reader::{OneQuery, Reader, Seen};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::super::wish::Wish;
use super::seen;
use super::sessions::{MembershipShown, memberships};
use crate::auth::{Person, Who};
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_organisations, found_organisation))
        .routes(routes!(leave_organisation))
        .routes(routes!(get_organisation))
        .routes(routes!(rename_organisation))
        .routes(routes!(set_second_factor_rule))
        .routes(routes!(suspend_organisation))
        .routes(routes!(resume_organisation))
}

/// A name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameBody {
    /// 1 to 100 characters.
    #[schema(example = "Analytical Engines")]
    name: String,
}

/// A reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// 1 to 500 characters.
    reason: String,
}

/// Which organisation it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganisationDone {
    /// `org_…`
    pub organisation_id: String,
}

/// What a person belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Memberships {
    /// The oldest membership first.
    items: Vec<MembershipShown>,
}

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Organisation {
    /// `org_…`
    organisation_id: String,
    /// What it is called.
    name: String,
    /// RFC 3339.
    founded_at: String,
    /// RFC 3339; absent while it is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_at: Option<String>,
    /// Why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_reason: Option<String>,
    /// Whether people must have shown two factors to act for it.
    second_factor_demanded: bool,
}

/// What people must show.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorBody {
    /// Whether they must show two factors.
    demanded: bool,
}

/// Founds an organisation, and makes whoever founds it its owner.
#[utoipa::path(post, path = "/v1/organisations", operation_id = "found_organisation", tag = "identity",
    request_body = NameBody, security(("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Founded", body = OrganisationDone)))]
async fn found_organisation(
    State(api): State<Api>,
    Own { person, context, body }: Own<NameBody>,
) -> Result<Done<OrganisationDone>, Problem> {
    let (commands, owner) = (&api.commands, person.user_id);
    let done = organisations::found(commands, &context, owner, body.name).await?;
    changed(&api, person, done.position).await;
    let organisation_id = done.aggregate_id.clone();
    let location = "/v1/organisation".to_owned();
    Ok(Done::created(&done, location, OrganisationDone { organisation_id }).without_version())
}

/// What this person belongs to.
#[utoipa::path(get, path = "/v1/organisations", operation_id = "list_organisations", tag = "identity",
    security(("session" = [])),
    responses((status = 200, description = "All of it", body = Memberships)))]
async fn list_organisations(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
) -> Result<Json<Memberships>, Problem> {
    Ok(Json(Memberships { items: memberships(&api, person).await? }))
}

/// Leaves an organisation. Its last owner cannot.
#[utoipa::path(post, path = "/v1/organisations/{organisation_id}/leave", operation_id = "leave_organisation",
    tag = "identity", request_body = Option<Nothing>, security(("session" = [])),
    params(
        ("organisation_id" = String, Path, description = "`org_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Left", body = OrganisationDone)))]
async fn leave_organisation(
    State(api): State<Api>,
    Path(id): Path<String>,
    Own { person, context, .. }: Own<Nothing>,
) -> Result<Done<OrganisationDone>, Problem> {
    let (id, left) = (parse(&id)?, (person.user_id, None));
    let own =
        query::memberships(&mut *api.read_for(person).await?, &person.user_id.to_string()).await?;
    if !own.iter().any(|own| own.organisation_id == id.to_string()) {
        return Err(Problem::missing(Missing::Organisation));
    }
    let done = organisations::remove(&api.commands, &context, id, left).await?;
    changed(&api, person, done.position).await;
    let organisation_id = id.to_string();
    Ok(Done::ok(&done, OrganisationDone { organisation_id }).without_version())
}

/// Who belongs where has changed.
pub(super) async fn changed(api: &Api, person: Person, position: i64) {
    seen(api, view::NAME, position).await;
    api.directory.forget(person.user_id);
}

/// The organisation that is acted for.
#[utoipa::path(get, path = "/v1/organisation", operation_id = "get_organisation", tag = "identity",
    params(OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = Organisation)))]
async fn get_organisation(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
) -> Result<Seen<Organisation>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let row = query::get(&mut *api.read_for(&reader.caller).await?, reader.caller.organisation_id)
        .await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Organisation))?;
    Ok(at.saw(Organisation {
        organisation_id: row.organisation_id,
        name: row.name,
        founded_at: Timestamp::from(row.founded_at).to_string(),
        suspended_at: row.suspended_at.map(|at| Timestamp::from(at).to_string()),
        suspended_reason: row.suspended_reason,
        second_factor_demanded: row.second_factor_demanded,
    }))
}

/// Gives the organisation another name.
#[utoipa::path(post, path = "/v1/organisation/name", operation_id = "rename_organisation", tag = "identity",
    request_body = NameBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "Renamed", body = OrganisationDone)))]
async fn rename_organisation(
    State(api): State<Api>,
    wish: Wish<NameBody>,
) -> Result<Done<OrganisationDone>, Problem> {
    let (id, name) = (wish.caller.organisation_id, wish.body.name);
    let done = organisations::rename(&api.commands, &wish.context, id, name).await?;
    Ok(Done::ok(&done, OrganisationDone { organisation_id: id.to_string() }).without_version())
}

/// Demands of people that they show two factors to act for the organisation, or no longer. A person who demands it has shown them.
#[utoipa::path(post, path = "/v1/organisation/second-factor", operation_id = "set_second_factor_rule", tag = "identity",
    request_body = SecondFactorBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "So it is", body = OrganisationDone)))]
async fn set_second_factor_rule(
    State(api): State<Api>,
    wish: Wish<SecondFactorBody>,
) -> Result<Done<OrganisationDone>, Problem> {
    let (id, demanded) = (wish.caller.organisation_id, wish.body.demanded);
    if let (true, Who::Person(person)) = (demanded, wish.caller.who) {
        let now = api.commands.clock.now();
        if !api.directory.session_named(person.session_id, now).await?.two_factors {
            let detail = "nobody demands of others what they have not shown: sign in with a second factor first";
            return Err(Problem::new("second_factor_needed", detail));
        }
    }
    let done = organisations::set_second_factor_rule(&api.commands, &wish.context, id, demanded);
    let done = done.await?;
    seen(&api, view::NAME, done.position).await;
    api.directory.forget_members(id);
    Ok(Done::ok(&done, OrganisationDone { organisation_id: id.to_string() }).without_version())
}

/// Suspends an organisation: it reads, pays in and releases what it has, and nothing else.
#[utoipa::path(post, path = "/v1/organisations/{organisation_id}/suspend", operation_id = "suspend_organisation",
    tag = "identity", request_body = ReasonBody, security(("api_key" = []), ("session" = [])),
    params(
        ("organisation_id" = String, Path, description = "`org_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Suspended", body = OrganisationDone)))]
async fn suspend_organisation(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Staged<ReasonBody>,
) -> Result<Answer<OrganisationDone>, Problem> {
    set_suspended(&api, &id, (true, wish)).await
}

/// Lets a suspended organisation go on.
#[utoipa::path(post, path = "/v1/organisations/{organisation_id}/resume", operation_id = "resume_organisation",
    tag = "identity", request_body = ReasonBody, security(("api_key" = []), ("session" = [])),
    params(
        ("organisation_id" = String, Path, description = "`org_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Active", body = OrganisationDone)))]
async fn resume_organisation(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Staged<ReasonBody>,
) -> Result<Answer<OrganisationDone>, Problem> {
    set_suspended(&api, &id, (false, wish)).await
}

async fn set_suspended(
    api: &Api,
    id: &str,
    (suspended, Staged { wish, stage }): (bool, Staged<ReasonBody>),
) -> Result<Answer<OrganisationDone>, Problem> {
    let id = parse(id)?;
    let wanted = (suspended, wish.body.reason);
    let commands = stage.commands(api);
    let done = organisations::set_suspended(commands, &wish.context, id, wanted).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.without_version().into());
    }
    seen(api, view::NAME, done.position).await;
    let organisation_id = id.to_string();
    Ok(Done::ok(&done, OrganisationDone { organisation_id }).without_version().into())
}

/// What is no id names nothing.
fn parse(id: &str) -> Result<OrganisationId, Problem> {
    id.parse().map_err(|_| Problem::missing(Missing::Organisation))
}
