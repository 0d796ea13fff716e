//! Any event by the name of its aggregate: whether it can be read.
use cairn_catalog::{Discounts, Sku, TaxTable};
use cairn_compute::Allocation;
use cairn_core::Decider;
use cairn_event_log::{LogError, Recorded};
use cairn_finance::{Billing, BreakCase, CreditNoteSeries, InvoiceSeries, LegalEntity, Period};
use cairn_fleet::Node;
use cairn_identity::{ApiKey, EmailAddress, Organisation, User};
use cairn_ledger::{Dunning, Wallet};
use cairn_notify::WebhookEndpoint;
use cairn_operations::{Configuration, FeatureFlag, Intervention};
use cairn_payments::{AutoTopUp, Dispute, Payment, PaymentMethods, Payout, Refund};

/// Whether an event is what its type and version say. Of a type of aggregate that this program does not know nothing can be said, and no
/// view reads it. What was read is kept with the event.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(event: &Recorded) -> Result<(), LogError> {
    fn of<A: Decider>(event: &Recorded) -> Result<(), LogError> {
        event.decoded::<A::Event>().map(drop)
    }
    match event.aggregate_type.as_str() {
        Allocation::TYPE => of::<Allocation>(event),
        ApiKey::TYPE => of::<ApiKey>(event),
        AutoTopUp::TYPE => of::<AutoTopUp>(event),
        Billing::TYPE => of::<Billing>(event),
        BreakCase::TYPE => of::<BreakCase>(event),
        Configuration::TYPE => of::<Configuration>(event),
        CreditNoteSeries::TYPE => of::<CreditNoteSeries>(event),
        Discounts::TYPE => of::<Discounts>(event),
        Dispute::TYPE => of::<Dispute>(event),
        Dunning::TYPE => of::<Dunning>(event),
        EmailAddress::TYPE => of::<EmailAddress>(event),
        FeatureFlag::TYPE => of::<FeatureFlag>(event),
        Intervention::TYPE => of::<Intervention>(event),
        InvoiceSeries::TYPE => of::<InvoiceSeries>(event),
        LegalEntity::TYPE => of::<LegalEntity>(event),
        Node::TYPE => of::<Node>(event),
        Organisation::TYPE => of::<Organisation>(event),
        Payment::TYPE => of::<Payment>(event),
        PaymentMethods::TYPE => of::<PaymentMethods>(event),
        Payout::TYPE => of::<Payout>(event),
        Period::TYPE => of::<Period>(event),
        Refund::TYPE => of::<Refund>(event),
        Sku::TYPE => of::<Sku>(event),
        TaxTable::TYPE => of::<TaxTable>(event),
        User::TYPE => of::<User>(event),
        Wallet::TYPE => of::<Wallet>(event),
        WebhookEndpoint::TYPE => of::<WebhookEndpoint>(event),
        _ => event.check(),
    }
}
