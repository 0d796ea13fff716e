//! Whoever is erased leaves what they belong to. No organisation that somebody else is in, or that has money, loses its last owner.
use cairn_core::{Currency, OrganisationId, UserId};
use cairn_identity::Organisation;
use cairn_ledger::{Wallet, wallet_id};

use super::erase::Wish;
use crate::answers::{derived, refused};
use crate::identity::organisations;
use crate::{CommandContext, Commands, ExecuteError};

/// Why nobody can do anything there any more.
const ABANDONED: &str = "its last owner was erased";

/// Which of these organisations a person must first give to another owner, or empty.
///
/// # Errors
/// The log's.
pub async fn kept_by(
    commands: &Commands,
    (user_id, organisations): (UserId, &[OrganisationId]),
) -> Result<Vec<OrganisationId>, ExecuteError> {
    let mut kept = vec![];
    for id in organisations {
        let (organisation, _) = commands.executor.load::<Organisation>(&id.to_string()).await?;
        let alone = organisation.members.len() == 1;
        if organisation.is_last_owner(user_id) && (!alone || has_money(commands, *id).await?) {
            kept.push(*id);
        }
    }
    Ok(kept)
}

async fn has_money(commands: &Commands, id: OrganisationId) -> Result<bool, ExecuteError> {
    for currency in Currency::ALL {
        let (wallet, _) = commands.executor.load::<Wallet>(&wallet_id(id, currency)).await?;
        if wallet.posted_nanos != 0 || wallet.held_nanos != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Leaves them all, or none when one must keep its owner. One that nobody else is in is suspended.
///
/// # Errors
/// `last_owner`.
pub(super) async fn leave(
    commands: &Commands,
    context: &CommandContext,
    wish: &Wish,
) -> Result<(), ExecuteError> {
    let Ok(user_id) = wish.subject.id().parse::<UserId>() else { return Ok(()) };
    let kept = kept_by(commands, (user_id, &wish.organisations)).await?;
    if !kept.is_empty() {
        let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
        let why = format!(
            "others are in {}, or money is, and there is no other owner: make one first",
            kept.join(", ")
        );
        return Err(refused("last_owner", why));
    }
    for id in &wish.organisations {
        let (organisation, _) = commands.executor.load::<Organisation>(&id.to_string()).await?;
        let context = derived(context, &format!("leave:{id}"));
        if organisation.is_last_owner(user_id) && organisation.members.len() == 1 {
            let suspend = (true, ABANDONED.to_owned());
            organisations::set_suspended(commands, &context, *id, suspend).await?;
        } else if organisation.role_of(user_id).is_some() {
            // Should the other owners have left meanwhile, it refuses.
            organisations::remove(commands, &context, *id, (user_id, None)).await?;
        }
    }
    Ok(())
}
