//! Filling a wallet again: look whether it is low and have that decided, and ask for the payment that was decided on.
use cairn_core::{Decider as _, OrganisationId, PaymentId, PaymentMethodId, Refusal as _};
use cairn_identity::Organisation;
use cairn_ledger::Wallet;
use cairn_payments::{
    AutoTopUp, AutoTopUpCommand, AutoTopUpLook, KeptMethod, Payment, PaymentCommand,
    PaymentMethods, Standing,
};
use sha2::{Digest as _, Sha256};

use crate::payments;
use crate::ports::{FailureKind, PortError};
use crate::privacy::SUBJECT_ERASED;

use super::Act;

/// The payment of an attempt: of the wallet and the attempt's number alone, so that whoever looks at the same time means the same one.
fn payment_of(wallet_id: &str, attempt: u32) -> PaymentId {
    let hash = Sha256::digest(format!("auto_top_up {wallet_id} {attempt}"));
    let bits = hash.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    PaymentId::from_bits(bits)
}

pub(super) async fn look_at_wallet(act: &Act<'_>, wallet_id: &str) -> Result<(), PortError> {
    let known = act.load::<AutoTopUp>(wallet_id).await?;
    let Some((organisation_id, _)) = known.owner.filter(|_| known.standing == Standing::On) else {
        return Ok(());
    };
    // Whom an operator has shut out is not charged by itself.
    if act.load::<Organisation>(&organisation_id.to_string()).await?.suspended {
        return Ok(());
    }
    let (wallet, at) = (act.load::<Wallet>(wallet_id).await?, act.now());
    let attempt = known.attempts.saturating_add(1);
    let look = AutoTopUpCommand::Look(AutoTopUpLook {
        available_nanos: wallet.available_at(at),
        next: (attempt, payment_of(wallet_id, attempt)),
        pace: act.settings.top_up_pace(),
        at,
    });
    // Most looks find enough: those are not worth a line in the log.
    if known.decide(look.clone()).is_ok_and(|events| events.is_empty()) {
        return Ok(());
    }
    act.execute::<AutoTopUp>("look", wallet_id, look).await.map(drop)
}

/// Asks for the payment, as long as it is what is in flight. One that is refused has failed before it began.
pub(super) async fn request_top_up(
    act: &Act<'_>,
    wallet_id: &str,
    payment_id: PaymentId,
) -> Result<(), PortError> {
    let known = act.load::<AutoTopUp>(wallet_id).await?;
    let underway = known.in_flight.filter(|attempt| attempt.payment_id == payment_id);
    let (Some(attempt), Some((organisation_id, currency))) = (underway, known.owner) else {
        return Ok(());
    };
    let opened = match &known.payment_method {
        Some(sealed) => act.executor.personal().open(sealed).await?,
        None => None,
    };
    let Some(payment_method) = opened else {
        return decline(act, wallet_id, (payment_id, SUBJECT_ERASED.to_owned())).await;
    };
    let at = act.now();
    let amount_nanos = attempt.amount_nanos;
    let request = match payment_method.parse() {
        Ok(method_id) => match kept(act, organisation_id, method_id).await? {
            Ok(kept) => PaymentCommand::RequestWith {
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                kept,
                at,
            },
            Err(code) => return decline(act, wallet_id, (payment_id, code)).await,
        },
        Err(_) => PaymentCommand::Request {
            payment_id,
            organisation_id,
            currency,
            amount_nanos,
            payment_method: Some(payment_method),
            at,
        },
    };
    match act.execute::<Payment>("request", &payment_id.to_string(), request).await {
        Err(refused) if refused.kind == FailureKind::Refused => {
            decline(act, wallet_id, (payment_id, refused.code)).await
        }
        other => other.map(drop),
    }
}

/// What the provider keeps under one of our ids; the code within says why there is nothing to charge.
async fn kept(
    act: &Act<'_>,
    organisation_id: OrganisationId,
    method_id: PaymentMethodId,
) -> Result<Result<KeptMethod, String>, PortError> {
    let methods = act.load::<PaymentMethods>(&organisation_id.to_string()).await?;
    let kept = match payments::kept(&methods, Some(method_id)) {
        Ok(kept) => kept,
        Err(no) => return Ok(Err(no.code().to_owned())),
    };
    let opened = act.executor.personal().open(&kept.provider_id).await?;
    let kept = opened.map(|provider_id| KeptMethod { provider_id, ..kept });
    Ok(kept.ok_or_else(|| SUBJECT_ERASED.to_owned()))
}

async fn decline(
    act: &Act<'_>,
    wallet_id: &str,
    (payment_id, code): (PaymentId, String),
) -> Result<(), PortError> {
    let decline = AutoTopUpCommand::Decline { payment_id, code, at: act.now() };
    act.execute::<AutoTopUp>("decline", wallet_id, decline).await.map(drop)
}
