//! From facts about what an organisation pays with back to the wish that they answered.
use cairn_payments::{MethodCommand, MethodEvent, PaymentMethods};

use super::inverse::Inverse;

impl Inverse for PaymentMethods {
    fn command_of(&self, facts: &[MethodEvent]) -> Option<MethodCommand> {
        use MethodCommand as C;
        use MethodEvent as E;
        let command = match facts.first()?.clone() {
            E::Requested { method_id, organisation_id, payment_method, at } => {
                C::Request { method_id, organisation_id, payment_method, at }
            }
            E::CustomerMade { customer_id, at } => C::KnowCustomer { customer_id, at },
            E::Submitted { method_id, setup_id, at } => C::Submit { method_id, setup_id, at },
            E::Saved { method_id, provider_id, details, at, .. } => {
                C::Save { method_id, provider_id, details, at }
            }
            E::Failed { method_id, code, message, at } => C::Fail { method_id, code, message, at },
            E::MadeDefault { method_id, at } => C::MakeDefault { method_id, at },
            E::Removed { method_id, at, .. } => C::Remove { method_id, at },
            E::Detached { method_id, at } => C::ConfirmDetached { method_id, at },
        };
        Some(command)
    }
}
