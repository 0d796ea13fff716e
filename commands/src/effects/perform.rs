//! Which effect is carried out by whom.
use cairn_compute::Step;

use crate::ports::PortError;
use crate::processes::Effect;

use super::{
    Act, assess_funds, charge_usage, collect_payment, compare_inventory, ensure_step, fill_wallet,
    follow_dispute, hold_funds, issue_note, pay_refund, probe_node, reserve_capacity, resize,
    review_late, save_method, send_mail, suspend_tenant, tear_down,
};

/// Carries one effect out.
pub(crate) async fn perform(act: &Act<'_>, effect: &Effect) -> Result<(), PortError> {
    match effect {
        Effect::ReserveCapacity { allocation_id, resources, wanted } => {
            reserve_capacity::reserve_capacity(act, *allocation_id, *resources, *wanted).await
        }
        Effect::HoldFunds(funding) => hold_funds::hold_funds(act, funding).await,
        Effect::EnsureStep { allocation_id, node_id, step } => {
            ensure_step::ensure_step(act, *allocation_id, *node_id, *step).await
        }
        Effect::TearDown { allocation_id, node_id, after } => {
            tear_down::tear_down(act, *allocation_id, *node_id, *after).await
        }
        Effect::CaptureUsage(tick) => charge_usage::capture_usage(act, tick).await,
        Effect::ChargeLate(outage) => charge_usage::charge_late(act, outage).await,
        Effect::ReviewLate(outage) => review_late::review_late(act, outage).await,
        Effect::CorrectCharge { allocation_id } => {
            charge_usage::correct_charge(act, *allocation_id).await
        }
        Effect::IssueNote(off) => issue_note::issue_note(act, off).await,
        Effect::SettleUsage { allocation_id } => {
            charge_usage::settle_usage(act, *allocation_id).await
        }
        Effect::ConfirmReleased { allocation_id } => {
            charge_usage::confirm_released(act, *allocation_id).await
        }
        Effect::SuspendTenant { allocation_id } => {
            suspend_tenant::suspend_tenant(act, *allocation_id).await
        }
        Effect::ResumeTenant { allocation_id } => {
            suspend_tenant::resume_tenant(act, *allocation_id).await
        }
        Effect::ReserveResize { allocation_id } => {
            resize::reserve_resize(act, *allocation_id).await
        }
        Effect::SettleResize { allocation_id } => resize::settle_resize(act, *allocation_id).await,
        Effect::AssessFunds { wallet_id } => assess_funds::assess_funds(act, wallet_id).await,
        Effect::AssessFundsOf { allocation_id } => {
            assess_funds::assess_funds_of(act, *allocation_id).await
        }
        Effect::LookAtWallet { .. }
        | Effect::RequestTopUp { .. }
        | Effect::CreatePayment { .. }
        | Effect::RetrievePayment { .. }
        | Effect::CancelPayment { .. }
        | Effect::RequestRefund { .. }
        | Effect::CreateRefund { .. }
        | Effect::RetrieveRefund { .. }
        | Effect::RetrieveDispute { .. }
        | Effect::CreateSetup { .. }
        | Effect::RetrieveSetup { .. }
        | Effect::DetachMethod { .. }
        | Effect::DeleteCustomer { .. } => ask_provider(act, effect).await,
        Effect::ProbeNode { node_id } => probe_node::probe_node(act, *node_id).await,
        Effect::WatchNode { node_id, suspect_since, seen_at } => {
            let known = probe_node::LastKnown { suspect_since: *suspect_since, seen_at: *seen_at };
            probe_node::watch_node(act, *node_id, known).await
        }
        Effect::CompareInventory { node_id } => {
            compare_inventory::compare_inventory(act, *node_id).await
        }
        Effect::SendMail { letter, until } => send_mail::send_mail(act, letter, *until).await,
    }
}

/// Carries out what the payment provider is asked for, or is about to be.
async fn ask_provider(act: &Act<'_>, effect: &Effect) -> Result<(), PortError> {
    match effect {
        Effect::LookAtWallet { wallet_id } => fill_wallet::look_at_wallet(act, wallet_id).await,
        Effect::RequestTopUp { wallet_id, payment_id } => {
            fill_wallet::request_top_up(act, wallet_id, *payment_id).await
        }
        Effect::CreatePayment { payment_id, payment_method } => {
            collect_payment::create_payment(act, *payment_id, payment_method.as_deref()).await
        }
        Effect::RetrievePayment { payment_id, last } => {
            collect_payment::retrieve_payment(act, *payment_id, *last).await
        }
        Effect::CancelPayment { payment_id } => {
            collect_payment::cancel_payment(act, *payment_id).await
        }
        Effect::RequestRefund { refund_id, payment_id, amount_nanos } => {
            pay_refund::request_refund(act, *refund_id, *payment_id, *amount_nanos).await
        }
        Effect::CreateRefund { refund_id } => pay_refund::create_refund(act, *refund_id).await,
        Effect::RetrieveRefund { refund_id, last } => {
            pay_refund::retrieve_refund(act, *refund_id, *last).await
        }
        Effect::RetrieveDispute { dispute_id, last } => {
            follow_dispute::retrieve_dispute(act, *dispute_id, *last).await
        }
        Effect::CreateSetup { organisation_id, method_id } => {
            save_method::create_setup(act, (*organisation_id, *method_id)).await
        }
        Effect::RetrieveSetup { organisation_id, method_id, last } => {
            save_method::retrieve_setup(act, (*organisation_id, *method_id), *last).await
        }
        Effect::DetachMethod { organisation_id, method_id } => {
            save_method::detach_method(act, (*organisation_id, *method_id)).await
        }
        Effect::DeleteCustomer { customer_id, .. } => save_method::forget(act, customer_id).await,
        other => {
            Err(PortError::permanent("internal", format!("{} asks no provider", other.name())))
        }
    }
}

/// Carries one effect out in a rehearsal, as far as nobody outside is asked. A teardown is taken to find nothing left, and a payment to be
/// collected; whatever else waits for the outside is left out, and what follows from it.
pub(crate) async fn rehearse(act: &Act<'_>, effect: &Effect) -> Result<(), PortError> {
    match effect {
        Effect::ReserveCapacity { .. }
        | Effect::HoldFunds(_)
        | Effect::CaptureUsage(_)
        | Effect::ChargeLate(_)
        | Effect::ReviewLate(_)
        | Effect::CorrectCharge { .. }
        | Effect::IssueNote(_)
        | Effect::SettleUsage { .. }
        | Effect::ConfirmReleased { .. }
        | Effect::ReserveResize { .. }
        | Effect::SettleResize { .. }
        | Effect::AssessFunds { .. }
        | Effect::AssessFundsOf { .. }
        | Effect::LookAtWallet { .. }
        | Effect::RequestTopUp { .. }
        | Effect::RequestRefund { .. } => perform(act, effect).await,
        Effect::TearDown { allocation_id, node_id, after } => {
            let evidence = "taken for granted in a rehearsal".to_owned();
            tear_down::conclude(act, *allocation_id, *node_id, (*after, evidence)).await
        }
        Effect::CreatePayment { payment_id, .. } => {
            collect_payment::take_for_granted(act, *payment_id).await
        }
        Effect::EnsureStep { .. }
        | Effect::SuspendTenant { .. }
        | Effect::ResumeTenant { .. }
        | Effect::RetrievePayment { .. }
        | Effect::CancelPayment { .. }
        | Effect::CreateRefund { .. }
        | Effect::RetrieveRefund { .. }
        | Effect::RetrieveDispute { .. }
        | Effect::CreateSetup { .. }
        | Effect::RetrieveSetup { .. }
        | Effect::DetachMethod { .. }
        | Effect::DeleteCustomer { .. }
        | Effect::ProbeNode { .. }
        | Effect::WatchNode { .. }
        | Effect::CompareInventory { .. }
        | Effect::SendMail { .. } => Ok(()),
    }
}

/// Records what an effect would have recorded, because an operator says that it is done. Only effects whose outcome a
/// person can vouch for have one; the others are just left out.
pub(crate) async fn assume_done(
    act: &Act<'_>,
    effect: &Effect,
    reason: &str,
) -> Result<(), PortError> {
    match effect {
        Effect::EnsureStep { step: Step::Prove, .. } => {
            Err(PortError::permanent("not_provable", "nobody can vouch for a login"))
        }
        Effect::EnsureStep { allocation_id, step, .. } => {
            ensure_step::assume_done(act, *allocation_id, *step, reason).await
        }
        Effect::TearDown { allocation_id, node_id, after } => {
            let evidence = format!("an operator vouches: {reason}");
            tear_down::conclude(act, *allocation_id, *node_id, (*after, evidence)).await
        }
        Effect::SettleUsage { allocation_id } => charge_usage::forgive(act, *allocation_id).await,
        Effect::CreatePayment { payment_id, .. } => {
            collect_payment::give_up(act, *payment_id, reason).await
        }
        Effect::CreateRefund { refund_id } => pay_refund::give_up(act, *refund_id, reason).await,
        Effect::CreateSetup { organisation_id, method_id } => {
            save_method::give_up(act, (*organisation_id, *method_id), reason).await
        }
        Effect::SuspendTenant { allocation_id } => {
            let evidence = format!("an operator vouches: {reason}");
            suspend_tenant::confirm_suspended(act, *allocation_id, evidence).await
        }
        Effect::ResumeTenant { .. } => {
            Err(PortError::permanent("not_provable", "nobody can vouch for a login"))
        }
        Effect::ReserveCapacity { .. }
        | Effect::HoldFunds(_)
        | Effect::CaptureUsage(_)
        | Effect::ChargeLate(_)
        | Effect::ReviewLate(_)
        | Effect::CorrectCharge { .. }
        | Effect::IssueNote(_)
        | Effect::ConfirmReleased { .. }
        | Effect::ReserveResize { .. }
        | Effect::SettleResize { .. }
        | Effect::AssessFunds { .. }
        | Effect::AssessFundsOf { .. }
        | Effect::LookAtWallet { .. }
        | Effect::RequestTopUp { .. }
        | Effect::RetrievePayment { .. }
        | Effect::CancelPayment { .. }
        | Effect::RequestRefund { .. }
        | Effect::RetrieveRefund { .. }
        | Effect::RetrieveDispute { .. }
        | Effect::RetrieveSetup { .. }
        | Effect::DetachMethod { .. }
        | Effect::DeleteCustomer { .. }
        | Effect::ProbeNode { .. }
        | Effect::WatchNode { .. }
        | Effect::CompareInventory { .. }
        | Effect::SendMail { .. } => Ok(()),
    }
}
