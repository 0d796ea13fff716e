//! Corrections of usage: metered seconds are taken back, and what they cost.
use axum::extract::{Path, State};
use cairn_commands::compute::{self, CorrectUsage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::preview::{Answer, Staged};
use super::state::Api;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(correct_usage))
}

/// Takes metered seconds back, also of a rental that is over: what they cost comes back as it was taken.
#[utoipa::path(post, path = "/v1/allocations/{allocation_id}/corrections", operation_id = "correct_usage",
    tag = "compute", request_body = CorrectionBody, security(("api_key" = []), ("session" = [])),
    params(
        ("allocation_id" = String, Path, description = "`alloc_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 202, description = "What was charged for them is given back", body = CorrectionDone)))]
async fn correct_usage(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<CorrectionBody>,
) -> Result<Answer<CorrectionDone>, Problem> {
    let allocation_id = id.parse().map_err(|_| Problem::missing(Missing::Allocation))?;
    let CorrectionBody { seconds, reason } = wish.body;
    let input = CorrectUsage { allocation_id, seconds, reason, expected: wish.expected };
    let done = compute::correct_usage(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    let metered_seconds = done.result["seconds"].as_i64().unwrap_or_default();
    let location = format!("/v1/allocations/{id}");
    let body = CorrectionDone { allocation_id: id, metered_seconds };
    Ok(Done::accepted(&done, location, body).into())
}

/// What was metered and should not have been.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectionBody {
    /// How many seconds less: 1 or more.
    #[schema(example = 600)]
    seconds: i64,
    /// Why: 1 to 500 characters.
    #[schema(example = "the node's clock was ahead")]
    reason: String,
}

/// What is metered after a correction.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionDone {
    /// `alloc_…`
    pub allocation_id: String,
    /// Seconds that are left, and billed.
    pub metered_seconds: i64,
}
