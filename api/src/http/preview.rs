//! Previews: what is answered to whoever asks only what would happen, and the stage on which it is found out.
use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{Extensions, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use cairn_commands::rehearsal::{Affected, Costs, Outlook, Rehearsal};
use cairn_commands::{Commands, Executed};
use cairn_core::OrganisationId;
use cairn_identity::Role;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::answer::Done;
use super::compute::TaxDto;
use super::discounts::DiscountTaken;
use super::disks::AdditionalDisk;
use super::edge::conditions::Version;
use super::edge::preview::Asked;
use super::guard::Operation;
use super::money;
use super::own::OwnOnce;
use super::prices::{PriceTier, list_per_hour};
use super::reader::POSITION;
use super::state::Api;
use super::wish::Wish;
use crate::auth::Caller;
use crate::auth::table::{self, Scope};
use crate::problem::Problem;

/// A wish that can be rehearsed: the handler commands on the stage, whichever it is, and answers with what was done or what would be.
#[derive(Debug)]
pub struct Staged<T> {
    /// What is wished.
    pub wish: Wish<T>,
    /// Where it is carried out.
    pub stage: Stage,
}

impl<T: DeserializeOwned + Send> FromRequest<Api> for Staged<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let stage = Stage::set(request.extensions(), api).await?;
        Ok(Self { wish: Wish::read(request, api).await?, stage })
    }
}

/// The same of a person, on themselves.
#[derive(Debug)]
pub struct StagedOwn<T> {
    /// What is wished.
    pub own: OwnOnce<T>,
    /// Where it is carried out.
    pub stage: Stage,
}

impl<T: DeserializeOwned + Send> FromRequest<Api> for StagedOwn<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let stage = Stage::set(request.extensions(), api).await?;
        Ok(Self { own: OwnOnce::read(request, api).await?, stage })
    }
}

/// The world, or a rehearsal of it.
#[derive(Debug)]
pub struct Stage {
    operation: String,
    /// What of whose wallet is told.
    whose: Option<OrganisationId>,
    sees_wallet: bool,
    /// Whether the wallets of all are their business.
    sees_all: bool,
    rehearsal: Option<Rehearsal>,
}

impl Stage {
    async fn set(request: &Extensions, api: &Api) -> Result<Self, Problem> {
        let operation = request.get::<Operation>().map(|it| it.0.to_string()).unwrap_or_default();
        let whose = request.get::<Caller>().and_then(Caller::narrowed_to);
        let caller = request.get::<Caller>();
        let sees_all =
            whose.is_none() && caller.is_some_and(|caller| reads_all_balances(caller.role));
        let asked = request.get::<Asked>();
        let sees_wallet = asked.is_some_and(|asked| asked.sees_wallet);
        let rehearsal = match asked {
            Some(_) => Some(api.rehearsals.begin(&api.commands).await?),
            None => None,
        };
        Ok(Self { operation, whose, sees_wallet, sees_all, rehearsal })
    }

    /// What acts here.
    #[must_use]
    pub fn commands<'a>(&'a self, api: &'a Api) -> &'a Commands {
        self.rehearsal.as_ref().map_or(&api.commands, Rehearsal::commands)
    }

    /// What would come of what was commanded here; none when it was done.
    ///
    /// # Errors
    /// What it would be refused with in the end.
    pub async fn would(self, executed: &Executed) -> Result<Option<Would>, Problem> {
        let Some(rehearsal) = self.rehearsal else { return Ok(None) };
        let seen = rehearsal.seen(executed);
        let outlook = rehearsal.end().await?;
        // Whoever operates rents nothing: the wallets of others are the business of finance alone.
        let whose = self.whose;
        let costs = outlook.costs.clone();
        let costs = costs.filter(|it| self.sees_all || whose == Some(it.organisation_id));
        let mut preview = Preview::of(self.operation, Outlook { costs, ..outlook });
        if !self.sees_wallet {
            preview.1.without_wallet();
        }
        Ok(Some(Would { seen: Version(seen), preview }))
    }
}

fn reads_all_balances(role: Role) -> bool {
    table::rule("get_balance").is_some_and(|rule| rule.scope(role) == Scope::All)
}

/// A preview on its way out.
#[derive(Debug)]
pub struct Would {
    /// The version of what the command is for.
    seen: Version,
    preview: (i64, Preview),
}

impl Would {
    /// What it is about is not what the command is for.
    #[must_use]
    pub fn without_version(self) -> Self {
        Self { seen: Version(0), ..self }
    }
}

/// What was done, or what would be.
#[derive(Debug)]
pub enum Answer<T> {
    /// It was done.
    Done(Done<T>),
    /// It would be.
    Would(Box<Would>),
}

impl<T> From<Done<T>> for Answer<T> {
    fn from(done: Done<T>) -> Self {
        Self::Done(done)
    }
}

impl<T> From<Would> for Answer<T> {
    fn from(would: Would) -> Self {
        Self::Would(Box::new(would))
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let would = match self {
            Self::Done(done) => return done.into_response(),
            Self::Would(would) => would,
        };
        let (position, preview) = would.preview;
        let mut response = Json(preview).into_response();
        let headers = response.headers_mut();
        headers.insert(POSITION, HeaderValue::from(position));
        // What it was decided on: sent as `If-Match`, it is done on that or not at all.
        if let Some(tag) = would.seen.tag().filter(|_| would.seen.0 > 0) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

/// What a request would do, as of `at`. Nothing of it was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// `true`.
    pub preview: bool,
    /// The operation that was asked about.
    #[schema(example = "release_allocation")]
    pub would: String,
    /// RFC 3339: when it was looked.
    pub at: String,
    /// What it costs; absent when no money of the caller's is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<PreviewCosts>,
    /// What does not run from then on.
    pub stops: Vec<PreviewAffected>,
    /// What was stopped and runs again.
    pub starts: Vec<PreviewAffected>,
    /// What is kept of what stops.
    pub keeps: Vec<PreviewAffected>,
    /// What nobody gets back.
    pub deletes: Vec<PreviewAffected>,
    /// RFC 3339: when the money is used up, if everything that is rented after it goes on; absent when nothing is, it lasts a century, or the key may not read
    /// balances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_out_at: Option<String>,
}

/// What a request would cost the caller's wallet. What becomes of it at once, not what runs up later.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewCosts {
    /// ISO 4217.
    pub currency: String,
    /// Decimal: what the rental costs in 3,600 seconds from then on, less the discount, tax included; with tiers in the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<String>,
    /// Decimal: the same without the discount, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_per_hour: Option<String>,
    /// The discount that it gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<DiscountTaken>,
    /// All tiers, of a price that has some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
    /// Decimal: what it costs in 3,600 seconds now, in the tier that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour_before: Option<String>,
    /// The version of the price in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_version: Option<u32>,
    /// The tax in `per_hour`, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxDto>,
    /// What of that price is additional disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_disk: Option<AdditionalDisk>,
    /// Decimal: set aside in the wallet; negative when it comes back.
    pub set_aside: String,
    /// Decimal: charged for what was used, tax included.
    pub charged: String,
    /// Decimal: the tax in it.
    pub charged_tax: String,
    /// Decimal: all that rentals that end have cost, with what is charged then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged_in_all: Option<String>,
    /// Decimal: paid in, if the provider collects it.
    pub paid_in: String,
    /// Decimal: paid back to where it came from.
    pub refunded: String,
    /// Decimal: what may be spent now; absent for a key that may not read balances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_before: Option<String>,
    /// Decimal: what may be spent after it; absent as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_after: Option<String>,
}

/// Something that a request would have an effect on.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewAffected {
    /// `allocation`, `data` (what is on an allocation's node), `node`, `sku`, `api_key`, `service_account`, `project`, `member`, `organisation`, `person`,
    /// `webhook_endpoint`, `payment_method` or `feature_flag`.
    pub kind: &'static str,
    /// Its id; of data, the allocation's.
    pub id: String,
    /// `customer`, `operator`, `funds_exhausted`, `spending_limit`, `funds_available`, `retired`, `revoked`, `removed`, `suspended`, `deleted`,
    /// `archived` or `erased`.
    pub why: &'static str,
    /// RFC 3339: when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// RFC 3339: until when it is kept. Absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl Preview {
    fn of(would: String, outlook: Outlook) -> (i64, Self) {
        let Outlook { at, position, costs, stops, starts, keeps, deletes } = outlook;
        let all = |those: Vec<Affected>| those.into_iter().map(PreviewAffected::from).collect();
        let runs_out_at = costs.as_ref().and_then(|costs| costs.runs_out_at);
        let preview = Self {
            preview: true,
            would,
            at: at.to_string(),
            costs: costs.map(PreviewCosts::from),
            stops: all(stops),
            starts: all(starts),
            keeps: all(keeps),
            deletes: all(deletes),
            runs_out_at: runs_out_at.map(|at| at.to_string()),
        };
        (position, preview)
    }
}

impl Preview {
    /// What is in the wallet is left out, and what it can be told from.
    fn without_wallet(&mut self) {
        self.runs_out_at = None;
        if let Some(costs) = &mut self.costs {
            (costs.available_before, costs.available_after) = (None, None);
        }
    }
}

impl From<Costs> for PreviewCosts {
    fn from(costs: Costs) -> Self {
        let discount = costs.price.and_then(|price| price.discount);
        Self {
            currency: costs.currency.to_string(),
            per_hour: costs.price.map(|price| money::decimal(price.tariff().per_hour_at(0))),
            list_per_hour: costs.price.and_then(|price| list_per_hour(&price.tariff(), 0)),
            discount: discount.map(|it| DiscountTaken::of(it.discount_id, it.basis_points)),
            tiers: costs.price.map(|price| PriceTier::all(&price.tariff())).unwrap_or_default(),
            per_hour_before: costs.per_hour_before_nanos.map(money::decimal),
            price_version: costs.price.map(|price| price.version),
            additional_disk: costs.price.and_then(|price| price.disk).map(AdditionalDisk::from),
            tax: costs.tax.map(TaxDto::from),
            set_aside: money::decimal(costs.set_aside_nanos),
            charged: money::decimal(costs.charged_nanos),
            charged_tax: money::decimal(costs.charged_tax_nanos),
            charged_in_all: costs.charged_in_all_nanos.map(money::decimal),
            paid_in: money::decimal(costs.paid_in_nanos),
            refunded: money::decimal(costs.refunded_nanos),
            available_before: Some(money::decimal(costs.available_before_nanos)),
            available_after: Some(money::decimal(costs.available_after_nanos)),
        }
    }
}

impl From<Affected> for PreviewAffected {
    fn from(affected: Affected) -> Self {
        let Affected { kind, id, why, at, until } = affected;
        let text = |at: cairn_core::Timestamp| at.to_string();
        Self { kind: kind.name(), id, why, at: at.map(text), until: until.map(text) }
    }
}
