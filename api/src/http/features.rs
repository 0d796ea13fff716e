//! Feature flags: operators switch them, and customers see what is on for them.
use axum::extract::{Path, State};
use cairn_commands::operations::flags::{self, Wish as Becomes};
use cairn_core::OrganisationId;
use cairn_operations::FeatureFlag as Aggregate;
use cairn_projections::operations::feature_flags as view;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::page::Page;
use super::preview::{Answer, Staged};
use super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::state::Api;
use super::wish::Wish;
use crate::features;
use crate::problem::{FieldError, Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_feature_flags, define_feature_flag))
        .routes(routes!(get_feature_flag))
        .routes(routes!(roll_out_feature_flag))
        .routes(routes!(override_feature_flag))
        .routes(routes!(clear_flag_override))
        .routes(routes!(archive_feature_flag))
        .routes(routes!(list_features))
}

/// What is on for the caller's organisation.
#[utoipa::path(get, path = "/v1/features", operation_id = "list_features", tag = "operations",
    params(OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = Features)))]
async fn list_features(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
) -> Result<Seen<Features>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let flags = view::in_use(api.pool()).await?;
    let organisation = reader.caller.organisation_id;
    let on = flags.into_iter().filter(|(_, flag)| flag.is_on_for(organisation));
    Ok(at.saw(Features { features: on.map(|(name, _)| name).collect() }))
}

/// Every flag, the last defined first, archived ones too.
#[utoipa::path(get, path = "/v1/feature-flags", operation_id = "list_feature_flags", tag = "operations",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<FeatureFlag>)))]
async fn list_feature_flags(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<FeatureFlag>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let rows = view::list(api.pool(), page.after, page.limit).await?;
    Ok(at.saw(reader.shown(rows, FeatureFlag::from)?))
}

/// One flag.
#[utoipa::path(get, path = "/v1/feature-flags/{flag}", operation_id = "get_feature_flag", tag = "operations",
    params(("flag" = String, Path, description = "Its name"), OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = FeatureFlag)))]
async fn get_feature_flag(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(flag): Path<String>,
) -> Result<Seen<FeatureFlag>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let row = view::get(api.pool(), &flag).await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::FeatureFlag))?;
    at.saw_one::<Aggregate, _>(&api, (&flag, row.into())).await
}

/// Defines a flag. It is off until it is rolled out or overridden.
#[utoipa::path(post, path = "/v1/feature-flags", operation_id = "define_feature_flag", tag = "operations",
    request_body = FeatureFlagBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Defined", body = FeatureFlagDone)))]
async fn define_feature_flag(
    State(api): State<Api>,
    wish: Wish<FeatureFlagBody>,
) -> Result<Done<FeatureFlagDone>, Problem> {
    let FeatureFlagBody { flag, description } = wish.body;
    let input = (flag.clone(), description);
    let done = flags::define(&api.commands, &wish.context, input).await?;
    Ok(Done::created(&done, format!("/v1/feature-flags/{flag}"), FeatureFlagDone { flag }))
}

/// Has it on for so many of a hundred organisations: 0 is off, 100 is on. Whoever has it keeps it while the percentage grows.
#[utoipa::path(post, path = "/v1/feature-flags/{flag}/roll-out", operation_id = "roll_out_feature_flag", tag = "operations",
    request_body = FeatureFlagRollOut, security(("api_key" = []), ("session" = [])),
    params(
        ("flag" = String, Path, description = "Its name"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It is so", body = FeatureFlagDone)))]
async fn roll_out_feature_flag(
    State(api): State<Api>,
    Path(flag): Path<String>,
    wish: Wish<FeatureFlagRollOut>,
) -> Result<Done<FeatureFlagDone>, Problem> {
    let (becomes, reason) = (Becomes::RollOut(wish.body.percentage), wish.body.reason.clone());
    changed(&api, (flag, wish), (becomes, reason)).await
}

/// Has it on or off for one organisation, whatever the percentage.
#[utoipa::path(post, path = "/v1/feature-flags/{flag}/override", operation_id = "override_feature_flag", tag = "operations",
    request_body = FeatureFlagOverride, security(("api_key" = []), ("session" = [])),
    params(
        ("flag" = String, Path, description = "Its name"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It is so", body = FeatureFlagDone)))]
async fn override_feature_flag(
    State(api): State<Api>,
    Path(flag): Path<String>,
    wish: Wish<FeatureFlagOverride>,
) -> Result<Done<FeatureFlagDone>, Problem> {
    let organisation = organisation(&wish.body.organisation_id)?;
    let becomes = Becomes::Override(organisation, wish.body.on);
    let reason = wish.body.reason.clone();
    changed(&api, (flag, wish), (becomes, reason)).await
}

/// Lets the percentage decide for an organisation again.
#[utoipa::path(post, path = "/v1/feature-flags/{flag}/clear-override", operation_id = "clear_flag_override",
    tag = "operations", request_body = FeatureFlagClearing, security(("api_key" = []), ("session" = [])),
    params(
        ("flag" = String, Path, description = "Its name"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It is so", body = FeatureFlagDone)))]
async fn clear_flag_override(
    State(api): State<Api>,
    Path(flag): Path<String>,
    wish: Wish<FeatureFlagClearing>,
) -> Result<Done<FeatureFlagDone>, Problem> {
    let becomes = Becomes::ClearOverride(organisation(&wish.body.organisation_id)?);
    let reason = wish.body.reason.clone();
    changed(&api, (flag, wish), (becomes, reason)).await
}

/// Ends a flag: it is off for everybody, for good, and its name is used up.
#[utoipa::path(post, path = "/v1/feature-flags/{flag}/archive", operation_id = "archive_feature_flag", tag = "operations",
    request_body = FeatureFlagReason, security(("api_key" = []), ("session" = [])),
    params(
        ("flag" = String, Path, description = "Its name"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It is so", body = FeatureFlagDone)))]
async fn archive_feature_flag(
    State(api): State<Api>,
    Path(flag): Path<String>,
    Staged { wish, stage }: Staged<FeatureFlagReason>,
) -> Result<Answer<FeatureFlagDone>, Problem> {
    let input = ((&*flag, wish.expected), Becomes::Archive, wish.body.reason);
    let done = flags::change(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    Ok(Done::ok(&done, FeatureFlagDone { flag }).into())
}

async fn changed<T>(
    api: &Api,
    (flag, wish): (String, Wish<T>),
    (becomes, reason): (Becomes, String),
) -> Result<Done<FeatureFlagDone>, Problem> {
    let input = ((&*flag, wish.expected), becomes, reason);
    let done = flags::change(&api.commands, &wish.context, input).await?;
    Ok(Done::ok(&done, FeatureFlagDone { flag }))
}

fn organisation(id: &str) -> Result<OrganisationId, Problem> {
    id.parse().map_err(|error: cairn_core::IdError| {
        let wrong = FieldError::new("/organisation_id", "body_invalid", error.to_string());
        Problem::invalid(vec![wrong])
    })
}

/// A flag to define.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureFlagBody {
    /// 1 to 60 of a-z, 0-9 and `_`, a letter first.
    #[schema(example = "pause_rentals")]
    flag: String,
    /// What is on when it is on.
    #[schema(example = "No new rentals")]
    description: String,
}

/// How far a flag is rolled out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureFlagRollOut {
    /// 0 to 100.
    #[schema(maximum = 100, example = 25)]
    percentage: u8,
    /// Why, for the audit trail.
    #[schema(example = "the nodes are full")]
    reason: String,
}

/// What is decided for one organisation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureFlagOverride {
    /// `org_…`
    organisation_id: String,
    /// Whether it is on for it.
    on: bool,
    /// Why, for the audit trail.
    #[schema(example = "they asked to try it")]
    reason: String,
}

/// For whom nothing is decided by name any more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureFlagClearing {
    /// `org_…`
    organisation_id: String,
    /// Why, for the audit trail.
    #[schema(example = "the trial is over")]
    reason: String,
}

/// Why a flag ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureFlagReason {
    /// Why, for the audit trail.
    #[schema(example = "everybody has it")]
    reason: String,
}

/// It is so.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeatureFlagDone {
    /// The flag.
    flag: String,
}

/// What is on for an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Features {
    /// Names of the flags that are on, in their order.
    features: Vec<String>,
}

/// A flag.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeatureFlag {
    /// Its name.
    pub flag: String,
    /// What is on when it is on.
    pub description: String,
    /// For how many of a hundred organisations it is on.
    pub percentage: i64,
    /// What is decided for single organisations.
    pub overrides: Vec<OneOverride>,
    /// The operations that are refused where it is on.
    pub pauses: Vec<&'static str>,
    /// When it was defined.
    pub defined_at: String,
    /// When anything about it was last changed.
    pub changed_at: String,
    /// Since when it is off for good.
    pub archived_at: Option<String>,
}

/// What is decided for one organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneOverride {
    /// Whose.
    pub organisation_id: String,
    /// Whether it is on for it.
    pub on: bool,
    /// Since when.
    pub set_at: String,
}

impl From<view::Flag> for FeatureFlag {
    fn from(row: view::Flag) -> Self {
        let one = |one: view::Override| OneOverride {
            organisation_id: one.organisation_id,
            on: one.is_on,
            set_at: one.set_at.to_string(),
        };
        Self {
            pauses: features::pauses(&row.flag),
            flag: row.flag,
            description: row.description,
            percentage: row.percentage,
            overrides: row.overrides.into_iter().map(one).collect(),
            defined_at: row.defined_at.to_string(),
            changed_at: row.changed_at.to_string(),
            archived_at: row.archived_at.map(|at| at.to_string()),
        }
    }
}
