//! Commands of the compute context: renting, resizing, releasing, and correcting what was metered.
mod corrections;
pub(crate) mod invoiced;
mod resizing;

use cairn_catalog::{Discounts, DiskPrice, PriceVersion, Sku, TaxTable};
use cairn_compute::{
    Allocation, AllocationCommand, PinnedDiscount, PinnedDisk, PinnedPrice, ReleaseReason,
    check_public_key,
};
use cairn_core::personal::ERASED;
use cairn_core::{
    AllocationId, Currency, MoneyError, NodeId, OrganisationId, ProjectId, Refusal, Tax, Timestamp,
};
use cairn_finance::Billing;
use cairn_identity::Organisation;
use serde_json::{Value, json};

use crate::answers::{first_answer, sku_form};
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

pub use self::corrections::{CorrectUsage, correct_usage};
pub use self::resizing::{ResizeAllocation, resize_allocation};

/// A wish to rent.
#[derive(Debug, Clone)]
pub struct RequestAllocation {
    /// Who rents.
    pub organisation_id: OrganisationId,
    /// What.
    pub sku_id: String,
    /// GiB beside the disk of the SKU.
    pub additional_disk_gib: u32,
    /// Paid from the wallet in this currency.
    pub currency: Currency,
    /// Opens the login: `type base64`, no comment.
    pub ssh_public_key: String,
    /// What of the organisation's it counts in.
    pub project_id: Option<ProjectId>,
    /// A certain node; otherwise any.
    pub node_id: Option<NodeId>,
}

/// Asks for an allocation at the price of now, which it keeps. Answers `{"allocation_id"}`; `rent_node` goes on.
///
/// # Errors
/// `unknown_sku`, `sku_retired`, `price_missing`, `disk_not_sold`, `disk_beyond_limit`, `ssh_public_key_invalid`, `unknown_project`,
/// `project_archived`.
pub async fn request_allocation(
    commands: &Commands,
    context: &CommandContext,
    input: RequestAllocation,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let RequestAllocation { organisation_id, sku_id, currency, ssh_public_key, .. } = input;
    let (project_id, node_id, gib) = (input.project_id, input.node_id, input.additional_disk_gib);
    sku_form(&sku_id)?;
    let at = commands.clock.now();
    let (sku, _) = commands.executor.load::<Sku>(&sku_id).await?;
    let refuse = |code, why| commands.executor.refuse::<Sku>(&sku_id, (code, why), context);
    let resources = match sku.resources_with(gib) {
        Ok(resources) => resources,
        Err(error) => return refuse(error.code(), error.to_string()).await,
    };
    let price = match listed(&sku, (gib, currency), at) {
        Ok(price) => price,
        Err((code, why)) => return refuse(code, why).await,
    };
    if let Err(error) = check_public_key(&ssh_public_key) {
        return refuse(error.code(), error.to_string()).await;
    }
    if let Some(project_id) = project_id {
        let (owner, _) =
            commands.executor.load::<Organisation>(&organisation_id.to_string()).await?;
        if let Err(error) = owner.takes_rentals(project_id) {
            return refuse(error.code(), format!("{project_id}: {error}")).await;
        }
    }
    let Some((price, tax)) = price_of(commands, (organisation_id, &sku_id), price, at).await?
    else {
        return refuse("price_invalid", TOO_MUCH.to_owned()).await;
    };
    let allocation_id = AllocationId::from_bits(commands.ids.next());
    let request = AllocationCommand::Request {
        allocation_id,
        organisation_id,
        sku_id,
        resources,
        price,
        tax,
        project_id,
        ssh_public_key,
        node_id,
        at,
    };
    let result = json!({ "allocation_id": allocation_id });
    let stream = allocation_id.to_string();
    commands.executor.execute::<Allocation>(&stream, request, context, result).await
}

const TOO_MUCH: &str = "its price with tax is more than the ledger can count";

/// What a SKU costs, and what so many GiB of additional disk do, before discounts and taxes.
struct Listed {
    price: PriceVersion,
    disk: Option<(DiskPrice, u32)>,
}

/// What is in force now, or a code and why there is no price.
fn listed(
    sku: &Sku,
    (gib, currency): (u32, Currency),
    at: Timestamp,
) -> Result<Listed, (&'static str, String)> {
    let missing = || ("price_missing", format!("the SKU has no price in {currency} now"));
    let price = sku.price_at(currency, at).ok_or_else(missing)?;
    let disk = sku.additional_disk((gib, currency), at);
    let disk = disk.map_err(|error| (error.code(), error.to_string()))?;
    Ok(Listed { price, disk: disk.map(|disk| (disk, gib)) })
}

/// What an organisation pays for a SKU, less its discount, and the tax in it: by the table of where it is. None when that cannot be counted.
async fn price_of(
    commands: &Commands,
    (organisation_id, sku_id): (OrganisationId, &str),
    price: Listed,
    at: Timestamp,
) -> Result<Option<(PinnedPrice, Option<Tax>)>, ExecuteError> {
    let (jurisdiction, has_tax_id) = seat(commands, organisation_id).await?;
    let tax = match jurisdiction {
        Some(jurisdiction) => {
            let (table, _) = commands.executor.load::<TaxTable>(&jurisdiction).await?;
            table.tax_at(at, has_tax_id)
        }
        None => None,
    };
    let (discounts, _) = commands.executor.load::<Discounts>(&organisation_id.to_string()).await?;
    let discount = discounts.discount_at(sku_id, at).map(|found| PinnedDiscount {
        discount_id: found.discount_id,
        basis_points: found.basis_points,
    });
    let with = |price| (PinnedPrice { discount, ..price }, tax.clone());
    Ok(pinned(price, tax.as_ref()).ok().map(with))
}

/// With the tax that comes on top of it, in each tier. A discount is off that sum, as it is off the price and off the tax.
fn pinned(listed: Listed, tax: Option<&Tax>) -> Result<PinnedPrice, MoneyError> {
    let paid = |list_nanos| tax.map_or(Ok(list_nanos), |tax| tax.price(list_nanos));
    let PriceVersion { version, currency, nanos_per_hour, tiers, .. } = listed.price;
    let (nanos_per_hour, tiers) = (paid(nanos_per_hour)?, tiers.try_map(paid)?);
    let disk = listed.disk.map(|disk| pinned_disk(disk, tax)).transpose()?;
    Ok(PinnedPrice { tiers, disk, ..PinnedPrice::flat(version, currency, nanos_per_hour) })
}

/// The same for each GiB. No discount is off it.
fn pinned_disk(
    (price, gib): (DiskPrice, u32),
    tax: Option<&Tax>,
) -> Result<PinnedDisk, MoneyError> {
    let list_nanos = price.nanos_per_gib_hour;
    let paid_nanos = tax.map_or(Ok(list_nanos), |tax| tax.price(list_nanos))?;
    PinnedDisk::try_new(price.version, gib, paid_nanos)
}

/// Where an organisation is, as its billing details say, and whether it has a tax id there.
async fn seat(
    commands: &Commands,
    organisation_id: OrganisationId,
) -> Result<(Option<String>, bool), ExecuteError> {
    let (billing, _) = commands.executor.load::<Billing>(&organisation_id.to_string()).await?;
    let Some(customer) = billing.customer else {
        return Ok((commands.home_jurisdiction.clone(), false));
    };
    let tax_id = commands.executor.personal().open(&customer.tax_id).await;
    let tax_id = tax_id.map_err(|error| ExecuteError::Unavailable(error.to_string()))?;
    Ok((Some(customer.country), tax_id.is_some_and(|id| !id.is_empty() && id != ERASED)))
}

/// A wish to rent on at another price.
#[derive(Debug, Clone)]
pub struct RepriceAllocation {
    /// Who asks; `None` for an operator, who may move anything.
    pub organisation_id: Option<OrganisationId>,
    /// What.
    pub allocation_id: AllocationId,
    /// The version of the price that was seen: it must be the one that new rentals pay now.
    pub price_version: u32,
    /// What was seen of the rental.
    pub expected: Expected,
}

/// Moves a rental to the price, and to the tax, that a new one with as much disk would pay now, however much that may have. What is
/// metered by then is charged as before.
///
/// # Errors
/// `unknown_allocation`, also when it is somebody else's; `price_missing`, `price_changed`, `disk_not_sold`,
/// `allocation_in_wrong_state`, `precondition_failed`.
pub async fn reprice_allocation(
    commands: &Commands,
    context: &CommandContext,
    input: RepriceAllocation,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let stream = input.allocation_id.to_string();
    let (rental, _) = commands.executor.load::<Allocation>(&stream).await?;
    let refuse =
        |code, why: String| commands.executor.refuse::<Allocation>(&stream, (code, why), context);
    let known = rental.organisation_id.zip(rental.price);
    let theirs = |(owner, _): &(OrganisationId, PinnedPrice)| {
        input.organisation_id.is_none_or(|asks| asks == *owner)
    };
    let Some((organisation_id, PinnedPrice { currency, .. })) = known.filter(theirs) else {
        return refuse("unknown_allocation", "there is no such allocation".to_owned()).await;
    };
    let at = commands.clock.now();
    let (sku, _) = commands.executor.load::<Sku>(&rental.sku_id).await?;
    let Some(price) = sku.price_at(currency, at) else {
        return refuse("price_missing", format!("the SKU has no price in {currency} now")).await;
    };
    if price.version != input.price_version {
        let (now, seen) = (price.version, input.price_version);
        let why = format!("the price is version {now} now, not {seen}: look at it again");
        return refuse("price_changed", why).await;
    }
    let gib = rental.additional_disk_gib();
    let disk = match sku.disk_price_at(currency, at) {
        Some(disk) => Some((disk, gib)).filter(|_| gib > 0),
        None if gib == 0 => None,
        None => {
            let why = format!(
                "no additional disk is sold with the SKU in {currency} now, and it has {gib} GiB"
            );
            return refuse("disk_not_sold", why).await;
        }
    };
    let (price, whose) = (Listed { price, disk }, (organisation_id, rental.sku_id.as_str()));
    let Some((price, tax)) = price_of(commands, whose, price, at).await? else {
        return refuse("price_invalid", TOO_MUCH.to_owned()).await;
    };
    let reprice = AllocationCommand::Reprice { price, tax, at };
    let stream = (stream.as_str(), input.expected);
    commands.executor.execute_upon::<Allocation>(stream, reprice, context, Value::Null).await
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
