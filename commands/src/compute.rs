//! Commands of the compute context: renting and releasing.
use cairn_catalog::Sku;
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice, ReleaseReason, check_public_key};
use cairn_core::{AllocationId, Currency, NodeId, OrganisationId, Refusal};
use serde_json::{Value, json};

use crate::answers::{first_answer, sku_form};
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// A wish to rent.
#[derive(Debug, Clone)]
pub struct RequestAllocation {
    /// Who rents.
    pub organisation_id: OrganisationId,
    /// What.
    pub sku_id: String,
    /// Paid from the wallet in this currency.
    pub currency: Currency,
    /// Opens the login: `type base64`, no comment.
    pub ssh_public_key: String,
    /// A certain node; otherwise any.
    pub node_id: Option<NodeId>,
}

/// Asks for an allocation at the price of now, which it keeps. Answers `{"allocation_id"}`; `rent_node` goes on.
///
/// # Errors
/// `unknown_sku`, `sku_retired`, `price_missing`, `ssh_public_key_invalid`.
pub async fn request_allocation(
    commands: &Commands,
    context: &CommandContext,
    input: RequestAllocation,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let RequestAllocation { organisation_id, sku_id, currency, ssh_public_key, node_id } = input;
    sku_form(&sku_id)?;
    let at = commands.clock.now();
    let (sku, _) = commands.executor.load::<Sku>(&sku_id).await?;
    let refuse = |code, why| commands.executor.refuse::<Sku>(&sku_id, (code, why), context);
    let resources = match sku.for_sale() {
        Ok(resources) => resources,
        Err(error) => return refuse(error.code(), error.to_string()).await,
    };
    let Some(price) = sku.price_at(currency, at) else {
        let message = format!("the SKU has no price in {currency} now");
        return refuse("price_missing", message).await;
    };
    if let Err(error) = check_public_key(&ssh_public_key) {
        return refuse(error.code(), error.to_string()).await;
    }
    let price = PinnedPrice {
        version: price.version,
        currency: price.currency,
        nanos_per_hour: price.nanos_per_hour,
    };
    let allocation_id = AllocationId::from_bits(commands.ids.next());
    let request = AllocationCommand::Request {
        allocation_id,
        organisation_id,
        sku_id,
        resources,
        price,
        ssh_public_key,
        node_id,
        at,
    };
    let result = json!({ "allocation_id": allocation_id });
    let stream = allocation_id.to_string();
    commands.executor.execute::<Allocation>(&stream, request, context, result).await
}

/// A wish to stop renting.
#[derive(Debug, Clone)]
pub struct RequestRelease {
    /// Who asks; `None` for an operator, who may release anything.
    pub organisation_id: Option<OrganisationId>,
    /// What.
    pub allocation_id: AllocationId,
    /// Why.
    pub reason: ReleaseReason,
    /// What was seen of it.
    pub expected: Expected,
}

/// Stops the meter at once. `release_node` goes on.
///
/// # Errors
/// `unknown_allocation`, also when it is somebody else's; `allocation_in_wrong_state`, `precondition_failed`.
pub async fn request_release(
    commands: &Commands,
    context: &CommandContext,
    input: RequestRelease,
) -> Result<Executed, ExecuteError> {
    let stream = input.allocation_id.to_string();
    let (allocation, _) = commands.executor.load::<Allocation>(&stream).await?;
    if input.organisation_id.is_some() && allocation.organisation_id != input.organisation_id {
        let refusal = ("unknown_allocation", "there is no such allocation".to_owned());
        return commands.executor.refuse::<Allocation>(&stream, refusal, context).await;
    }
    let release =
        AllocationCommand::RequestRelease { reason: input.reason, at: commands.clock.now() };
    let stream = (stream.as_str(), input.expected);
    commands.executor.execute_upon::<Allocation>(stream, release, context, Value::Null).await
}
