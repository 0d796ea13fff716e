//! Projects of the organisation that is acted for: what it sorts its rentals into.
use axum::extract::{Path, State};
use cairn_commands::Executed;
use cairn_commands::identity::organisations;
use cairn_core::{ProjectId, Timestamp};
use cairn_identity::{Organisation, ProjectWish as Becomes};
use cairn_projections::identity::{organisations as view, projects_query as query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::answer::Done;
use super::super::page::Page;
use super::super::preview::{Answer, Staged};
use super::super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::super::wish::Wish;
use super::seen;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_projects, create_project))
        .routes(routes!(get_project, rename_project))
        .routes(routes!(archive_project))
}

/// What it is called.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectBody {
    /// How people tell it apart: 1 to 100 characters.
    #[schema(example = "search")]
    name: String,
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Project {
    /// `proj_…`
    project_id: String,
    /// How people tell it apart.
    name: String,
    /// RFC 3339.
    created_at: String,
    /// Since when it takes no new rental, RFC 3339; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<String>,
}

impl From<query::Project> for Project {
    fn from(row: query::Project) -> Self {
        Self {
            project_id: row.project_id,
            name: row.name,
            created_at: Timestamp::from(row.created_at).to_string(),
            archived_at: row.archived_at.map(|at| Timestamp::from(at).to_string()),
        }
    }
}

/// Which project it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectDone {
    /// `proj_…`
    project_id: String,
}

impl ProjectDone {
    fn of(done: &Executed) -> Self {
        let id = done.result["project_id"].as_str().unwrap_or_default();
        Self { project_id: id.to_owned() }
    }
}

/// Makes a project. Rentals name it when they begin.
#[utoipa::path(post, path = "/v1/projects", operation_id = "create_project", tag = "identity",
    request_body = ProjectBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Made", body = ProjectDone)))]
async fn create_project(
    State(api): State<Api>,
    wish: Wish<ProjectBody>,
) -> Result<Done<ProjectDone>, Problem> {
    let id = ProjectId::from_bits(api.commands.ids.next());
    let create = Becomes::Create { name: wish.body.name.clone() };
    let done = change(&api, (id, &wish), create).await?;
    let made = ProjectDone::of(&done);
    Ok(Done::created(&done, format!("/v1/projects/{}", made.project_id), made))
}

/// The organisation's projects, archived ones included.
#[utoipa::path(get, path = "/v1/projects", operation_id = "list_projects", tag = "identity",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page, newest first", body = Page<Project>)))]
async fn list_projects(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<Project>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let own = reader.caller.organisation_id;
    let rows =
        query::list(&mut *api.read_for(&reader.caller).await?, own, page.after, page.limit).await?;
    Ok(at.saw(reader.shown(rows, Project::from)?))
}

/// One project. It is a part of its organisation, and so is its version: whatever else changes there makes another one.
#[utoipa::path(get, path = "/v1/projects/{project_id}", operation_id = "get_project", tag = "identity",
    security(("api_key" = []), ("session" = [])),
    params(("project_id" = String, Path, description = "`proj_…`"), OneQuery),
    responses((status = 200, description = "As it stands", body = Project)))]
async fn get_project(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Project>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let own = reader.caller.organisation_id;
    let row = query::get(&mut *api.read_for(&reader.caller).await?, own, &id).await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Project))?;
    at.saw_one::<Organisation, _>(&api, (&own.to_string(), row.into())).await
}

/// Gives a project another name.
#[utoipa::path(post, path = "/v1/projects/{project_id}", operation_id = "rename_project", tag = "identity",
    request_body = ProjectBody, security(("api_key" = []), ("session" = [])),
    params(
        ("project_id" = String, Path, description = "`proj_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Renamed", body = ProjectDone)))]
async fn rename_project(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<ProjectBody>,
) -> Result<Done<ProjectDone>, Problem> {
    let rename = Becomes::Rename { name: wish.body.name.clone() };
    let done = change(&api, (parse(&id)?, &wish), rename).await?;
    Ok(Done::ok(&done, ProjectDone::of(&done)))
}

/// Archives a project for good: it takes no new rental. What runs in it runs on, and counts in it.
#[utoipa::path(post, path = "/v1/projects/{project_id}/archive", operation_id = "archive_project", tag = "identity",
    request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("project_id" = String, Path, description = "`proj_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Archived", body = ProjectDone)))]
async fn archive_project(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<Nothing>,
) -> Result<Answer<ProjectDone>, Problem> {
    let organisation = (wish.caller.organisation_id, wish.expected.clone());
    let project = (parse(&id)?, Becomes::Archive);
    let commands = stage.commands(&api);
    let done = organisations::project(commands, &wish.context, organisation, project).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    seen(&api, view::NAME, done.position).await;
    Ok(Done::ok(&done, ProjectDone::of(&done)).into())
}

/// What is no id names nothing.
fn parse(id: &str) -> Result<ProjectId, Problem> {
    id.parse().map_err(|_| Problem::missing(Missing::Project))
}

async fn change(
    api: &Api,
    (project_id, wish): (ProjectId, &Wish<ProjectBody>),
    becomes: Becomes,
) -> Result<Executed, Problem> {
    let organisation = (wish.caller.organisation_id, wish.expected.clone());
    let project = (project_id, becomes);
    let done = organisations::project(&api.commands, &wish.context, organisation, project).await?;
    seen(api, view::NAME, done.position).await;
    Ok(done)
}
