//! Following a dispute: ask the provider how it stands, record what it says.
use cairn_core::{DisputeId, Timestamp};
use cairn_payments::Dispute;

use crate::payments;
use crate::ports::{PortError, ProviderDispute};
use crate::{CommandContext, ExecuteError, Executed, Executor};

use super::Act;
use super::act::failure;

/// Asks how it stands. The `last` time, what is not decided by now goes to an operator.
pub(super) async fn retrieve_dispute(
    act: &Act<'_>,
    dispute_id: DisputeId,
    last: bool,
) -> Result<(), PortError> {
    let stream = dispute_id.to_string();
    let known = act.load::<Dispute>(&stream).await?;
    let (Some(provider_id), Some(payment_id)) = (known.provider_id, known.payment_id) else {
        return Err(PortError::permanent("unknown_dispute", "the dispute was never opened"));
    };
    let mut reported = act.call(act.effects.payments.dispute(&provider_id)).await?;
    reported.payment_id = Some(payment_id);
    let desk = payments::Recorder { executor: act.executor, context: &act.context("apply") };
    payments::record_provider_dispute(&desk, &reported, act.now()).await.map_err(failure)?;
    if last && act.load::<Dispute>(&stream).await?.outcome.is_none() {
        return Err(PortError::permanent(
            "never_settled",
            "the provider never decided the dispute",
        ));
    }
    Ok(())
}

/// Records what the provider says of a dispute that was found in its book rather than told of.
pub(crate) async fn record_found(
    executor: &Executor,
    context: &CommandContext,
    reported: &ProviderDispute,
    at: Timestamp,
) -> Result<Executed, ExecuteError> {
    let desk = payments::Recorder { executor, context };
    payments::record_provider_dispute(&desk, reported, at).await
}
