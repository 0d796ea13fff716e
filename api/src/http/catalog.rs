//! The catalogue: what is for sale and at which price.
use axum::extract::{Path, State};
use cairn_catalog::Discounts;
use cairn_commands::catalog::{self, DefineSku, SetPrice};
use cairn_core::{Tariff, Timestamp};
use cairn_projections::catalog::skus as sku_view;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::discounts::DiscountTaken;
use super::disks::DiskPrice;
use super::money;
use super::page::Page;
use super::preview::{Answer, Staged};
use super::prices::{PriceBody, PriceTier, list_per_hour};
use super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::shapes::{Nothing, ResourcesDto};
use super::state::Api;
use super::wish::Wish;
use crate::auth::Caller;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_skus, define_sku))
        .routes(routes!(get_sku))
        .routes(routes!(set_sku_price))
        .routes(routes!(retire_sku))
}

/// What is for sale, with the prices that a rental would begin with now.
#[utoipa::path(get, path = "/v1/skus", operation_id = "list_skus", tag = "catalog",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<Sku>)))]
async fn list_skus(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<Sku>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, sku_view::NAME).await?;
    let rows = sku_view::list(api.pool(), false, page.after, page.limit).await?;
    let (discounts, now) = (discounts(&api, &reader.caller).await?, api.commands.clock.now());
    Ok(at.saw(reader.shown(rows, |row| Sku::of(row, &discounts, now))?))
}

/// One SKU, also when it is sold no longer.
#[utoipa::path(get, path = "/v1/skus/{sku_id}", operation_id = "get_sku", tag = "catalog",
    params(("sku_id" = String, Path, description = "The SKU"), OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = Sku)))]
async fn get_sku(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Sku>, Problem> {
    let at = reader.reach(&api, sku_view::NAME).await?;
    let row = sku_view::get(api.pool(), &id).await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Sku))?;
    let shown = Sku::of(row, &discounts(&api, &reader.caller).await?, api.commands.clock.now());
    at.saw_one::<cairn_catalog::Sku, _>(&api, (&id, shown)).await
}

/// What the caller pays less.
async fn discounts(api: &Api, caller: &Caller) -> Result<Discounts, Problem> {
    let whose = caller.organisation_id.to_string();
    Ok(api.commands.executor.load::<Discounts>(&whose).await?.0)
}

/// Defines a SKU. Its resources never change.
#[utoipa::path(post, path = "/v1/skus", operation_id = "define_sku", tag = "catalog",
    request_body = SkuBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Defined", body = SkuDone)))]
async fn define_sku(State(api): State<Api>, wish: Wish<SkuBody>) -> Result<Done<SkuDone>, Problem> {
    let sku_id = wish.body.sku_id;
    let input = DefineSku { sku_id: sku_id.clone(), resources: wish.body.resources.into() };
    let done = catalog::define_sku(&api.commands, &wish.context, input).await?;
    Ok(Done::created(&done, format!("/v1/skus/{sku_id}"), SkuDone { sku_id }))
}

/// Sets the price of rentals that begin from now on. Running ones keep theirs.
#[utoipa::path(post, path = "/v1/skus/{sku_id}/prices", operation_id = "set_sku_price", tag = "catalog",
    request_body = PriceBody, security(("api_key" = []), ("session" = [])),
    params(
        ("sku_id" = String, Path, description = "The SKU"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Set", body = SkuDone)))]
async fn set_sku_price(
    State(api): State<Api>,
    Path(sku_id): Path<String>,
    wish: Wish<PriceBody>,
) -> Result<Done<SkuDone>, Problem> {
    let (per_hour, tiers) = wish.body.parse().map_err(Problem::invalid)?;
    let (effective_at, expected) = (None, wish.expected);
    let input = SetPrice { sku_id: sku_id.clone(), per_hour, tiers, effective_at, expected };
    let done = catalog::set_price(&api.commands, &wish.context, input).await?;
    Ok(Done::ok(&done, SkuDone { sku_id }))
}

/// Sells a SKU no longer. Running rentals keep it.
#[utoipa::path(post, path = "/v1/skus/{sku_id}/retire", operation_id = "retire_sku", tag = "catalog",
    request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("sku_id" = String, Path, description = "The SKU"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Retired", body = SkuDone)))]
async fn retire_sku(
    State(api): State<Api>,
    Path(sku_id): Path<String>,
    Staged { wish, stage }: Staged<Nothing>,
) -> Result<Answer<SkuDone>, Problem> {
    let sku = (&*sku_id, wish.expected);
    let done = catalog::retire_sku(stage.commands(&api), &wish.context, sku).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    Ok(Done::ok(&done, SkuDone { sku_id }).into())
}

/// A SKU to define.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkuBody {
    /// 1 to 40 of a-z, 0-9, `-` and `.`, a letter first.
    #[schema(example = "small")]
    sku_id: String,
    /// What one gets.
    resources: ResourcesDto,
}

/// It is so.
#[derive(Debug, Serialize, ToSchema)]
pub struct SkuDone {
    /// The SKU.
    sku_id: String,
}

impl SkuDone {
    /// Of a SKU.
    #[must_use]
    pub const fn of(sku_id: String) -> Self {
        Self { sku_id }
    }
}

/// Something for sale.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sku {
    /// Its id.
    pub sku_id: String,
    /// What one gets.
    pub resources: ResourcesDto,
    /// One price per currency.
    pub prices: Vec<Price>,
    /// What additional disk costs, in each currency that it is sold in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disk_prices: Vec<DiskPrice>,
    /// Whether it is sold no longer.
    pub retired: bool,
}

/// The price in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct Price {
    /// ISO 4217.
    pub currency: String,
    /// Decimal: the price of 3,600 seconds, less the caller's discount; with tiers in the first of them.
    pub per_hour: String,
    /// Decimal: the same without the discount, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_per_hour: Option<String>,
    /// The discount that the caller would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<DiscountTaken>,
    /// All tiers, of a price that has some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
    /// Version that a rental would pin.
    pub version: i64,
}

impl Sku {
    /// With what whoever has these discounts would pay now.
    pub fn of(row: sku_view::Sku, discounts: &Discounts, now: Timestamp) -> Self {
        let found = discounts.discount_at(&row.sku_id, now);
        let discount_bps = found.map_or(0, |discount| discount.basis_points);
        let price = |price: sku_view::Price| {
            let tariff = Tariff { discount_bps, ..price.tariff() };
            Price {
                tiers: PriceTier::all(&tariff),
                currency: price.currency,
                per_hour: money::decimal(tariff.per_hour_at(0)),
                list_per_hour: list_per_hour(&tariff, 0),
                discount: found.map(|it| DiscountTaken::of(it.discount_id, it.basis_points)),
                version: price.version,
            }
        };
        Self {
            sku_id: row.sku_id,
            resources: ResourcesDto::of(
                row.cpu_millis,
                row.memory_bytes,
                row.disk_bytes,
                row.pids_max,
            ),
            prices: row.prices.into_iter().map(price).collect(),
            disk_prices: row.disk_prices.into_iter().map(DiskPrice::from).collect(),
            retired: row.retired_at.is_some(),
        }
    }
}
