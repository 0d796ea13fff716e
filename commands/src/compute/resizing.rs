//! Going on as another SKU.
use cairn_catalog::Sku;
use cairn_compute::{Allocation, AllocationCommand, Size};
use cairn_core::{AllocationId, OrganisationId, Refusal};
use serde_json::json;

use super::{TOO_MUCH, price_of};
use crate::answers::{first_answer, sku_form};
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// A wish to go on as another SKU.
#[derive(Debug, Clone)]
pub struct ResizeAllocation {
    /// Who asks; `None` for an operator, who may resize anything.
    pub organisation_id: Option<OrganisationId>,
    /// What.
    pub allocation_id: AllocationId,
    /// What it shall be.
    pub sku_id: String,
    /// What was seen of the rental.
    pub expected: Expected,
}

/// Asks that a rental goes on as another SKU, at what a new one would pay now. `resize_tenant` goes on. Answers `{"sku_id"}`.
///
/// # Errors
/// `unknown_allocation`, also when it is somebody else's; `unknown_sku`, `sku_retired`, `price_missing`, `price_invalid`,
/// `resize_unchanged`, `resize_under_way`, `disk_shrinks`, `allocation_in_wrong_state`, `precondition_failed`.
pub async fn resize_allocation(
    commands: &Commands,
    context: &CommandContext,
    input: ResizeAllocation,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let ResizeAllocation { organisation_id: asks, allocation_id, sku_id, expected } = input;
    sku_form(&sku_id)?;
    let stream = allocation_id.to_string();
    let (rental, _) = commands.executor.load::<Allocation>(&stream).await?;
    let refuse =
        |code, why: String| commands.executor.refuse::<Allocation>(&stream, (code, why), context);
    let known = rental.organisation_id.zip(rental.price);
    let theirs = known.filter(|(owner, _)| asks.is_none_or(|asks| asks == *owner));
    let Some((organisation_id, price)) = theirs else {
        return refuse("unknown_allocation", "there is no such allocation".to_owned()).await;
    };
    let at = commands.clock.now();
    let (sku, _) = commands.executor.load::<Sku>(&sku_id).await?;
    let resources = match sku.for_sale() {
        Ok(resources) => resources,
        Err(error) => return refuse(error.code(), error.to_string()).await,
    };
    let currency = price.currency;
    let Some(price) = sku.price_at(currency, at) else {
        return refuse("price_missing", format!("the SKU has no price in {currency} now")).await;
    };
    let Some((price, tax)) = price_of(commands, (organisation_id, &sku_id), price, at).await?
    else {
        return refuse("price_invalid", TOO_MUCH.to_owned()).await;
    };
    let result = json!({ "sku_id": sku_id });
    let size = Size { sku_id, resources, price, tax };
    let resize = AllocationCommand::RequestResize { size, at };
    let stream = (stream.as_str(), expected);
    commands.executor.execute_upon::<Allocation>(stream, resize, context, result).await
}
