//! Time that is proven too late to be charged by itself: what of it a rental does not pay for is a case that somebody settles.
use cairn_compute::Allocation;
use cairn_core::AllocationId;
use cairn_finance::{BreakCase, BreakCommand, BreakType, Disagreement};

use crate::ports::PortError;
use crate::processes::intent::Outage;

use super::Act;
use super::charge_usage::concerned;

pub(super) async fn review_late(act: &Act<'_>, outage: &Outage) -> Result<(), PortError> {
    for allocation_id in concerned(act, outage).await? {
        review(act, allocation_id, outage).await?;
    }
    Ok(())
}

async fn review(
    act: &Act<'_>,
    allocation_id: AllocationId,
    outage: &Outage,
) -> Result<(), PortError> {
    let rental = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let Some(item) = unpaid(allocation_id, &rental, outage)? else { return Ok(()) };
    let stream = item.id().to_string();
    // Once: what a repeat would find may differ by then, and somebody may have settled it.
    if act.load::<BreakCase>(&stream).await?.item.is_some() {
        return Ok(());
    }
    let find = BreakCommand::Find { item, at: act.now() };
    act.execute::<BreakCase>(&format!("review:{allocation_id}"), &stream, find).await.map(drop)
}

/// What a rental does not pay for of an outage, and what it would cost on top of what is metered.
fn unpaid(
    allocation_id: AllocationId,
    rental: &Allocation,
    outage: &Outage,
) -> Result<Option<Disagreement>, PortError> {
    let &Outage { since, until, paused_seconds, .. } = outage;
    let unpaid = rental.unpaid_in((since, until), paused_seconds);
    let Some(((seconds, used_until), price)) = unpaid.zip(rental.price) else { return Ok(None) };
    let nanos = rental
        .ahead_nanos(seconds)
        .map_err(|error| PortError::permanent("amount_too_large", error.to_string()))?;
    Ok(nanos.map(|difference_nanos| Disagreement {
        break_type: BreakType::UsageLate,
        transaction_id: None,
        source_id: None,
        reference: Some(format!("usage/{allocation_id}:{}", since.as_micros())),
        currency: price.currency.to_string(),
        provider_nanos: None,
        books_nanos: None,
        difference_nanos,
        occurred_at: used_until,
        message: format!(
            "{allocation_id} did not pay for {seconds} s of the outage of {since}, which its node proved at {until}"
        ),
    }))
}
