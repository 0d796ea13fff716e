//! All that is held on a person, or on an organisation, as one document. It is answered to whoever proves themselves and kept nowhere.
use axum::Json;
use axum::extract::{Extension, State};
use cairn_commands::privacy::{self, EraseError, ExportedEvent};
use cairn_core::Subject;
use cairn_projections::operations::audit;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::own::OwnOnce;
use super::super::state::Api;
use super::passkeys::{self, PasskeyListed};
use super::sessions::{
    MembershipShown, SessionListed, memberships, open_sessions, own_user, proven,
};
use super::wishes::{ConsentShown, ErasureShown, consents, shown};
use super::{open, open_or_erased};
use crate::auth::{Caller, Person};
use crate::problem::Problem;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(export_person)).routes(routes!(export_organisation))
}

/// Acts of one page that is read of the audit trail.
const PAGE: i64 = 500;

/// Whose data is wanted: whoever knows the password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportBody {
    /// The password of the account.
    password: String,
}

/// An event that is held.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldEvent {
    /// Place in the log.
    position: i64,
    /// When it was recorded.
    recorded_at: String,
    /// What it is about, for example `user`.
    aggregate_type: String,
    /// Which one.
    aggregate_id: String,
    /// What happened.
    event_type: String,
    /// The event itself. What proves who somebody is reads as `withheld`.
    #[schema(value_type = Object)]
    payload: Value,
    /// Who did it, and from where.
    #[schema(value_type = Object)]
    metadata: Value,
}

impl From<ExportedEvent> for HeldEvent {
    fn from(event: ExportedEvent) -> Self {
        Self {
            position: event.position,
            recorded_at: event.recorded_at.to_string(),
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            event_type: event.event_type,
            payload: event.payload,
            metadata: event.metadata,
        }
    }
}

/// Something that a person did.
#[derive(Debug, Serialize, ToSchema)]
pub struct Act {
    /// Place in the log.
    position: i64,
    /// When.
    recorded_at: String,
    /// For which organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation_id: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// What it was about.
    aggregate_type: String,
    /// Which one.
    aggregate_id: String,
    /// What happened.
    event_type: String,
}

/// All that is held on a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonalExport {
    /// `user_…`
    user_id: String,
    /// When this was written down.
    made_at: String,
    /// The address of the account.
    email: String,
    /// What they are called.
    name: String,
    /// Whether one-time passwords are in use.
    one_time_passwords: bool,
    /// When they registered.
    registered_at: String,
    /// What they belong to.
    organisations: Vec<MembershipShown>,
    /// Where they are signed in.
    sessions: Vec<SessionListed>,
    /// The passkeys that they sign in by.
    passkeys: Vec<PasskeyListed>,
    /// What they agreed to, the last first.
    consents: Vec<ConsentShown>,
    /// Whether they are to be forgotten.
    erasure: ErasureShown,
    /// Everything that happened to the account: letters that were asked for, sign-ins, changes.
    events: Vec<HeldEvent>,
    /// Everything that they did, for themselves and for organisations.
    acts: Vec<Act>,
}

/// All that is held on an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganisationExport {
    /// `org_…`
    organisation_id: String,
    /// When this was written down.
    pub made_at: String,
    /// Everything that happened to it and to what is its own.
    events: Vec<HeldEvent>,
}

async fn events(api: &Api, subject: &Subject) -> Result<Vec<HeldEvent>, Problem> {
    let executor = &api.commands.executor;
    let found = privacy::export(executor.log(), executor.personal(), subject).await;
    match found {
        Ok(found) => Ok(found.events.into_iter().map(HeldEvent::from).collect()),
        // Nothing has happened to it yet.
        Err(EraseError::Unknown(_)) => Ok(vec![]),
        Err(EraseError::Database(error)) => {
            Err(Problem::new("database_unavailable", error.to_string()))
        }
        Err(EraseError::Execute(error)) => Err(error.into()),
        Err(error) => Err(Problem::internal(&error.to_string())),
    }
}

async fn acts(api: &Api, actor: &str) -> Result<Vec<Act>, Problem> {
    let (mut acts, mut after) = (vec![], None);
    loop {
        let filter = audit::Filter { actor: Some(actor.to_owned()), ..audit::Filter::default() };
        let page = audit::list(api.pool(), filter, after, PAGE).await?;
        for row in page.items {
            let origin = match row.origin {
                Some(origin) => open(api, &origin).await?,
                None => None,
            };
            acts.push(Act {
                position: row.position,
                recorded_at: row.recorded_at.to_string(),
                organisation_id: row.organisation_id,
                origin,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                event_type: row.event_type,
            });
        }
        match page.next {
            None => return Ok(acts),
            next => after = next,
        }
    }
}

/// Writes down all that is held on this person. The password is asked for: a session that somebody took over is not enough.
#[utoipa::path(post, path = "/v1/me/export", operation_id = "export_person", tag = "identity",
    request_body = ExportBody, security(("session" = [])),
    responses((status = 200, description = "All of it", body = PersonalExport)))]
async fn export_person(
    State(api): State<Api>,
    OwnOnce { person, context, body }: OwnOnce<ExportBody>,
) -> Result<Json<PersonalExport>, Problem> {
    let known = own_user(&api, person).await?;
    let known = proven(&api, &context, (Some(known), body.password)).await?;
    Ok(Json(PersonalExport {
        user_id: known.user_id.clone(),
        made_at: api.commands.clock.now().to_string(),
        email: open_or_erased(&api, &known.email).await?,
        name: open_or_erased(&api, &known.name).await?,
        one_time_passwords: known.totp == "on",
        registered_at: known.registered_at.to_string(),
        organisations: memberships(&api, person).await?,
        sessions: open_sessions(&api, person).await?,
        passkeys: passkeys::listed(&api, person).await?,
        consents: consents(&api, person).await?,
        erasure: shown(&api, person).await?,
        events: events(&api, &Subject::user(person.user_id)).await?,
        acts: acts(&api, &Person::actor(&person)).await?,
    }))
}

/// Writes down all that is held on the caller's organisation.
#[utoipa::path(get, path = "/v1/organisation/export", operation_id = "export_organisation", tag = "identity",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "All of it", body = OrganisationExport)))]
async fn export_organisation(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<OrganisationExport>, Problem> {
    Ok(Json(organisation_export(&api, &caller).await?))
}

/// All that is held on the organisation of whoever may know it.
///
/// # Errors
/// `database_unavailable`.
pub async fn organisation_export(
    api: &Api,
    caller: &Caller,
) -> Result<OrganisationExport, Problem> {
    Ok(OrganisationExport {
        organisation_id: caller.organisation_id.to_string(),
        made_at: api.commands.clock.now().to_string(),
        events: events(api, &Subject::organisation(caller.organisation_id)).await?,
    })
}
