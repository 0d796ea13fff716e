//! What a credit note gives back comes into the lots that it was taken from last, once, and never more than was used.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, HoldId, OrganisationId, PaymentId, RefundId, Timestamp};
use cairn_ledger::{
    CaptureHold, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand, WalletEvent,
};
use proptest::prelude::*;

const CENT: i64 = 10_000_000;
const AT: Timestamp = Timestamp::from_secs(1_800_000_000);
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);

fn top_up(n: u128, amount_nanos: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(n),
        amount_nanos,
        charge_id: format!("ch_{n}"),
        at: AT,
    })
}

fn used(total_nanos: i64) -> [WalletCommand; 2] {
    let (hold_id, expires_at) = (HoldId::from_bits(1), AT.plus_secs(3_600));
    let place = PlaceHold {
        hold_id,
        purpose: "alloc".to_owned(),
        project_id: None,
        amount_nanos: total_nanos,
        expires_at,
        at: AT,
    };
    let capture = CaptureHold {
        hold_id,
        total_nanos,
        seconds: 60,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at,
        at: AT,
    };
    [WalletCommand::PlaceHold(place), WalletCommand::CaptureHold(capture)]
}

fn credit(note: &str, net: i64, tax: i64) -> WalletCommand {
    let debits = [("usage:compute:USD", net), ("tax:CH:USD", tax)];
    let debits = debits.into_iter().filter(|debit| debit.1 != 0);
    let debits = debits.map(|(account, nanos)| (account.to_owned(), nanos)).collect();
    WalletCommand::CreditUsage { note: note.to_owned(), debits, at: AT }
}

fn after(history: &[WalletCommand]) -> Wallet {
    history.iter().cloned().fold(Wallet::default(), |state, command| {
        let events = state.decide(command).unwrap();
        state.evolve_all(events)
    })
}

fn ask(history: &[WalletCommand], command: WalletCommand) -> When<Wallet> {
    decide_both_ways(after(history), command)
}

fn lots(wallet: &Wallet) -> Vec<i64> {
    wallet.lots.iter().map(|lot| lot.remaining_nanos / CENT).collect()
}

#[test]
fn it_comes_into_the_lots_that_were_used_last_and_once() {
    let [place, capture] = used(150 * CENT);
    let history = vec![top_up(1, 100 * CENT), top_up(2, 100 * CENT), place, capture];
    assert_eq!(lots(&after(&history)), [0, 50]);
    let note = credit("CN-C-2026-000001", 70 * CENT, 10 * CENT);
    let events = ask(&history, note.clone()).events();
    let [WalletEvent::UsageCredited { amount_nanos, journal, .. }] = &events[..] else { panic!() };
    assert_eq!((*amount_nanos, journal.is_balanced()), (80 * CENT, true));
    assert_eq!((journal.kind.as_str(), journal.postings.len()), ("usage_credited", 3));
    let credited = after(&[history.clone(), vec![note.clone()]].concat());
    assert_eq!(lots(&credited), [30, 100]);
    assert_eq!(credited.posted_nanos, 130 * CENT);
    decide_both_ways(credited, note).then([]);
}

#[test]
fn never_more_than_was_used_comes_back_and_nothing_of_what_was_refunded() {
    let [place, capture] = used(50 * CENT);
    let reserve = WalletCommand::ReserveRefund(ReserveRefund {
        refund_id: RefundId::from_bits(1),
        payment_id: PaymentId::from_bits(1),
        amount_nanos: 50 * CENT,
        reason: "asked".to_owned(),
        at: AT,
    });
    let history = [top_up(1, 100 * CENT), place, capture, reserve];
    ask(&history, credit("CN-C-2026-000001", 51 * CENT, 0)).then_refused("credit_exceeds_usage");
    ask(&history, credit("CN-C-2026-000001", 0, 0)).then_refused("amount_not_positive");
    ask(&history, credit("CN-C-2026-000001", 2, -1)).then_refused("amount_not_positive");
    assert_eq!(ask(&history, credit("CN-C-2026-000001", 50 * CENT, 0)).events().len(), 1);
}

proptest! {
    #[test]
    fn the_lots_are_what_is_posted(
        lots in prop::collection::vec(1..100_i64, 1..6), used_cents in 1..300_i64,
        notes in prop::collection::vec(1..100_i64, 1..6),
    ) {
        let all: i64 = lots.iter().sum();
        let mut history: Vec<_> = (1..).zip(&lots).map(|(n, cents)| top_up(n, cents * CENT)).collect();
        let mut gone = used_cents.min(all);
        history.extend(used(gone * CENT));
        for (n, cents) in notes.into_iter().enumerate() {
            let command = credit(&format!("CN-C-2026-{n:06}"), cents * CENT, 0);
            let wallet = after(&history);
            prop_assert_eq!(wallet.decide(command.clone()).is_ok(), cents <= gone);
            if cents <= gone {
                gone -= cents;
                history.push(command);
            }
            let wallet = after(&history);
            let in_lots: i64 = wallet.lots.iter().map(|lot| lot.remaining_nanos).sum();
            prop_assert_eq!((wallet.posted_nanos, in_lots), ((all - gone) * CENT, in_lots));
            prop_assert_eq!(in_lots, wallet.posted_nanos);
            prop_assert!(wallet.lots.iter().all(|lot| lot.remaining_nanos <= lot.amount_nanos));
        }
    }
}
