//! Commands of the catalogue: what is for sale and at which price.
use cairn_catalog::{
    Discount, DiscountCommand, Discounts, DiskPrice, Sku, SkuCommand, TaxTable, TaxTableCommand,
    TaxTableError, TaxVersion,
};
use cairn_core::tax::is_jurisdiction;
use cairn_core::{DiscountId, Money, OrganisationId, Refusal as _, Resources, Tiers, Timestamp};
use serde_json::json;

use crate::answers::{first_answer, refused, sku_form};
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// Something to sell.
#[derive(Debug, Clone)]
pub struct DefineSku {
    /// Its name for ever.
    pub sku_id: String,
    /// What one gets.
    pub resources: Resources,
}

/// Puts a SKU into the catalogue; it is for sale once it has a price.
///
/// # Errors
/// `sku_id_invalid`, `sku_resources_invalid`, `sku_exists`, `sku_retired`.
pub async fn define_sku(
    commands: &Commands,
    context: &CommandContext,
    input: DefineSku,
) -> Result<Executed, ExecuteError> {
    let DefineSku { sku_id, resources } = input;
    let stream = sku_id.clone();
    let define = SkuCommand::Define { sku_id, resources, at: commands.clock.now() };
    send(commands, context, (&stream, Expected::Anything), define).await
}

/// A price to set.
#[derive(Debug, Clone)]
pub struct SetPrice {
    /// Of what.
    pub sku_id: String,
    /// For 3,600 seconds, exactly; with tiers in the first.
    pub per_hour: Money,
    /// The tiers after the first.
    pub tiers: Tiers,
    /// From when on new rentals pay it; at once when absent.
    pub effective_at: Option<Timestamp>,
    /// What was seen of it.
    pub expected: Expected,
}

/// Sets a new version of a price. Rentals keep the version they began with.
///
/// # Errors
/// `unknown_sku`, `sku_retired`, `price_invalid`, `precondition_failed`.
pub async fn set_price(
    commands: &Commands,
    context: &CommandContext,
    input: SetPrice,
) -> Result<Executed, ExecuteError> {
    sku_form(&input.sku_id)?;
    let at = commands.clock.now();
    let set = SkuCommand::SetPrice {
        currency: input.per_hour.currency,
        nanos_per_hour: input.per_hour.nanos,
        tiers: input.tiers,
        effective_at: input.effective_at.unwrap_or(at),
        at,
    };
    send(commands, context, (&input.sku_id, input.expected), set).await
}

/// A price of additional disk to set.
#[derive(Debug, Clone)]
pub struct SetDiskPrice {
    /// With what it is sold.
    pub sku_id: String,
    /// Of one GiB for 3,600 seconds, exactly.
    pub per_gib_hour: Money,
    /// The most that one rental may have; 0 sells it no longer.
    pub gib_max: u32,
    /// From when on it counts; at once when absent.
    pub effective_at: Option<Timestamp>,
    /// What was seen of the SKU.
    pub expected: Expected,
}

/// Sets a new version of the price of additional disk. Rentals keep what they have, at the version that they have it at.
///
/// # Errors
/// `unknown_sku`, `sku_retired`, `disk_price_invalid`, `precondition_failed`.
pub async fn set_disk_price(
    commands: &Commands,
    context: &CommandContext,
    input: SetDiskPrice,
) -> Result<Executed, ExecuteError> {
    sku_form(&input.sku_id)?;
    let at = commands.clock.now();
    let price = DiskPrice {
        version: 0,
        currency: input.per_gib_hour.currency,
        nanos_per_gib_hour: input.per_gib_hour.nanos,
        gib_max: input.gib_max,
        effective_at: input.effective_at.unwrap_or(at),
    };
    let set = SkuCommand::SetDiskPrice { price, at };
    send(commands, context, (&input.sku_id, input.expected), set).await
}

/// Takes a SKU off sale; running rentals go on.
///
/// # Errors
/// `unknown_sku`, `precondition_failed`.
pub async fn retire_sku(
    commands: &Commands,
    context: &CommandContext,
    (sku_id, expected): (&str, Expected),
) -> Result<Executed, ExecuteError> {
    sku_form(sku_id)?;
    let retire = SkuCommand::Retire { at: commands.clock.now() };
    send(commands, context, (sku_id, expected), retire).await
}

/// A discount to give.
#[derive(Debug, Clone)]
pub struct GiveDiscount {
    /// To whom.
    pub organisation_id: OrganisationId,
    /// Off the price, in basis points.
    pub basis_points: u32,
    /// Of what; of everything when absent.
    pub sku_id: Option<String>,
    /// Until when new rentals get it.
    pub ends_at: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// Lets an organisation pay less for what it rents from now on. Answers `{"organisation_id", "discount_id"}`.
///
/// # Errors
/// `discount_invalid`, `sku_id_invalid`, `reason_needed`, `discounts_full`.
pub async fn give_discount(
    commands: &Commands,
    context: &CommandContext,
    input: GiveDiscount,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let GiveDiscount { organisation_id, basis_points, sku_id, ends_at, reason } = input;
    let discount_id = DiscountId::from_bits(commands.ids.next());
    let discount = Discount { discount_id, basis_points, sku_id, ends_at, reason };
    let give = DiscountCommand::Give { organisation_id, discount, at: commands.clock.now() };
    on_discounts(commands, context, (organisation_id, discount_id), give).await
}

/// Lets what an organisation rents from now on cost more again. Running rentals keep the discount.
///
/// # Errors
/// `unknown_discount`.
pub async fn withdraw_discount(
    commands: &Commands,
    context: &CommandContext,
    (organisation_id, discount_id): (OrganisationId, DiscountId),
) -> Result<Executed, ExecuteError> {
    let withdraw = DiscountCommand::Withdraw { discount_id, at: commands.clock.now() };
    on_discounts(commands, context, (organisation_id, discount_id), withdraw).await
}

async fn on_discounts(
    commands: &Commands,
    context: &CommandContext,
    (organisation_id, discount_id): (OrganisationId, DiscountId),
    command: DiscountCommand,
) -> Result<Executed, ExecuteError> {
    let result = json!({ "organisation_id": organisation_id, "discount_id": discount_id });
    let stream = organisation_id.to_string();
    commands.executor.execute::<Discounts>(&stream, command, context, result).await
}

/// A tax to set.
#[derive(Debug, Clone)]
pub struct SetTax {
    /// Whose: ISO 3166, a country or a part of one.
    pub jurisdiction: String,
    /// What it is called there.
    pub name: String,
    /// Millionths of the net amount; 0 ends it.
    pub ppm: u32,
    /// Whether prices of the catalogue include it.
    pub inclusive: bool,
    /// Whether a customer with a tax id owes it to the jurisdiction instead of us.
    pub reverse_charge: bool,
    /// From when on new rentals pay it; at once when absent.
    pub effective_at: Option<Timestamp>,
}

/// Sets a new version of a jurisdiction's tax. Rentals keep the version they began with.
///
/// # Errors
/// `jurisdiction_invalid`, `tax_invalid`.
pub async fn set_tax(
    commands: &Commands,
    context: &CommandContext,
    input: SetTax,
) -> Result<Executed, ExecuteError> {
    let SetTax { jurisdiction, name, ppm, inclusive, reverse_charge, effective_at } = input;
    if !is_jurisdiction(&jurisdiction) {
        let bad = TaxTableError::BadJurisdiction;
        return Err(refused(bad.code(), bad.to_string()));
    }
    let at = commands.clock.now();
    let effective_at = effective_at.unwrap_or(at);
    let tax = TaxVersion { version: 0, name, ppm, inclusive, reverse_charge, effective_at };
    let result = json!({ "jurisdiction": jurisdiction });
    let stream = jurisdiction.clone();
    let set = TaxTableCommand::SetRate { jurisdiction, tax, at };
    commands.executor.execute::<TaxTable>(&stream, set, context, result).await
}

async fn send(
    commands: &Commands,
    context: &CommandContext,
    stream: (&str, Expected),
    command: SkuCommand,
) -> Result<Executed, ExecuteError> {
    let result = json!({ "sku_id": stream.0 });
    commands.executor.execute_upon::<Sku>(stream, command, context, result).await
}
