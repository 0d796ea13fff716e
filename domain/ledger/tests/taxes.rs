//! The tax in what is charged: what customers pay is taxed, what credit pays for is not, and slices do not matter.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    CreditId, Currency, Decider, HoldId, JournalTransaction, OrganisationId, PaymentId, Posting,
    StoredEvent, TaxRate, Timestamp, chart,
};
use cairn_ledger::{
    CaptureHold, GrantCredit, PlaceHold, TaxPart, TopUp, Wallet, WalletCommand, WalletEvent,
};
use serde_json::json;

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const HOLD: HoldId = HoldId::from_bits(2);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn rate(jurisdiction: &str, ppm: u32) -> Option<TaxRate> {
    Some(TaxRate { jurisdiction: jurisdiction.to_owned(), ppm })
}

fn top_up(amount_nanos: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        payment_id: PaymentId::from_bits(4),
        amount_nanos,
        charge_id: "ch_1".to_owned(),
        at: at(0),
    })
}

fn grant(amount_nanos: i64) -> WalletCommand {
    WalletCommand::GrantCredit(GrantCredit {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        credit_id: CreditId::from_bits(7),
        amount_nanos,
        expires_at: at(10_000),
        reason: "welcome".to_owned(),
        at: at(0),
    })
}

fn place(amount_nanos: i64) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: HOLD,
        purpose: "alloc_1".to_owned(),
        project_id: None,
        amount_nanos,
        expires_at: at(1_000),
        at: at(0),
    })
}

fn capture(total_nanos: i64, tax: Option<TaxRate>) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: HOLD,
        total_nanos,
        seconds: total_nanos,
        product: "compute".to_owned(),
        tax,
        keep_nanos: 0,
        expires_at: at(1_000),
        at: at(1),
    })
}

fn after(commands: impl IntoIterator<Item = WalletCommand>) -> Wallet {
    commands.into_iter().fold(Wallet::default(), |wallet, command| {
        let events = wallet.decide(command).unwrap();
        wallet.evolve_all(events)
    })
}

fn check(history: &[WalletCommand], command: WalletCommand) -> When<Wallet> {
    decide_both_ways(after(history.to_vec()), command)
}

/// The taxes and the journal of each charge among the facts.
fn charges(events: &[WalletEvent]) -> Vec<(Option<TaxPart>, JournalTransaction)> {
    let charge = |event: &WalletEvent| match event {
        WalletEvent::UsageCaptured { tax, journal, .. }
        | WalletEvent::OverrunRecorded { tax, journal, .. } => Some((tax.clone(), journal.clone())),
        _ => None,
    };
    events.iter().filter_map(charge).collect()
}

fn legs<const N: usize>(legs: [(String, i64); N]) -> Vec<Posting> {
    legs.into_iter().map(|(account, amount_nanos)| Posting { account, amount_nanos }).collect()
}

#[test]
fn a_charge_is_income_and_tax() {
    let events = check(&[top_up(1_000), place(500)], capture(119, rate("DE", 190_000))).events();
    let [(Some(part), journal)] = &charges(&events)[..] else { panic!("{events:?}") };
    assert_eq!((part.taxable_nanos, part.tax_nanos), (119, 19));
    let paid = chart::wallet_paid(ORGANISATION, Currency::EUR);
    let expected =
        legs([(paid, 119), ("usage:compute:EUR".to_owned(), -100), ("tax:DE:EUR".to_owned(), -19)]);
    assert_eq!(journal.postings, expected);
}

#[test]
fn what_credit_pays_for_is_not_taxed() {
    let history = [grant(100), top_up(1_000), place(500)];
    let events = check(&history, capture(219, rate("DE", 190_000))).events();
    let [(Some(part), journal)] = &charges(&events)[..] else { panic!("{events:?}") };
    assert_eq!((part.taxable_nanos, part.tax_nanos), (119, 19));
    let (promo, paid) = (
        chart::wallet_promo(ORGANISATION, Currency::EUR),
        chart::wallet_paid(ORGANISATION, Currency::EUR),
    );
    let expected = legs([
        (promo, 100),
        (paid, 119),
        ("usage:compute:EUR".to_owned(), -200),
        ("tax:DE:EUR".to_owned(), -19),
    ]);
    assert_eq!(journal.postings, expected);
    let free = check(&[grant(500), place(500)], capture(119, rate("DE", 190_000))).events();
    let [(Some(part), journal)] = &charges(&free)[..] else { panic!("{free:?}") };
    assert_eq!((part.taxable_nanos, part.tax_nanos, journal.postings.len()), (0, 0, 2));
}

#[test]
fn what_is_owed_is_taxed_too_and_the_sum_of_the_parts_is_that_of_the_whole() {
    let history = [top_up(100), place(100)];
    let events = check(&history, capture(119, rate("DE", 190_000))).events();
    let parts: Vec<_> = charges(&events).into_iter().filter_map(|(part, _)| part).collect();
    let taxes: Vec<_> = parts.iter().map(|part| (part.taxable_nanos, part.tax_nanos)).collect();
    assert_eq!(taxes, [(100, 16), (19, 3)], "100 has 15.97, 119 has 19");
    assert_eq!((parts[1].taxable_total_nanos, parts[1].tax_total_nanos), (119, 19));
}

#[test]
fn a_hundred_slices_are_taxed_as_one() {
    let slices = |step: usize| {
        let ticks = (0..=1_190).step_by(step).skip(1);
        let ticks = ticks.map(|total| capture(i64::from(total), rate("DE", 190_000)));
        after([top_up(2_000), place(2_000)].into_iter().chain(ticks))
    };
    let tax = |wallet: Wallet| wallet.holds[&HOLD.to_string()].taxed.clone().unwrap();
    assert_eq!(tax(slices(1_190)), tax(slices(1)));
    assert_eq!(tax(slices(7)).tax_nanos, 190);
}

#[test]
fn another_rate_counts_from_where_it_begins() {
    let history = [top_up(2_000), place(2_000), capture(119, rate("DE", 190_000))];
    let events = check(&history, capture(239, rate("AT", 200_000))).events();
    let [(Some(part), journal)] = &charges(&events)[..] else { panic!("{events:?}") };
    assert_eq!((part.taxable_total_nanos, part.tax_total_nanos), (120, 20));
    assert_eq!(journal.postings[2].account, "tax:AT:EUR");
    let none = check(&history, capture(239, None)).events();
    let [(None, journal)] = &charges(&none)[..] else { panic!("{none:?}") };
    assert_eq!(journal.postings.len(), 2);
}

#[test]
fn charges_from_before_there_were_taxes_have_none() {
    let journal = json!({ "kind": "usage", "source": "usage", "source_id": "x", "currency": "EUR",
        "occurred_at": at(0), "reverses": null, "postings": [] });
    let charge = |name: &str, more: serde_json::Value| {
        let mut charge = json!({ "type": name, "hold_id": HOLD.to_string(), "amount_nanos": 5,
            "total_nanos": 5, "seconds": 5, "journal": journal });
        let members = charge.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        charge.to_string()
    };
    let captured = charge("wallet.usage_captured", json!({ "credits": [], "lots": [] }));
    let overrun = charge("wallet.overrun_recorded", json!({}));
    for (name, version, text) in
        [("wallet.usage_captured", 2, &captured), ("wallet.overrun_recorded", 1, &overrun)]
    {
        let read = WalletEvent::from_text(name, version, text).unwrap();
        assert_eq!(charges(&[read])[0].0, None);
    }
}
