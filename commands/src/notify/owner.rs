//! Whose a fact is: the organisation that its stream belongs to, whoever caused it; in a stream of several, the one that it names.
use cairn_compute::Allocation;
use cairn_core::Decider;
use cairn_event_log::Recorded;
use cairn_ledger::{Dunning, Wallet};
use cairn_notify::WebhookEndpoint;
use cairn_payments::{AutoTopUp, Payment, Refund};

use crate::public::{self, is_shared};
use crate::{ExecuteError, Executor};

/// The organisation's id; `None` when it is nobody's, like a node or what is for sale.
pub(super) async fn owner(
    executor: &Executor,
    fact: &Recorded,
) -> Result<Option<String>, ExecuteError> {
    let id = fact.aggregate_id.as_str();
    if is_shared(&fact.aggregate_type) {
        return Ok(public::owner(fact)?.map(|id| id.to_string()));
    }
    match fact.aggregate_type.as_str() {
        Allocation::TYPE => of::<Allocation>(executor, id).await,
        AutoTopUp::TYPE => of::<AutoTopUp>(executor, id).await,
        Dunning::TYPE => of::<Dunning>(executor, id).await,
        Payment::TYPE => of::<Payment>(executor, id).await,
        Refund::TYPE => of::<Refund>(executor, id).await,
        Wallet::TYPE => of::<Wallet>(executor, id).await,
        WebhookEndpoint::TYPE => of::<WebhookEndpoint>(executor, id).await,
        _ => Ok(None),
    }
}

async fn of<A: Decider>(executor: &Executor, id: &str) -> Result<Option<String>, ExecuteError> {
    let (state, _) = executor.load::<A>(id).await?;
    Ok(state.subject().map(|subject| subject.id().to_owned()))
}
