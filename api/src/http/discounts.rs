//! Discounts: what an organisation pays less than the catalogue says. Operators give and withdraw them, whoever gets one sees it.
use axum::extract::{Path, State};
use cairn_catalog::Discounts;
use cairn_commands::catalog::{self, GiveDiscount};
use cairn_commands::{ExecuteError, Executor};
use cairn_core::tax::{format_percent, parse_percent};
use cairn_core::{OrganisationId, Timestamp};
use cairn_identity::Organisation;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::ledger::whose_of;
use super::reader::{AsksPosition, Reader};
use super::shapes::Nothing;
use super::state::Api;
use super::wish::Wish;
use crate::organisations::is_known;
use crate::problem::{FieldError, Missing, Problem};

/// Millionths in a basis point.
const PPM_PER_BASIS_POINT: u32 = 100;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_discounts))
        .routes(routes!(give_discount))
        .routes(routes!(withdraw_discount))
}

/// A discount to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscountBody {
    /// Off the price, in percent: more than 0, at most 90, with at most two decimals.
    #[schema(example = "12.5")]
    percent: String,
    /// Of what; of everything when absent.
    sku_id: Option<String>,
    /// RFC 3339: until when new rentals get it; without end when absent.
    ends_at: Option<String>,
    /// Why; whoever gets it reads it. 1 to 500 characters.
    reason: String,
}

/// Which discount it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscountDone {
    /// `org_…`
    organisation_id: String,
    /// `discount_…`
    discount_id: String,
}

/// A discount as a price is shown with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscountTaken {
    /// `discount_…`
    pub discount_id: String,
    /// Off the price, in percent.
    pub percent: String,
}

impl DiscountTaken {
    /// Out of what a price pins.
    #[must_use]
    pub fn of(discount_id: impl ToString, basis_points: u32) -> Self {
        Self { discount_id: discount_id.to_string(), percent: percent(basis_points) }
    }
}

/// A discount.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscountShown {
    /// `discount_…`
    discount_id: String,
    /// Off the price, in percent.
    percent: String,
    /// Of what; of everything when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    sku_id: Option<String>,
    /// Why it was given; absent when it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether new rentals get it now. Of several the largest that fits counts.
    in_force: bool,
    /// RFC 3339.
    given_at: String,
    /// RFC 3339: until when new rentals get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_at: Option<String>,
}

/// The discounts of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscountsShown {
    /// `org_…`
    organisation_id: String,
    /// Every one that was ever given, the first first.
    items: Vec<DiscountShown>,
}

/// Whose discounts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiscountsQuery {
    /// Another organisation, for those who may see it.
    pub organisation_id: Option<String>,
}

impl AsksPosition for DiscountsQuery {
    fn min_position(&self) -> Option<i64> {
        None
    }
}

/// What an organisation pays less, and paid.
#[utoipa::path(get, path = "/v1/discounts", operation_id = "list_discounts", tag = "catalog",
    params(DiscountsQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = DiscountsShown)))]
async fn list_discounts(
    State(api): State<Api>,
    reader: Reader<DiscountsQuery>,
) -> Result<axum::Json<DiscountsShown>, Problem> {
    let whose = whose_of(&reader.caller, reader.query.organisation_id.as_deref())?;
    let items = shown(&api.commands.executor, whose, api.commands.clock.now()).await?;
    Ok(axum::Json(DiscountsShown { organisation_id: whose.to_string(), items }))
}

/// The discounts of an organisation as they stand.
pub(crate) async fn shown(
    executor: &Executor,
    whose: OrganisationId,
    now: Timestamp,
) -> Result<Vec<DiscountShown>, ExecuteError> {
    let (discounts, _) = executor.load::<Discounts>(&whose.to_string()).await?;
    let mut items = vec![];
    for standing in discounts.given.values() {
        let discount = &standing.discount;
        let reason = executor.personal().open(&discount.reason).await;
        items.push(DiscountShown {
            discount_id: discount.discount_id.to_string(),
            percent: percent(discount.basis_points),
            sku_id: discount.sku_id.clone(),
            reason: reason.map_err(|error| ExecuteError::Internal(error.to_string()))?,
            in_force: standing.is_in_force(now),
            given_at: standing.given_at.to_string(),
            ends_at: discount.ends_at.map(|at| at.to_string()),
            withdrawn_at: standing.withdrawn_at.map(|at| at.to_string()),
        });
    }
    Ok(items)
}

/// Lets an organisation pay less for what it rents from now on. Running rentals are as they are, until they are moved.
#[utoipa::path(post, path = "/v1/organisations/{organisation_id}/discounts", operation_id = "give_discount",
    tag = "catalog", request_body = DiscountBody, security(("api_key" = []), ("session" = [])),
    params(
        ("organisation_id" = String, Path, description = "`org_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 201, description = "Given", body = DiscountDone)))]
async fn give_discount(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<DiscountBody>,
) -> Result<Done<DiscountDone>, Problem> {
    let organisation_id = organisation(&id)?;
    let input = wish.body.parse(organisation_id).map_err(Problem::invalid)?;
    known(&api, organisation_id).await?;
    let done = catalog::give_discount(&api.commands, &wish.context, input).await?;
    let discount_id = done.result["discount_id"].as_str().unwrap_or_default().to_owned();
    let location = format!("/v1/discounts?organisation_id={organisation_id}");
    let organisation_id = organisation_id.to_string();
    let body = DiscountDone { organisation_id, discount_id };
    Ok(Done::created(&done, location, body).without_version())
}

/// Takes a discount back. What runs keeps it until it is moved to another price.
#[utoipa::path(post, path = "/v1/organisations/{organisation_id}/discounts/{discount_id}/withdraw",
    operation_id = "withdraw_discount", tag = "catalog", request_body = Option<Nothing>,
    security(("api_key" = []), ("session" = [])),
    params(
        ("organisation_id" = String, Path, description = "`org_…`"),
        ("discount_id" = String, Path, description = "`discount_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Withdrawn", body = DiscountDone)))]
async fn withdraw_discount(
    State(api): State<Api>,
    Path((id, discount_id)): Path<(String, String)>,
    wish: Wish<Nothing>,
) -> Result<Done<DiscountDone>, Problem> {
    let organisation_id = organisation(&id)?;
    let which = discount_id.parse().map_err(|_| Problem::missing(Missing::Discount))?;
    let which = (organisation_id, which);
    let done = catalog::withdraw_discount(&api.commands, &wish.context, which).await?;
    let organisation_id = organisation_id.to_string();
    Ok(Done::ok(&done, DiscountDone { organisation_id, discount_id }).without_version())
}

/// What is no id names nothing.
fn organisation(id: &str) -> Result<OrganisationId, Problem> {
    id.parse().map_err(|_| Problem::missing(Missing::Organisation))
}

/// One that people founded is found in its stream, where it is at once; any other in the views.
async fn known(api: &Api, id: OrganisationId) -> Result<(), Problem> {
    let (found, _) = api.commands.executor.load::<Organisation>(&id.to_string()).await?;
    if found.organisation_id.is_some() || is_known(api.pool(), id).await? {
        return Ok(());
    }
    Err(Problem::new("unknown_organisation", format!("there is no organisation {id}")))
}

/// A percentage in basis points, unless it is none or finer than that.
pub(crate) fn basis_points(text: &str) -> Option<u32> {
    let ppm = parse_percent(text).filter(|ppm| ppm % PPM_PER_BASIS_POINT == 0);
    ppm.map(|ppm| ppm / PPM_PER_BASIS_POINT)
}

/// Basis points in percent.
pub(super) fn percent(basis_points: u32) -> String {
    format_percent(basis_points.saturating_mul(PPM_PER_BASIS_POINT))
}

impl DiscountBody {
    /// What it asks for.
    ///
    /// # Errors
    /// One error per member that is wrong.
    fn parse(self, organisation_id: OrganisationId) -> Result<GiveDiscount, Vec<FieldError>> {
        let basis_points = basis_points(&self.percent).ok_or_else(|| {
            let why = "a percentage such as 12.5, with at most two decimals";
            FieldError::new("/percent", "discount_invalid", why)
        });
        let ends_at = self.ends_at.as_deref().map(str::parse::<Timestamp>).transpose();
        let ends_at = ends_at
            .map_err(|error| FieldError::new("/ends_at", "discount_invalid", error.to_string()));
        match (basis_points, ends_at) {
            (Ok(basis_points), Ok(ends_at)) => Ok(GiveDiscount {
                organisation_id,
                basis_points,
                sku_id: self.sku_id,
                ends_at,
                reason: self.reason,
            }),
            (percent, ends_at) => Err(percent.err().into_iter().chain(ends_at.err()).collect()),
        }
    }
}
