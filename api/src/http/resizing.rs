//! Changes of size: a rental goes on as another SKU, or with more disk.
use axum::extract::{Path, State};
use cairn_commands::compute::{self, ResizeAllocation};
use cairn_projections::compute::allocations as view;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::preview::{Answer, Staged};
use super::state::Api;
use crate::problem::{FieldError, Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(resize_allocation))
}

/// Goes on as another SKU, at the price that a new rental would pay now; or as the same with more disk, which alone is priced anew then. It
/// is stopped for it as briefly as its node needs, and keeps its data; that time is not charged. Disks only grow.
#[utoipa::path(post, path = "/v1/allocations/{allocation_id}/resize", operation_id = "resize_allocation",
    tag = "compute", request_body = ResizeBody, security(("api_key" = []), ("session" = [])),
    params(
        ("allocation_id" = String, Path, description = "`alloc_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 202, description = "Capacity will be set aside, and then it is resized", body = ResizeDone)))]
async fn resize_allocation(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<ResizeBody>,
) -> Result<Answer<ResizeDone>, Problem> {
    let allocation_id = id.parse().map_err(|_| Problem::missing(Missing::Allocation))?;
    let (organisation_id, expected) = (wish.caller.narrowed_to(), wish.expected);
    let ResizeBody { sku_id, additional_disk_gib } = wish.body;
    if sku_id.is_none() && additional_disk_gib.is_none() {
        let why = "say a sku_id, additional_disk_gib, or both".to_owned();
        return Err(Problem::invalid(vec![FieldError::new("/sku_id", "body_invalid", why)]));
    }
    let input =
        ResizeAllocation { organisation_id, allocation_id, sku_id, additional_disk_gib, expected };
    let done = compute::resize_allocation(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    let sku_id = done.result["sku_id"].as_str().unwrap_or_default().to_owned();
    let additional_disk_gib = done.result["additional_disk_gib"].as_i64().unwrap_or_default();
    let location = format!("/v1/allocations/{id}");
    let body = ResizeDone { allocation_id: id, sku_id, additional_disk_gib };
    Ok(Done::accepted(&done, location, body).into())
}

/// What to become. One of both is said, and what is not stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeBody {
    /// From `GET /v1/skus`: with a price in the rental's currency.
    #[schema(example = "large")]
    sku_id: Option<String>,
    /// GiB beside the disk of that SKU, all of them: with it the disk is not smaller than before.
    additional_disk_gib: Option<u32>,
}

/// A change of size is under way.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResizeDone {
    /// `alloc_…`
    pub allocation_id: String,
    /// What it is about to be.
    pub sku_id: String,
    /// GiB that it is about to have beside the disk of that SKU.
    pub additional_disk_gib: i64,
}

/// The change of size that a rental is in, or the last one that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AllocationResize {
    /// What it is about to be; absent when that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku_id: Option<String>,
    /// GiB that it is about to have beside the disk of that SKU; absent as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_disk_gib: Option<i64>,
    /// Why it stayed what it was: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<String>,
}

impl AllocationResize {
    /// Takes it out of a row; none when there was nothing, or when it went well.
    pub fn taken(row: &mut view::Allocation) -> Option<Self> {
        let (sku_id, failure_code) = (row.resize_sku_id.take(), row.resize_failure_code.take());
        let failure_message = row.resize_failure_message.take();
        let additional_disk_gib = row.resize_disk_gib.take();
        let some = sku_id.is_some() || failure_code.is_some();
        some.then_some(Self { sku_id, additional_disk_gib, failure_code, failure_message })
    }
}
