//! Whether the books are what the log says.
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::Api;
use crate::problem::Problem;
use crate::reconciliation::Reconciled;
use crate::verification::Looked;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_verification))
}

/// What a server found when it derived the books from the log the last time.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerificationDto {
    /// `ok`; `differs` when the books are not what the log says; `pending` before the first look.
    pub status: &'static str,
    /// RFC 3339: when it looked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<String>,
    /// Up to which position of the log.
    pub position: i64,
    /// Journal transactions that were compared with their events.
    pub journal_transactions: i64,
    /// Wallets whose balances were compared.
    pub wallets: i64,
    /// Holds that were compared.
    pub holds: i64,
    /// How many differences there are.
    pub differences_found: i64,
    /// The first hundred of them.
    pub differences: Vec<DifferenceDto>,
    /// What this server found when it held the payment provider's book and the bank's lines against ours.
    pub reconciliation: ReconciliationDto,
}

/// The last run of a server's own; each break is a case, see `cairn finance breaks`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReconciliationDto {
    /// `ok`; `differs` when a break is open or a currency is not proven; `pending` before the first run.
    pub status: &'static str,
    /// RFC 3339: when it ran last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciled_at: Option<String>,
    /// Lines of the provider's book that were looked at.
    pub lines: usize,
    /// Those that have their posting.
    pub matched: usize,
    /// Disagreements that nobody has explained.
    pub breaks_open: usize,
    /// Currencies of which opening + movements = closing could not be shown.
    pub unproven: Vec<String>,
}

impl From<Option<Reconciled>> for ReconciliationDto {
    fn from(last: Option<Reconciled>) -> Self {
        let reconciled_at = last.as_ref().map(|last| last.at.to_string());
        let status = match &last {
            None => "pending",
            Some(found) if found.breaks_open == 0 && found.unproven.is_empty() => "ok",
            Some(_) => "differs",
        };
        let Reconciled { at: _, lines, matched, breaks_open, unproven } = last.unwrap_or_default();
        Self { status, reconciled_at, lines, matched, breaks_open, unproven }
    }
}

/// Something in the books that is not what the log says.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferenceDto {
    /// What was compared: `event`, `journal`, `balance`, `hold` or `period`.
    pub what: &'static str,
    /// Which one: a position, an account, a hold or a month.
    pub which: String,
    /// How they differ.
    pub message: String,
}

impl VerificationDto {
    fn of(last: Option<Looked>, reconciled: Option<Reconciled>) -> Self {
        let verified_at = last.as_ref().map(|last| last.at.to_string());
        let pending = last.is_none();
        let books = last.map(|last| last.books).unwrap_or_default();
        let status = match (pending, books.differences_found) {
            (true, _) => "pending",
            (false, 0) => "ok",
            (false, _) => "differs",
        };
        Self {
            status,
            verified_at,
            position: books.position,
            journal_transactions: books.journal_transactions,
            wallets: books.wallets,
            holds: books.holds,
            differences_found: books.differences_found,
            differences: books
                .differences
                .into_iter()
                .map(|it| DifferenceDto { what: it.what, which: it.which, message: it.message })
                .collect(),
            reconciliation: reconciled.into(),
        }
    }
}

/// Whether balances, holds, journal and months are what the log says: this server derives them again once a minute; and whether the provider and the bank agree.
#[utoipa::path(get, path = "/v1/verification", operation_id = "get_verification", tag = "ledger",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "What was found last", body = VerificationDto)))]
async fn get_verification(State(api): State<Api>) -> Result<Json<VerificationDto>, Problem> {
    Ok(Json(VerificationDto::of(api.verification.last(), api.reconciliation.last())))
}
