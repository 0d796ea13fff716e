//! Allocations in public.
use cairn_compute::{AllocationEvent as Event, PinnedPrice, ReleaseReason, SuspensionReason};
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};
use super::shapes::{AdditionalDisk, Money, Price, PriceInTiers, Resources, Tax};

public_types! {
    Requested = "cairn.allocation.requested" 1;
    RequestedInTiers = "cairn.allocation.requested" 2;
    RequestedWithDisk = "cairn.allocation.requested" 3;
    Taxed = "cairn.allocation.taxed" 1;
    Repriced = "cairn.allocation.repriced" 1;
    RepricedInTiers = "cairn.allocation.repriced" 2;
    RepricedWithDisk = "cairn.allocation.repriced" 3;
    ResizeRequested = "cairn.allocation.resize_requested" 1;
    ResizeRequestedWithDisk = "cairn.allocation.resize_requested" 2;
    Resized = "cairn.allocation.resized" 1;
    ResizedWithDisk = "cairn.allocation.resized" 2;
    ResizeFailed = "cairn.allocation.resize_failed" 1;
    Rejected = "cairn.allocation.rejected" 1;
    Activated = "cairn.allocation.activated" 1;
    Failed = "cairn.allocation.failed" 1;
    Metered = "cairn.allocation.metered" 1;
    SuspensionRequested = "cairn.allocation.suspension_requested" 1;
    SuspensionByLimit = "cairn.allocation.suspension_requested" 2;
    SuspensionToResize = "cairn.allocation.suspension_requested" 3;
    Suspended = "cairn.allocation.suspended" 1;
    ResumeRequested = "cairn.allocation.resume_requested" 1;
    Resumed = "cairn.allocation.resumed" 1;
    ReleaseRequested = "cairn.allocation.release_requested" 1;
    Released = "cairn.allocation.released" 1;
}

/// Somebody wants to rent.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Requested {
    allocation_id: String,
    organisation_id: String,
    sku_id: String,
    resources: Resources,
    price: Price,
}

/// The same, where time does not always cost the same.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RequestedInTiers {
    allocation_id: String,
    organisation_id: String,
    sku_id: String,
    resources: Resources,
    price: PriceInTiers,
}

/// The same, with more disk than the SKU has.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RequestedWithDisk {
    allocation_id: String,
    organisation_id: String,
    sku_id: String,
    /// All of it, the additional disk included.
    resources: Resources,
    /// Without the disk.
    price: PriceInTiers,
    additional_disk: AdditionalDisk,
}

/// A tax is in its price. It comes with the request.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Taxed {
    tax: Tax,
}

/// Moved to another price: what was used by then is charged at the one before.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Repriced {
    price: Price,
    /// None when there is none.
    tax: Option<Tax>,
    /// When.
    at: String,
}

/// The same, where time does not always cost the same from then on.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RepricedInTiers {
    price: PriceInTiers,
    /// None when there is none.
    tax: Option<Tax>,
    /// When.
    at: String,
}

/// The same, of what has additional disk.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RepricedWithDisk {
    /// Without the disk.
    price: PriceInTiers,
    additional_disk: AdditionalDisk,
    /// None when there is none.
    tax: Option<Tax>,
    /// When.
    at: String,
}

/// It shall go on as another SKU, at its price of now.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResizeRequested {
    sku_id: String,
    resources: Resources,
    price: PriceInTiers,
    /// None when there is none.
    tax: Option<Tax>,
    /// When.
    at: String,
}

/// It shall go on with additional disk, also as another SKU.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResizeRequestedWithDisk {
    sku_id: String,
    /// All of it, the additional disk included.
    resources: Resources,
    /// Without the disk.
    price: PriceInTiers,
    additional_disk: AdditionalDisk,
    /// None when there is none.
    tax: Option<Tax>,
    /// When.
    at: String,
}

/// It is another SKU: what was used by then is charged at the price before.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resized {
    sku_id: String,
    resources: Resources,
    price: PriceInTiers,
    /// None when there is none.
    tax: Option<Tax>,
    /// Since when.
    at: String,
}

/// It has additional disk, also as another SKU: what was used by then is charged at the price before.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResizedWithDisk {
    sku_id: String,
    /// All of it, the additional disk included.
    resources: Resources,
    /// Without the disk.
    price: PriceInTiers,
    additional_disk: AdditionalDisk,
    /// None when there is none.
    tax: Option<Tax>,
    /// Since when.
    at: String,
}

/// It stays what it was.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResizeFailed {
    /// Why: a stable code.
    code: String,
    /// When.
    at: String,
}

/// It cannot be rented: capacity or funds are lacking. Final.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rejected {
    /// Why: a stable code.
    code: String,
    /// When.
    at: String,
}

/// Proven ready: it is paid for from here on.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Activated {
    /// Since when.
    at: String,
}

/// It could not be made ready, and nothing of it is left. Final.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Failed {
    /// When.
    at: String,
}

/// It is proven to have run up to an instant, but for some seconds.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Metered {
    /// Up to when.
    through: String,
    /// Seconds since its activation that nothing proves; they are not charged.
    unproven_seconds: i64,
}

/// It is not paid for: the meter stands still from here, and the login is about to be closed.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SuspensionRequested {
    /// Why.
    reason: WhySuspended,
    /// Since when nothing is charged.
    at: String,
}

/// Why an allocation is suspended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WhySuspended {
    FundsExhausted,
}

/// No more may be used this month: the meter stands still from here, and the login is about to be closed.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SuspensionByLimit {
    /// Why.
    reason: WhyLimited,
    /// Since when nothing is charged.
    at: String,
}

/// Why an allocation is suspended that could be paid for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WhyLimited {
    SpendingLimit,
}

/// It is stopped to go on in another size: the meter stands still from here.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SuspensionToResize {
    /// Why.
    reason: WhyResized,
    /// Since when nothing is charged.
    at: String,
}

/// Why an allocation is suspended that goes on at once.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WhyResized {
    Resize,
}

/// Its node has confirmed that nobody logs in and that nothing runs. The data is kept.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Suspended {
    /// When.
    at: String,
}

/// It is paid for again: the login is about to be opened.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResumeRequested {
    /// When.
    at: String,
}

/// Proven ready again: it is paid for from here on.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resumed {
    /// Since when.
    at: String,
}

/// The meter stops here, or where it stood still.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReleaseRequested {
    /// Who or what ends it.
    reason: Reason,
    /// When.
    at: String,
}

/// Why an allocation ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Customer,
    Operator,
    FundsExhausted,
}

/// All settled. Final.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Released {
    /// Seconds it ran.
    active_seconds: i64,
    /// What they cost, in the currency of its price: a decimal number with two to nine decimals.
    charged: String,
    /// When.
    at: String,
}

pub(super) fn publish(event: Event) -> Result<Option<Said>, String> {
    match event {
        requested @ Event::Requested { .. } => self::requested(requested),
        Event::Taxed { tax, .. } => public(&Taxed { tax: tax.into() }),
        repriced @ Event::Repriced { .. } => self::repriced(repriced),
        resize @ (Event::ResizeRequested { .. } | Event::Resized { .. }) => resized(resize),
        Event::ResizeFailed { code, at, .. } => public(&ResizeFailed { code, at: at.to_string() }),
        Event::Rejected { code, at, .. } => public(&Rejected { code, at: at.to_string() }),
        Event::Activated { at, .. } => public(&Activated { at: at.to_string() }),
        Event::Failed { at } => public(&Failed { at: at.to_string() }),
        Event::Metered { through, unproven_seconds, .. } => {
            public(&Metered { through: through.to_string(), unproven_seconds })
        }
        Event::SuspensionRequested { reason: SuspensionReason::FundsExhausted, at } => {
            let reason = WhySuspended::FundsExhausted;
            public(&SuspensionRequested { reason, at: at.to_string() })
        }
        Event::SuspensionRequested { reason: SuspensionReason::SpendingLimit, at } => {
            public(&SuspensionByLimit { reason: WhyLimited::SpendingLimit, at: at.to_string() })
        }
        Event::SuspensionRequested { reason: SuspensionReason::Resize, at } => {
            public(&SuspensionToResize { reason: WhyResized::Resize, at: at.to_string() })
        }
        Event::Suspended { at, .. } => public(&Suspended { at: at.to_string() }),
        Event::ResumeRequested { at } => public(&ResumeRequested { at: at.to_string() }),
        Event::Resumed { at, .. } => public(&Resumed { at: at.to_string() }),
        Event::ReleaseRequested { reason, at } => {
            let reason = match reason {
                ReleaseReason::Customer => Reason::Customer,
                ReleaseReason::Operator => Reason::Operator,
                ReleaseReason::FundsExhausted => Reason::FundsExhausted,
            };
            public(&ReleaseRequested { reason, at: at.to_string() })
        }
        Event::Released { active_seconds, charged_nanos, at } => {
            let charged = cairn_core::money::format_nanos(charged_nanos);
            public(&Released { active_seconds, charged, at: at.to_string() })
        }
        // What the customer sorts it by. How it is done: nodes, logins, steps, evidence, and what operators read and write. What a correction gives back is the wallet's.
        Event::Assigned { .. }
        | Event::ResizeReserved { .. }
        | Event::ResizeSettled { .. }
        | Event::Reserved { .. }
        | Event::ProvisioningStarted { .. }
        | Event::StepCompleted { .. }
        | Event::ProvisioningFailed { .. }
        | Event::TeardownVerified { .. }
        | Event::LateUsageProven { .. }
        | Event::UsageCorrected { .. }
        | Event::NeedsOperator { .. } => private(),
    }
}

/// Version 1 of what knows no tiers is said as long as there are none, and version 2 as long as there is no additional disk.
fn requested(event: Event) -> Result<Option<Said>, String> {
    match event {
        Event::Requested {
            allocation_id,
            organisation_id,
            sku_id,
            resources,
            price: price @ PinnedPrice { disk: Some(disk), .. },
            ..
        } => public(&RequestedWithDisk {
            allocation_id: allocation_id.to_string(),
            organisation_id: organisation_id.to_string(),
            sku_id,
            resources: resources.into(),
            price: PriceInTiers::new(price.version, &price.tariff(), price.currency),
            additional_disk: AdditionalDisk::new(&disk, price.currency),
        }),
        Event::Requested { allocation_id, organisation_id, sku_id, resources, price, .. }
            if !price.tariff().is_flat() =>
        {
            public(&RequestedInTiers {
                allocation_id: allocation_id.to_string(),
                organisation_id: organisation_id.to_string(),
                sku_id,
                resources: resources.into(),
                price: PriceInTiers::new(price.version, &price.tariff(), price.currency),
            })
        }
        Event::Requested { allocation_id, organisation_id, sku_id, resources, price, .. } => {
            let per_hour = Money::new(price.nanos_per_hour, price.currency);
            public(&Requested {
                allocation_id: allocation_id.to_string(),
                organisation_id: organisation_id.to_string(),
                sku_id,
                resources: resources.into(),
                price: Price { version: price.version, per_hour },
            })
        }
        _ => private(),
    }
}

fn repriced(event: Event) -> Result<Option<Said>, String> {
    match event {
        Event::Repriced {
            price: price @ PinnedPrice { disk: Some(disk), .. }, tax, at, ..
        } => public(&RepricedWithDisk {
            price: PriceInTiers::new(price.version, &price.tariff(), price.currency),
            additional_disk: AdditionalDisk::new(&disk, price.currency),
            tax: tax.map(Tax::from),
            at: at.to_string(),
        }),
        Event::Repriced { price, tax, at, .. } if !price.tariff().is_flat() => {
            public(&RepricedInTiers {
                price: PriceInTiers::new(price.version, &price.tariff(), price.currency),
                tax: tax.map(Tax::from),
                at: at.to_string(),
            })
        }
        Event::Repriced { price, tax, at, .. } => {
            let per_hour = Money::new(price.nanos_per_hour, price.currency);
            public(&Repriced {
                price: Price { version: price.version, per_hour },
                tax: tax.map(Tax::from),
                at: at.to_string(),
            })
        }
        _ => private(),
    }
}

fn resized(event: Event) -> Result<Option<Said>, String> {
    match event {
        Event::ResizeRequested { sku_id, resources, price, tax, at } => {
            let (resources, tax, at) = (resources.into(), tax.map(Tax::from), at.to_string());
            let (currency, disk) = (price.currency, price.disk);
            let price = PriceInTiers::new(price.version, &price.tariff(), currency);
            let Some(disk) = disk else {
                return public(&ResizeRequested { sku_id, resources, price, tax, at });
            };
            let additional_disk = AdditionalDisk::new(&disk, currency);
            public(&ResizeRequestedWithDisk { sku_id, resources, price, additional_disk, tax, at })
        }
        Event::Resized { sku_id, resources, price, tax, at, .. } => {
            let (resources, tax, at) = (resources.into(), tax.map(Tax::from), at.to_string());
            let (currency, disk) = (price.currency, price.disk);
            let price = PriceInTiers::new(price.version, &price.tariff(), currency);
            let Some(disk) = disk else {
                return public(&Resized { sku_id, resources, price, tax, at });
            };
            let additional_disk = AdditionalDisk::new(&disk, currency);
            public(&ResizedWithDisk { sku_id, resources, price, additional_disk, tax, at })
        }
        _ => private(),
    }
}
