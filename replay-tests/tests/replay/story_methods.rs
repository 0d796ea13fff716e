//! What an organisation pays with in the story: kept, refused, made the default, charged, removed.
use cairn_core::{Currency, OrganisationId, PaymentId, PaymentMethodId};
use cairn_payments::{
    KeptMethod, MethodCommand, MethodDetails, Payment, PaymentCommand, PaymentMethods, WaitsFor,
};

use super::story::{Teller, at, text};

const PAYING: OrganisationId = OrganisationId::from_bits(31);
const UNIT: i64 = 1_000_000_000;

fn request(number: u128) -> MethodCommand {
    MethodCommand::Request {
        method_id: PaymentMethodId::from_bits(number),
        organisation_id: PAYING,
        payment_method: (number != 2).then(|| text("pm_card_visa")),
        at: at(4_000),
    }
}

fn kept(number: u128) -> [MethodCommand; 2] {
    let method_id = PaymentMethodId::from_bits(number);
    let details = MethodDetails {
        kind: text("card"),
        brand: text("visa"),
        last4: text("4242"),
        expires: (number == 1).then(|| text("2031-04")),
    };
    let submit =
        MethodCommand::Submit { method_id, setup_id: format!("seti_{number}"), at: at(4_001) };
    let provider_id = format!("pm_{number}");
    [submit, MethodCommand::Save { method_id, provider_id, details, at: at(4_002) }]
}

fn methods() -> Vec<MethodCommand> {
    let [one, two, three] = [1, 2, 3].map(PaymentMethodId::from_bits);
    let (code, message) = (text("card_declined"), text("no"));
    let mut all = vec![request(1)];
    all.push(MethodCommand::KnowCustomer { customer_id: text("cus_1"), at: at(4_000) });
    all.extend(kept(1));
    all.push(request(2));
    all.extend(kept(2));
    all.push(MethodCommand::MakeDefault { method_id: two, at: at(4_003) });
    all.push(request(3));
    all.push(MethodCommand::Fail { method_id: three, code, message, at: at(4_004) });
    all.push(MethodCommand::Remove { method_id: one, at: at(4_005) });
    all.push(MethodCommand::ConfirmDetached { method_id: one, at: at(4_006) });
    all
}

/// All of it.
pub fn tell(teller: &mut Teller) {
    teller.tell::<PaymentMethods>(&PAYING.to_string(), methods());
    let payment_id = PaymentId::from_bits(31);
    let request = PaymentCommand::RequestWith {
        payment_id,
        organisation_id: PAYING,
        currency: Currency::USD,
        amount_nanos: 20 * UNIT,
        kept: KeptMethod {
            method_id: PaymentMethodId::from_bits(2),
            customer_id: text("cus_1"),
            provider_id: text("pm_2"),
        },
        at: at(4_010),
    };
    let submit = PaymentCommand::Submit { provider_id: text("pi_31"), at: at(4_011) };
    let wait = |waits_for| PaymentCommand::Wait { waits_for, at: at(4_012) };
    let waits = [wait(WaitsFor::Customer), wait(WaitsFor::Bank)];
    let (code, message) = (text("insufficient_funds"), text("no"));
    let fail = PaymentCommand::Fail { code, message, at: at(4_013) };
    let all = [request, submit].into_iter().chain(waits).chain([fail]);
    teller.tell::<Payment>(&payment_id.to_string(), all);
}
