//! What a charge was made of.
use axum::extract::{Path, State};
use cairn_core::OrganisationId;
use cairn_projections::ledger::statement;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reader::{OneQuery, Reader, Seen};
use super::state::Api;
use crate::charges::{self, ChargeId, ChargeProof, GatherError};
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_charge_proof))
}

impl From<GatherError> for Problem {
    fn from(error: GatherError) -> Self {
        match error {
            GatherError::NoCharge(_) => Self::missing(Missing::Charge),
            GatherError::NotSealed(_) => Self::new("charge_not_sealed", error.to_string()),
            GatherError::Log(error) => Self::internal(&error.to_string()),
            GatherError::View(error) => error.into(),
            GatherError::Seal(_) | GatherError::Wrong(_) => Self::internal(&error.to_string()),
        }
    }
}

/// Everything that made a charge: the events, the seconds, the price and the arithmetic, each event with its way into a sealed block. With the public
/// keys of the log, `cairn audit check-proof` does the sum again without asking anybody.
#[utoipa::path(get, path = "/v1/charges/{charge_id}/proof", operation_id = "get_charge_proof", tag = "ledger",
    params(("charge_id" = String, Path, description = "`charge_…`, from the statement"), OneQuery),
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "The proof", body = ChargeProof)))]
async fn get_charge_proof(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<ChargeProof>, Problem> {
    let at = reader.reach(&api, statement::NAME).await?;
    let missing = || Problem::missing(Missing::Charge);
    let ChargeId(position) = id.parse().map_err(|_| missing())?;
    let log = api.commands.executor.log();
    let wallet = charges::wallet_of(log, position).await?;
    let owner = wallet.split_once(':').and_then(|(owner, _)| owner.parse::<OrganisationId>().ok());
    if !owner.is_some_and(|owner| reader.caller.sees(owner)) {
        return Err(missing());
    }
    Ok(at.saw(charges::gather(log, position).await?))
}
