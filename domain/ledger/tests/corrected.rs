//! What a correction gives back comes back as it was taken, the last first, and a charge that went up and down ends where one that did not does.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    CreditId, Currency, Decider, HoldId, OrganisationId, PaymentId, Tariff, TaxRate, Timestamp,
};
use cairn_ledger::{
    CaptureHold, CorrectCharge, GrantCredit, Invoiced, OffInvoice, PlaceHold, ReserveRefund, TopUp,
    Wallet, WalletCommand, WalletEvent, off_invoice,
};
use proptest::prelude::*;

const CENT: i64 = 10_000_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const HOLD: HoldId = HoldId::from_bits(1);

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn top_up(n: u128, amount_nanos: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        payment_id: PaymentId::from_bits(n),
        amount_nanos,
        charge_id: format!("ch_{n}"),
        at: at(0),
    })
}

fn grant(amount_nanos: i64) -> WalletCommand {
    WalletCommand::GrantCredit(GrantCredit {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        credit_id: CreditId::from_bits(1),
        amount_nanos,
        expires_at: at(1_000),
        reason: "welcome".to_owned(),
        at: at(0),
    })
}

fn place(amount_nanos: i64) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: HOLD,
        purpose: "alloc".to_owned(),
        project_id: None,
        amount_nanos,
        expires_at: at(3_600),
        at: at(0),
    })
}

fn capture(total_nanos: i64, ppm: u32) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: HOLD,
        total_nanos,
        seconds: 60,
        product: "compute".to_owned(),
        tax: (ppm > 0).then(|| TaxRate { jurisdiction: "DE".to_owned(), ppm }),
        keep_nanos: 0,
        expires_at: at(3_600),
        at: at(1),
    })
}

fn correct(total_nanos: i64, now: i64) -> WalletCommand {
    WalletCommand::CorrectCharge(CorrectCharge {
        hold_id: HOLD,
        total_nanos,
        seconds: 30,
        product: "compute".to_owned(),
        charged_at: None,
        invoiced: None,
        at: at(now),
    })
}

fn after(history: &[WalletCommand]) -> Wallet {
    history.iter().cloned().fold(Wallet::default(), |state, command| {
        let events = state.decide(command).unwrap();
        state.evolve_all(events)
    })
}

fn check(history: &[WalletCommand], command: WalletCommand) -> When<Wallet> {
    decide_both_ways(after(history), command)
}

/// Owed no longer, granted again, paid again, and the legs of its entry.
fn given(events: &[WalletEvent]) -> (i64, i64, i64, Vec<(String, i64)>) {
    let [WalletEvent::UsageCorrected { owed_nanos, credits, lots, journal, .. }, ..] = events
    else {
        panic!("{events:?}")
    };
    assert!(journal.is_balanced() && journal.kind == "usage_corrected", "{journal:?}");
    let legs = journal.postings.iter().map(|leg| (leg.account.clone(), leg.amount_nanos));
    let lots = lots.iter().map(|lot| lot.amount_nanos).sum();
    (*owed_nanos, cairn_ledger::used(credits), lots, legs.collect())
}

#[test]
fn what_was_taken_last_comes_back_first_and_each_as_what_it_was() {
    let history = [grant(4 * CENT), top_up(1, 6 * CENT), place(10 * CENT), capture(15 * CENT, 0)];
    let back = |total: i64| {
        let (owed, granted, paid, _) = given(&check(&history, correct(total * CENT, 2)).events());
        (owed / CENT, granted / CENT, paid / CENT)
    };
    assert_eq!((back(12), back(8), back(1)), ((3, 0, 0), (5, 0, 2), (5, 3, 6)));
    let wallet = after(&[&history[..], &[correct(CENT, 2)]].concat());
    assert_eq!((wallet.posted_nanos, wallet.promotional.posted_nanos()), (6 * CENT, 3 * CENT));
    assert_eq!((wallet.available_nanos(), wallet.held_nanos), (9 * CENT, 0));
    assert_eq!(wallet.holds[&HOLD.to_string()].charged_nanos(), CENT);
}

#[test]
fn the_tax_in_it_comes_back_with_what_it_was_in() {
    let history = [top_up(1, 500), place(300), capture(238, 190_000)];
    let (_, _, _, legs) = given(&check(&history, correct(119, 2)).events());
    let paid = format!("wallet:paid:{ORGANISATION}:EUR");
    let expected = [("usage:compute:EUR", 100), (paid.as_str(), -119), ("tax:DE:EUR", 19)];
    assert_eq!(legs, expected.map(|(account, nanos)| (account.to_owned(), nanos)));
    let again = [&history[..], &[correct(119, 2), capture(238, 190_000)]].concat();
    assert_eq!(
        after(&again).holds[&HOLD.to_string()].taxed,
        after(&history).holds[&HOLD.to_string()].taxed
    );
}

/// The same, of what is on an invoice.
fn correct_invoiced(total_nanos: i64, now: i64) -> WalletCommand {
    let WalletCommand::CorrectCharge(correct) = correct(total_nanos, now) else { panic!() };
    let invoiced = Some(Invoiced { invoice: "CN-2027-000001".to_owned(), seconds: 30, line: None });
    WalletCommand::CorrectCharge(CorrectCharge { invoiced, ..correct })
}

#[test]
fn what_is_on_an_invoice_is_dated_now_and_counts_in_no_month() {
    let history = [grant(4 * CENT), top_up(1, 6 * CENT), place(10 * CENT), capture(15 * CENT, 0)];
    let after_one = after(&[&history[..], &[correct_invoiced(8 * CENT, 9)]].concat());
    let events = check(&history, correct_invoiced(8 * CENT, 9)).events();
    let [event @ WalletEvent::UsageCorrected { journal, .. }] = &events[..] else { panic!() };
    assert_eq!((journal.kind.as_str(), journal.occurred_at), ("invoice_corrected", at(9)));
    let entry = format!("{HOLD}:{}:{}:CN-2027-000001", 8 * CENT, 7 * CENT);
    assert_eq!(
        off_invoice(event),
        Some(OffInvoice {
            invoiced: Invoiced { invoice: "CN-2027-000001".to_owned(), seconds: 30, line: None },
            entry,
            hold_id: HOLD,
            net_nanos: 7 * CENT,
            tax: None,
            owed_nanos: 5 * CENT,
        })
    );
    let before = after(&history);
    assert_eq!(after_one.spending, before.spending, "its month is over");
    let charged_at = |wallet: &Wallet| wallet.holds[&HOLD.to_string()].charged_at;
    assert_eq!(charged_at(&after_one), charged_at(&before));
    assert_eq!(after_one.posted_nanos - before.posted_nanos, 2 * CENT);
}

#[test]
fn its_paper_says_what_was_taxed_and_nothing_of_promotional_credit() {
    let history = [top_up(1, 500), place(300), capture(238, 190_000)];
    let events = check(&history, correct_invoiced(119, 2)).events();
    let off = off_invoice(&events[0]).unwrap();
    assert_eq!((off.net_nanos, off.tax), (100, Some(("DE".to_owned(), 19))));
    // On no invoice: no paper.
    assert_eq!(off_invoice(&check(&history, correct(119, 2)).events()[0]), None);
    let given = [grant(50), place(50), capture(50, 0)];
    assert_eq!(off_invoice(&check(&given, correct_invoiced(20, 2)).events()[0]), None);
}

#[test]
fn what_was_charged_before_the_last_charge_is_dated_then() {
    let history = [top_up(1, 500), place(300), capture(238, 0)];
    let WalletCommand::CorrectCharge(wish) = correct(119, 2) else { panic!() };
    let charged_at = Some(at(-90));
    let earlier = WalletCommand::CorrectCharge(CorrectCharge { charged_at, ..wish });
    let events = check(&history, earlier).events();
    let WalletEvent::UsageCorrected { journal, .. } = &events[0] else { panic!() };
    assert_eq!((journal.kind.as_str(), journal.occurred_at), ("usage_corrected", at(-90)));
}

#[test]
fn a_repeat_gives_nothing_back_and_a_charge_goes_on_from_there() {
    let history = [top_up(1, 100), place(50), capture(40, 0), correct(30, 2)];
    check(&history, correct(30, 2)).then([]);
    check(&history, correct(35, 2)).then([]);
    check(&history, capture(30, 0)).then([]);
    let events = check(&history, capture(40, 0)).events();
    let [.., WalletEvent::UsageCaptured { journal, amount_nanos, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*amount_nanos, journal.source_id.as_str()), (10, &*format!("{HOLD}:40:10")));
}

#[test]
fn it_comes_back_after_the_rental_is_over() {
    let released = WalletCommand::ReleaseHold { hold_id: HOLD, at: at(2) };
    let history = [top_up(1, 100), place(50), capture(40, 0), released];
    let wallet = after(&[&history[..], &[correct(25, 3)]].concat());
    assert_eq!((wallet.posted_nanos, wallet.available_nanos()), (75, 75));
    check(&history, correct(-1, 3)).then_refused("credit_exceeds_usage");
}

#[test]
fn credit_whose_time_is_over_ends_when_it_comes_back() {
    let history = [grant(50), place(50), capture(50, 0)];
    let events = check(&history, correct(20, 2_000)).events();
    let [WalletEvent::UsageCorrected { .. }, WalletEvent::CreditExpired { amount_nanos, .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*amount_nanos, 30);
}

#[test]
fn a_payment_takes_back_no_more_than_is_gone_of_it() {
    let note = |n: &str, amount_nanos| WalletCommand::CreditUsage {
        note: n.to_owned(),
        debits: vec![("usage:compute:EUR".to_owned(), amount_nanos)],
        at: at(1),
    };
    let refund = WalletCommand::ReserveRefund(ReserveRefund {
        refund_id: cairn_core::RefundId::from_bits(1),
        payment_id: PaymentId::from_bits(2),
        amount_nanos: 5 * CENT,
        reason: "asked".to_owned(),
        at: at(1),
    });
    let used =
        [top_up(1, 10 * CENT), top_up(2, 10 * CENT), place(15 * CENT), capture(15 * CENT, 0)];
    let history = [&used[..], &[refund, note("N", 5 * CENT)]].concat();
    // The note gave back what the second payment had paid: the correction goes on with the first.
    let (_, _, paid, _) = given(&check(&history, correct(12 * CENT, 2)).events());
    assert_eq!(paid, 3 * CENT);
    let lots = after(&[&history[..], &[correct(12 * CENT, 2)]].concat()).lots;
    let left: Vec<_> = lots.iter().map(|lot| lot.remaining_nanos / CENT).collect();
    assert_eq!(left, [3, 5]);
    check(&history, correct(4 * CENT, 2)).then_refused("credit_exceeds_usage");
}

proptest! {
    #[test]
    fn ups_and_downs_in_any_order_end_where_one_charge_does(
        nanos_per_hour in 1..10_000_000_000_i64,
        granted in 0..5_000_000_000_i64,
        paid in 0..200_000_000_000_i64,
        steps in prop::collection::vec((any::<bool>(), 0..50_000_i64), 0..20),
        seconds in 0..50_000_i64,
        ppm in prop_oneof![Just(0_u32), Just(190_000)],
    ) {
        let tariff = Tariff::flat(nanos_per_hour);
        let total = |seconds| tariff.total(seconds).unwrap();
        let begun = [grant(granted + 1), top_up(1, paid + 1), place(granted + 1)];
        let (mut now, mut often) = (0, begun.to_vec());
        for (up, step) in steps {
            now = if up { now.max(step) } else { now.min(step) };
            often.push(if up { capture(total(now), ppm) } else { correct(total(now), 1) });
        }
        often.extend([capture(total(seconds), ppm), correct(total(seconds), 1)]);
        let (once, often) = (after(&[&begun[..], &[capture(total(seconds), ppm)]].concat()), after(&often));
        let hold = |wallet: &Wallet| wallet.holds[&HOLD.to_string()].clone();
        prop_assert_eq!(hold(&often).charged_nanos(), total(seconds));
        prop_assert_eq!(often.posted_nanos, once.posted_nanos, "paid money");
        let credit = |wallet: &Wallet| wallet.promotional.posted_nanos();
        prop_assert_eq!(credit(&often), credit(&once), "promotional credit");
        let tax = |wallet: &Wallet| hold(wallet).taxed.map_or(0, |taxed| taxed.tax_nanos);
        prop_assert_eq!(tax(&often), tax(&once), "tax");
    }
}
