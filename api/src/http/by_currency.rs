//! What an organisation has in each currency: one item for each, out of the stream of its wallet there.
use cairn_commands::{Commands, ExecuteError};
use cairn_core::{Currency, Decider, Month, OrganisationId, Timestamp};
use cairn_ledger::wallet_id;

/// An item for each currency, of what is remembered under the name of its wallet.
pub async fn in_each<A: Decider, T>(
    commands: &Commands,
    organisation_id: OrganisationId,
    shown: impl Fn(Currency, A) -> T,
) -> Result<Vec<T>, ExecuteError> {
    let mut items = vec![];
    for currency in Currency::ALL {
        let id = wallet_id(organisation_id, currency);
        let (known, _) = commands.executor.load::<A>(&id).await?;
        items.push(shown(currency, known));
    }
    Ok(items)
}

/// Now, and the month that it is in.
pub fn this_month(commands: &Commands) -> Result<(Timestamp, Month), ExecuteError> {
    let now = commands.clock.now();
    let month = Month::of(now).map_err(|error| ExecuteError::Internal(error.to_string()))?;
    Ok((now, month))
}
