//! Going on as another SKU, or with more disk.
use cairn_catalog::Sku;
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice, Size};
use cairn_core::{AllocationId, OrganisationId, Refusal, Tax, Timestamp};
use serde_json::json;

use super::{TOO_MUCH, listed, pinned_disk, price_of};
use crate::answers::{first_answer, sku_form};
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// A wish to go on as another SKU, or with more disk. What is not said stays.
#[derive(Debug, Clone)]
pub struct ResizeAllocation {
    /// Who asks; `None` for an operator, who may resize anything.
    pub organisation_id: Option<OrganisationId>,
    /// What.
    pub allocation_id: AllocationId,
    /// What it shall be.
    pub sku_id: Option<String>,
    /// GiB that it shall have beside the disk of that SKU.
    pub additional_disk_gib: Option<u32>,
    /// What was seen of the rental.
    pub expected: Expected,
}

/// Asks that a rental goes on as another SKU, at what a new one would pay now, or as the same with more disk: then the price of the SKU,
/// its discount and the tax stay, and all additional disk costs what it costs now. `resize_tenant` goes on. Answers
/// `{"sku_id", "additional_disk_gib"}`.
///
/// # Errors
/// `unknown_allocation`, also when it is somebody else's; `unknown_sku`, `sku_retired`, `price_missing`, `price_invalid`, `disk_not_sold`,
/// `disk_beyond_limit`, `resize_unchanged`, `resize_under_way`, `disk_shrinks`, `allocation_in_wrong_state`, `precondition_failed`.
pub async fn resize_allocation(
    commands: &Commands,
    context: &CommandContext,
    input: ResizeAllocation,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    if let Some(sku_id) = &input.sku_id {
        sku_form(sku_id)?;
    }
    let stream = input.allocation_id.to_string();
    let (rental, _) = commands.executor.load::<Allocation>(&stream).await?;
    let refuse =
        |code, why: String| commands.executor.refuse::<Allocation>(&stream, (code, why), context);
    let known = rental.organisation_id.zip(rental.price);
    let theirs = |(owner, _): &(OrganisationId, PinnedPrice)| {
        input.organisation_id.is_none_or(|asks| asks == *owner)
    };
    let Some((organisation_id, price)) = known.filter(theirs) else {
        return refuse("unknown_allocation", "there is no such allocation".to_owned()).await;
    };
    let at = commands.clock.now();
    let sku_id = input.sku_id.unwrap_or_else(|| rental.sku_id.clone());
    let gib = input.additional_disk_gib.unwrap_or_else(|| rental.additional_disk_gib());
    let (sku, _) = commands.executor.load::<Sku>(&sku_id).await?;
    let resources = match sku.resources_with(gib) {
        Ok(resources) => resources,
        Err(error) => return refuse(error.code(), error.to_string()).await,
    };
    let priced = if sku_id == rental.sku_id {
        kept(&rental, price, (&sku, gib), at)
    } else {
        match listed(&sku, (gib, price.currency), at) {
            Ok(price) => Ok(price_of(commands, (organisation_id, &sku_id), price, at).await?),
            Err(refused) => Err(refused),
        }
    };
    let (price, tax) = match priced {
        Ok(Some(priced)) => priced,
        Ok(None) => return refuse("price_invalid", TOO_MUCH.to_owned()).await,
        Err((code, why)) => return refuse(code, why).await,
    };
    let result = json!({ "sku_id": sku_id, "additional_disk_gib": gib });
    let size = Size { sku_id, resources, price, tax };
    let resize = AllocationCommand::RequestResize { size, at };
    let stream = (stream.as_str(), input.expected);
    commands.executor.execute_upon::<Allocation>(stream, resize, context, result).await
}

type Priced = Option<(PinnedPrice, Option<Tax>)>;

/// The price that it has, its tiers where they are, with so many GiB at their price of now.
fn kept(
    rental: &Allocation,
    price: PinnedPrice,
    (sku, gib): (&Sku, u32),
    at: Timestamp,
) -> Result<Priced, (&'static str, String)> {
    let disk = sku.additional_disk((gib, price.currency), at);
    let disk = disk.map_err(|error| (error.code(), error.to_string()))?;
    let tax = rental.tax.clone();
    let Ok(disk) = disk.map(|disk| pinned_disk((disk, gib), tax.as_ref())).transpose() else {
        return Ok(None);
    };
    let price = PinnedPrice { disk, ..price.after(rental.seconds_at_this_price()) };
    Ok(Some((price, tax)))
}
