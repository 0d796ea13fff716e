//! What an organisation pays with: saved once, of one organisation, one of them the default.
#![allow(clippy::unwrap_used, reason = "a test")]
use cairn_core::{Decider, OrganisationId, PaymentMethodId, Timestamp};
use cairn_payments::method::METHODS_MAX;
use cairn_payments::{
    MethodCommand as C, MethodDetails, MethodError, MethodEvent, MethodStatus, PaymentMethods,
};

const AT: Timestamp = Timestamp::from_secs(1_700_000_000);
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);

fn id(number: u128) -> PaymentMethodId {
    PaymentMethodId::from_bits(number)
}

fn request(number: u128) -> C {
    let payment_method = Some("pm_card_visa".to_owned());
    C::Request { method_id: id(number), organisation_id: ORGANISATION, payment_method, at: AT }
}

fn save(number: u128) -> C {
    let details = MethodDetails {
        kind: "card".to_owned(),
        brand: "visa".to_owned(),
        last4: "4242".to_owned(),
        expires: Some("2031-04".to_owned()),
    };
    C::Save { method_id: id(number), provider_id: format!("pm_{number}"), details, at: AT }
}

fn fail(number: u128) -> C {
    let (code, message) = ("card_declined".to_owned(), "no".to_owned());
    C::Fail { method_id: id(number), code, message, at: AT }
}

fn submit(number: u128, setup: &str) -> C {
    C::Submit { method_id: id(number), setup_id: setup.to_owned(), at: AT }
}

fn remove(number: u128) -> C {
    C::Remove { method_id: id(number), at: AT }
}

fn after(commands: impl IntoIterator<Item = C>) -> PaymentMethods {
    commands.into_iter().fold(PaymentMethods::default(), |state, command| {
        let events = state.decide(command).unwrap();
        events.into_iter().fold(state, Decider::evolve)
    })
}

#[test]
fn the_first_one_is_the_default_until_another_is_made_it() {
    let two = after([request(1), save(1), request(2), save(2)]);
    assert_eq!(two.default_id, Some(id(1)));
    let other = C::MakeDefault { method_id: id(2), at: AT };
    let changed = two.decide(other.clone()).unwrap();
    assert_eq!(changed, [MethodEvent::MadeDefault { method_id: id(2), at: AT }]);
    let two = changed.into_iter().fold(two, Decider::evolve);
    assert_eq!(two.decide(other), Ok(vec![]), "it is already");
}

#[test]
fn without_its_default_the_one_that_was_kept_longest_is_it() {
    let three = [request(1), save(1), request(2), save(2), request(3), save(3)];
    let left = after(three.into_iter().chain([remove(1)]));
    assert_eq!(left.default_id, Some(id(2)));
    assert_eq!(left.shown().map(|it| it.method_id).collect::<Vec<_>>(), [id(2), id(3)]);
    assert_eq!(left.saved(id(1)), Err(MethodError::Unknown), "nobody pays with it any more");
    assert_eq!(left.find(id(1)).unwrap().provider_id.as_deref(), Some("pm_1"), "to be detached");
    let detached = C::ConfirmDetached { method_id: id(1), at: AT };
    let events = left.decide(detached.clone()).unwrap();
    let left = events.into_iter().fold(left, Decider::evolve);
    assert_eq!((left.find(id(1)), left.decide(detached)), (None, Ok(vec![])));
    let none = after([request(1), save(1), remove(1)]);
    assert_eq!(none.default_id, None);
}

#[test]
fn what_is_reported_twice_happens_once_and_a_success_outlives_a_failure() {
    let pending = after([request(1), submit(1, "seti_1")]);
    assert_eq!(pending.find(id(1)).unwrap().status, MethodStatus::Pending);
    assert_eq!(pending.decide(submit(1, "seti_1")), Ok(vec![]));
    assert!(matches!(
        pending.decide(submit(1, "seti_2")),
        Err(MethodError::ProviderMismatch { .. })
    ));
    let failed = after([request(1), submit(1, "seti_1"), fail(1)]);
    assert_eq!(failed.decide(fail(1)), Ok(vec![]));
    let saved = after([request(1), submit(1, "seti_1"), fail(1), save(1)]);
    assert_eq!(saved.find(id(1)).unwrap().failure, None);
    assert_eq!(saved.decide(save(1)), Ok(vec![]));
    assert_eq!(saved.decide(fail(1)), Err(MethodError::WrongState(MethodStatus::Saved)));
}

#[test]
fn only_what_is_saved_is_charged_made_the_default_or_removed() {
    let asked = after([request(1)]);
    let wrong = Err(MethodError::WrongState(MethodStatus::Requested));
    assert_eq!(asked.saved(id(1)).map(|_| ()), wrong);
    assert_eq!(asked.decide(C::MakeDefault { method_id: id(1), at: AT }).map(|_| ()), wrong);
    assert_eq!(asked.decide(remove(1)).map(|_| ()), wrong);
    assert_eq!(asked.decide(remove(2)), Err(MethodError::Unknown));
    let failed = after([request(1), fail(1), remove(1)]);
    assert_eq!(failed.find(id(1)), None, "the provider keeps nothing of it");
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    let many = u128::try_from(METHODS_MAX).unwrap();
    let full = after((1..=many).map(request));
    assert_eq!(full.decide(request(many + 1)), Err(MethodError::Full));
    assert_eq!(full.decide(request(1)), Ok(vec![]), "the same wish again");
    let failed = after((1..=3 * many).flat_map(|n| [request(n), fail(n)]));
    assert_eq!(failed.methods.len(), METHODS_MAX, "the latest failures are remembered");
    let foreign = C::Request {
        method_id: id(99),
        organisation_id: OrganisationId::from_bits(2),
        payment_method: None,
        at: AT,
    };
    assert_eq!(full.decide(foreign), Err(MethodError::IdReused));
}

#[test]
fn the_first_customer_stays() {
    let know = |id: &str| C::KnowCustomer { customer_id: id.to_owned(), at: AT };
    let known = after([request(1), know("cus_1")]);
    assert_eq!(known.decide(know("cus_2")), Ok(vec![]));
    assert_eq!(known.customer_id.as_deref(), Some("cus_1"));
}
