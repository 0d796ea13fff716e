//! Automatic top-up: what an organisation has charged by itself when its wallet runs low.
use axum::extract::{Extension, State};
use cairn_commands::payments::{self, SetAutoTopUp};
use cairn_core::{Currency, OrganisationId};
use cairn_payments::auto_top_up::Attempt;
use cairn_payments::{AutoTopUp as Known, Standing, Terms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::by_currency::{in_each, this_month};
use super::money;
use super::payment_methods;
use super::payments::is_method;
use super::preview::{Answer, Staged};
use super::state::Api;
use crate::auth::Caller;
use crate::problem::{FieldError, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_auto_top_up, set_auto_top_up))
}

/// Whether and how a wallet is filled again by itself. What is absent stays as it was set last.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoTopUpWish {
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
    /// `true` also switches on again what was suspended or stopped.
    enabled: bool,
    /// When less than that is available. With `amount` and `monthly_cap`, or not at all.
    #[schema(example = "10.00")]
    threshold: Option<String>,
    /// So much is charged at once, in whole cents: at least the smallest top-up.
    #[schema(example = "50.00")]
    amount: Option<String>,
    /// No more than that is charged by itself in a calendar month (UTC): at least `amount`. One that would pass it is not made.
    #[schema(example = "200.00")]
    monthly_cap: Option<String>,
    /// What is charged: a payment method that is kept, `method_…`. The default of those, where nothing was ever named.
    payment_method_id: Option<String>,
    /// What is charged instead: the provider's own name of a payment method that can be charged without its holder.
    #[schema(example = "pm_card_visa")]
    payment_method: Option<String>,
}

/// Whether and how a wallet is filled again by itself, and how that goes.
#[derive(Debug, Serialize, ToSchema)]
pub struct AutoTopUp {
    /// ISO 4217.
    currency: String,
    /// `off`, `on`, `suspended` (declined: see `reason`) or `stopped` (more was taken within an hour than seems right).
    status: String,
    /// Why it is suspended: the provider's word, for example `card_declined`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<String>,
    /// Decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    /// Decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_cap: Option<String>,
    /// Whether there is something to be charged.
    has_payment_method: bool,
    /// For example `2026-10`.
    month: String,
    /// Decimal: charged by itself in it, what is being charged included.
    taken: String,
    /// Decimal: how much more the cap allows; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
    /// What is being charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<AutoTopUpAttempt>,
    /// What ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<AutoTopUpAttempt>,
    /// RFC 3339: nothing is charged by itself before; absent when nothing is in the way of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
}

/// One automatic top-up.
#[derive(Debug, Serialize, ToSchema)]
pub struct AutoTopUpAttempt {
    /// `pay_…`
    top_up_id: String,
    /// Decimal.
    amount: String,
    /// `in_flight`, `succeeded` or `declined`.
    status: String,
    /// Why it was declined: the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_code: Option<String>,
    /// RFC 3339.
    begun_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

/// Automatic top-ups of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct AutoTopUpShown {
    /// `org_…`
    organisation_id: String,
    /// One for each currency.
    items: Vec<AutoTopUp>,
}

/// Whether each wallet is filled again by itself, and how that goes.
#[utoipa::path(get, path = "/v1/auto-top-up", operation_id = "get_auto_top_up", tag = "payments",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = AutoTopUpShown)))]
async fn get_auto_top_up(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<AutoTopUpShown>, Problem> {
    Ok(axum::Json(shown(&api, caller.organisation_id).await?))
}

/// Says whether and how a wallet is filled again by itself. When it is low, the first top-up is charged at once.
#[utoipa::path(put, path = "/v1/auto-top-up", operation_id = "set_auto_top_up", tag = "payments",
    request_body = AutoTopUpWish, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "So it is", body = AutoTopUpShown)))]
async fn set_auto_top_up(
    State(api): State<Api>,
    Staged { wish, stage }: Staged<AutoTopUpWish>,
) -> Result<Answer<AutoTopUpShown>, Problem> {
    let organisation_id = wish.caller.organisation_id;
    let input = wish.body.input(organisation_id)?;
    let done = payments::set_auto_top_up(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.without_version().into());
    }
    Ok(Done::ok(&done, shown(&api, organisation_id).await?).without_version().into())
}

impl AutoTopUpWish {
    /// Names everything that is wrong with it at once.
    fn input(self, organisation_id: OrganisationId) -> Result<SetAutoTopUp, Problem> {
        let mut wrong = vec![];
        let currency = money::parse_currency("/currency", &self.currency);
        let currency = currency.map_err(|error| wrong.push(error)).ok();
        let amounts = [
            ("/threshold", &self.threshold),
            ("/amount", &self.amount),
            ("/monthly_cap", &self.monthly_cap),
        ];
        let said = amounts.iter().any(|(_, amount)| amount.is_some());
        let [threshold, amount, cap] = amounts.map(|(pointer, amount)| match amount {
            Some(amount) => {
                money::positive(pointer, amount).map_err(|error| wrong.push(error)).ok()
            }
            None if said => {
                wrong.push(FieldError::new(pointer, "body_invalid", "is missing"));
                None
            }
            None => None,
        });
        if self.payment_method.as_deref().is_some_and(|method| !is_method(method)) {
            let detail = "a payment method is 1 to 100 letters, digits and '_'";
            wrong.push(FieldError::new("/payment_method", "body_invalid", detail));
        }
        if self.payment_method.is_some() && self.payment_method_id.is_some() {
            let detail = "name one that is kept or one that is not, not both";
            wrong.push(FieldError::new("/payment_method_id", "body_invalid", detail));
        }
        let (Some(currency), true) = (currency, wrong.is_empty()) else {
            return Err(Problem::invalid(wrong));
        };
        let terms = threshold.zip(amount).zip(cap).map(
            |((threshold_nanos, amount_nanos), monthly_cap_nanos)| Terms {
                threshold_nanos,
                amount_nanos,
                monthly_cap_nanos,
            },
        );
        let kept = self.payment_method_id.as_deref().map(payment_methods::named).transpose()?;
        let payment_method = kept.map(|id| id.to_string()).or(self.payment_method);
        let enabled = self.enabled;
        Ok(SetAutoTopUp { organisation_id, currency, enabled, terms, payment_method })
    }
}

async fn shown(api: &Api, organisation_id: OrganisationId) -> Result<AutoTopUpShown, Problem> {
    let (now, month) = this_month(&api.commands)?;
    let top_up = |currency: Currency, known: Known| {
        let (taken_nanos, terms) = (known.taken_in(month), known.terms);
        AutoTopUp {
            currency: currency.to_string(),
            status: status(known.standing).to_owned(),
            not_before: known.not_before(now).map(|at| at.to_string()),
            reason: known.reason,
            threshold: terms.map(|terms| money::decimal(terms.threshold_nanos)),
            amount: terms.map(|terms| money::decimal(terms.amount_nanos)),
            monthly_cap: terms.map(|terms| money::decimal(terms.monthly_cap_nanos)),
            has_payment_method: known.payment_method.is_some(),
            month: month.to_string(),
            taken: money::decimal(taken_nanos),
            left: terms.map(|terms| money::decimal((terms.monthly_cap_nanos - taken_nanos).max(0))),
            in_flight: known.in_flight.map(AutoTopUpAttempt::from),
            last: known.last.map(AutoTopUpAttempt::from),
        }
    };
    let items = in_each(&api.commands, organisation_id, top_up).await?;
    Ok(AutoTopUpShown { organisation_id: organisation_id.to_string(), items })
}

const fn status(standing: Standing) -> &'static str {
    match standing {
        Standing::Off => "off",
        Standing::On => "on",
        Standing::Suspended => "suspended",
        Standing::Stopped => "stopped",
    }
}

impl From<Attempt> for AutoTopUpAttempt {
    fn from(attempt: Attempt) -> Self {
        let status = match (attempt.ended_at, &attempt.declined) {
            (None, _) => "in_flight",
            (Some(_), None) => "succeeded",
            (Some(_), Some(_)) => "declined",
        };
        Self {
            top_up_id: attempt.payment_id.to_string(),
            amount: money::decimal(attempt.amount_nanos),
            status: status.to_owned(),
            failure_code: attempt.declined,
            begun_at: attempt.begun_at.to_string(),
            ended_at: attempt.ended_at.map(|at| at.to_string()),
        }
    }
}
