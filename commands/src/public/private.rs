//! What nobody outside hears of: who may do what, who was forgotten, how the books are checked, who is on the papers made of them, what customers pay with, what is owed to a state, who pays less,
//! and what operators do.
use cairn_catalog::{Discounts, TaxTable};
use cairn_core::Decider as _;
use cairn_finance::{Billing, BreakCase, LegalEntity, Period};
use cairn_identity::{ApiKey, EmailAddress, Erasure, Organisation, User};
use cairn_operations::{Configuration, FeatureFlag, Intervention};
use cairn_payments::PaymentMethods;

/// Aggregates of which no event is public.
pub(super) const TYPES: [&str; 15] = [
    ApiKey::TYPE,
    Billing::TYPE,
    BreakCase::TYPE,
    Configuration::TYPE,
    Discounts::TYPE,
    EmailAddress::TYPE,
    Erasure::TYPE,
    FeatureFlag::TYPE,
    Intervention::TYPE,
    LegalEntity::TYPE,
    Organisation::TYPE,
    PaymentMethods::TYPE,
    Period::TYPE,
    TaxTable::TYPE,
    User::TYPE,
];
