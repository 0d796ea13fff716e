//! Webhooks come twice, late and in any order: the end is the same.
use cairn_core::{Currency, Decider, OrganisationId, PaymentId, RefundId, Timestamp};
use cairn_payments::{Payment, PaymentCommand, Refund, RefundCommand, RefundStatus};
use proptest::prelude::*;

const AMOUNT: i64 = 10_000_000_000;
const AT: Timestamp = Timestamp::from_secs(1_000);

/// The state after commands of which any may be refused, and what was written into the books, by reference.
fn told<A: Decider>(commands: Vec<A::Command>) -> (A, Vec<(String, String)>) {
    let (mut state, mut books) = (A::default(), vec![]);
    for command in commands {
        for event in state.decide(command).unwrap_or_default() {
            state = state.evolve(event.clone());
            if let Some(journal) = state.book_entry(&event).and_then(|entry| entry.journal) {
                assert!(journal.is_balanced());
                books.push((journal.source, journal.source_id));
            }
        }
    }
    books.sort();
    (state, books)
}

fn payment() -> Vec<PaymentCommand> {
    let (provider_id, charge_id) = ("pi_1".to_owned(), "ch_1".to_owned());
    vec![
        PaymentCommand::Request {
            payment_id: PaymentId::from_bits(1),
            organisation_id: OrganisationId::from_bits(1),
            currency: Currency::EUR,
            amount_nanos: AMOUNT,
            payment_method: None,
            at: AT,
        },
        PaymentCommand::Submit { provider_id: provider_id.clone(), at: AT },
        PaymentCommand::Succeed { provider_id, charge_id, amount_nanos: AMOUNT, at: AT },
        PaymentCommand::RecordFee {
            balance_transaction_id: "txn_1".to_owned(),
            fee_nanos: 1,
            at: AT,
        },
    ]
}

fn refund(fails: bool) -> Vec<RefundCommand> {
    let provider_id = "re_1".to_owned();
    let mut commands = vec![
        RefundCommand::Request {
            refund_id: RefundId::from_bits(1),
            payment_id: PaymentId::from_bits(1),
            organisation_id: OrganisationId::from_bits(1),
            currency: Currency::EUR,
            amount_nanos: AMOUNT,
            charge_id: "ch_1".to_owned(),
            at: AT,
        },
        RefundCommand::Submit { provider_id: provider_id.clone(), at: AT },
        RefundCommand::Succeed { provider_id, amount_nanos: AMOUNT, at: AT },
    ];
    if fails {
        commands.push(RefundCommand::Fail { code: "lost".to_owned(), at: AT });
    }
    commands
}

/// The first command, then the rest in any order with repeats, then once more in order, as redelivery does.
fn shuffled<C: Clone>(commands: &[C], picks: &[prop::sample::Index]) -> Vec<C> {
    let (first, rest) = (&commands[..1], &commands[1..]);
    let any = picks.iter().map(|pick| pick.get(rest).clone());
    first.iter().cloned().chain(any).chain(rest.iter().cloned()).collect()
}

proptest! {
    #[test]
    fn a_payment_ends_the_same(picks: Vec<prop::sample::Index>) {
        let (in_order, books) = told::<Payment>(payment());
        prop_assert_eq!(told::<Payment>(shuffled(&payment(), &picks)), (in_order, books.clone()));
        prop_assert_eq!(books.len(), 1);
    }

    #[test]
    fn a_refund_ends_the_same(picks: Vec<prop::sample::Index>) {
        let (in_order, books) = told::<Refund>(refund(false));
        prop_assert_eq!(told::<Refund>(shuffled(&refund(false), &picks)), (in_order, books));
    }

    #[test]
    fn a_refund_that_fails_leaves_nothing_in_the_books(picks: Vec<prop::sample::Index>) {
        let (state, books) = told::<Refund>(shuffled(&refund(true), &picks));
        prop_assert_eq!(state.status, RefundStatus::Failed);
        prop_assert!(books.is_empty() || books.len() == 2, "paid and reversed, or neither: {:?}", books);
    }
}
