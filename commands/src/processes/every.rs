//! Every process manager.
use std::sync::Arc;

use super::manager::{AnyManager, Erased};
use super::{
    charge_top_up, credit_invoice, drain_node, dunning, expire_credit, expire_hold, fill_wallet,
    forget_customer, meter_usage, refund_payment, release_node, rent_node, resize_tenant,
    save_method, send_mail, settle_dispute, suspend_tenant, top_up, verify_node,
};

/// Every process manager.
#[must_use]
pub fn all() -> Vec<Arc<dyn AnyManager>> {
    vec![
        Arc::new(Erased::<top_up::TopUp>::new()),
        Arc::new(Erased::<fill_wallet::FillWallet>::new()),
        Arc::new(Erased::<charge_top_up::ChargeTopUp>::new()),
        Arc::new(Erased::<rent_node::RentNode>::new()),
        Arc::new(Erased::<meter_usage::MeterUsage>::new()),
        Arc::new(Erased::<dunning::Dunning>::new()),
        Arc::new(Erased::<suspend_tenant::SuspendTenant>::new()),
        Arc::new(Erased::<resize_tenant::ResizeTenant>::new()),
        Arc::new(Erased::<release_node::ReleaseNode>::new()),
        Arc::new(Erased::<refund_payment::RefundPayment>::new()),
        Arc::new(Erased::<settle_dispute::SettleDispute>::new()),
        Arc::new(Erased::<save_method::SaveMethod>::new()),
        Arc::new(Erased::<forget_customer::ForgetCustomer>::new()),
        Arc::new(Erased::<credit_invoice::CreditInvoice>::new()),
        Arc::new(Erased::<drain_node::DrainNode>::new()),
        Arc::new(Erased::<expire_hold::ExpireHold>::new()),
        Arc::new(Erased::<expire_credit::ExpireCredit>::new()),
        Arc::new(Erased::<verify_node::VerifyNode>::new()),
        Arc::new(Erased::<send_mail::SendMail>::new()),
    ]
}
