//! Whether the books are what the log says.
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::Api;
use crate::problem::Problem;
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

impl From<Option<Looked>> for VerificationDto {
    fn from(last: Option<Looked>) -> Self {
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
        }
    }
}

/// Whether balances, holds, journal and months are what the log says: this server derives them again once a minute.
#[utoipa::path(get, path = "/v1/verification", operation_id = "get_verification", tag = "ledger",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "What was found last", body = VerificationDto)))]
async fn get_verification(State(api): State<Api>) -> Result<Json<VerificationDto>, Problem> {
    Ok(Json(api.verification.last().into()))
}
