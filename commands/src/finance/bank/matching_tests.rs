//! Payouts against lines of the bank: what is found, and what raises no alarm.
use cairn_core::Timestamp;
use cairn_finance::BreakType;
use cairn_finance::statement::plus_days;

use super::{BankFacts, BankLine, Covered, Matched, Payout};

fn on(day: i64) -> Timestamp {
    plus_days(Timestamp::from_secs(0), day)
}

fn payout(id: &str, amount_nanos: i64, day: i64, trace: Option<&str>) -> Payout {
    Payout {
        provider_id: id.to_owned(),
        transaction_id: format!("txn_{id}"),
        currency: "USD".to_owned(),
        amount_nanos,
        descriptor: Some("ACME PAY".to_owned()),
        trace: trace.map(str::to_owned),
        arrives_on: on(day),
        returned: None,
        arrived_by: None,
        taken_back_by: None,
    }
}

fn line(reference: &str, amount_nanos: i64, day: i64, text: &str) -> BankLine {
    BankLine {
        account: "main".to_owned(),
        currency: "USD".to_owned(),
        reference: reference.to_owned(),
        amount_nanos,
        booked_on: on(day),
        valued_on: on(day),
        end_to_end: None,
        text: text.to_owned(),
    }
}

fn covered(account: &str, first: i64, last: i64) -> Covered {
    let (account, currency) = (account.to_owned(), "USD".to_owned());
    Covered { account, currency, days: (on(first), on(last)) }
}

type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The pairs, and what is wrong with which payout or line.
fn check(facts: &BankFacts) -> (Pairs<'_>, Vec<(BreakType, String)>) {
    let Matched { pairs, breaks, .. } = Matched::of(facts);
    let pairs = pairs.into_iter();
    let pairs = pairs.map(|(payout, line)| (&*payout.provider_id, &*line.reference)).collect();
    let about = |found: super::Break| found.item.source_id.or(found.item.reference).unwrap();
    let broken = breaks.into_iter().map(|found| (found.break_type, about(found))).collect();
    (pairs, broken)
}

#[test]
fn a_reference_comes_before_an_amount_and_a_name_before_none() {
    let facts = BankFacts {
        payouts: vec![payout("po_1", 5, 10, Some("tr9")), payout("po_2", 5, 10, None)],
        lines: vec![
            line("a", 5, 10, "who knows"),
            line("b", 5, 11, "acme-pay"),
            line("c", 5, 40, "x TR9"),
        ],
        covered: vec![covered("main", 0, 60)],
    };
    assert_eq!(check(&facts), (vec![("po_1", "c"), ("po_2", "b")], vec![]));
}

#[test]
fn the_reference_may_be_the_banks_own_or_that_of_whoever_paid() {
    for place in 0..3 {
        let mut line = line("a", 5, 10, if place == 0 { "no. tr9." } else { "" });
        line.end_to_end = (place == 1).then(|| "TR9".to_owned());
        line.reference = if place == 2 { "tr9" } else { "a" }.to_owned();
        let (payouts, lines) = (vec![payout("po_1", 6, 10, Some("tr9"))], vec![line]);
        let facts = BankFacts { payouts, lines, covered: vec![covered("main", 0, 60)] };
        let (pairs, broken) = check(&facts);
        assert_eq!((pairs, broken), (vec![], vec![(BreakType::BankAmount, "po_1".to_owned())]));
    }
}

#[test]
fn equal_amounts_go_to_the_payouts_in_the_order_in_which_they_are_due() {
    let facts = BankFacts {
        payouts: vec![payout("po_2", 5, 12, None), payout("po_1", 5, 10, None)],
        lines: vec![line("b", 5, 15, ""), line("a", 5, 9, "")],
        covered: vec![covered("main", 0, 60)],
    };
    assert_eq!(check(&facts), (vec![("po_1", "a"), ("po_2", "b")], vec![]));
}

#[test]
fn a_payout_is_missing_only_once_statements_of_one_account_cover_its_days() {
    let missing = vec![(BreakType::BankMissing, "po_1".to_owned())];
    for (statements, found) in [
        (vec![], vec![]),
        (vec![covered("main", 0, 14)], vec![]),
        (vec![covered("main", 11, 60)], vec![]),
        (vec![covered("main", 10, 15)], missing.clone()),
        (vec![covered("main", 13, 20), covered("main", 0, 12)], missing.clone()),
        (vec![covered("main", 0, 12), covered("main", 14, 20)], vec![]),
        (vec![covered("main", 0, 12), covered("other", 13, 20)], vec![]),
    ] {
        let (payouts, lines) = (vec![payout("po_1", 5, 10, None)], vec![line("a", 5, 16, "")]);
        let facts = BankFacts { payouts, lines, covered: statements };
        assert_eq!(check(&facts), (vec![], found), "{:?}", facts.covered);
    }
    let returned = Some(("txn_back".to_owned(), on(12)));
    let returned = Payout { returned, ..payout("po_1", 5, 10, None) };
    let covered = vec![covered("main", 0, 60)];
    let facts = BankFacts { payouts: vec![returned], lines: vec![], covered };
    assert_eq!(check(&facts), (vec![], vec![]), "the provider has it again");
}

#[test]
fn a_credit_that_names_the_provider_and_is_no_payout_is_unexpected_and_others_are_not() {
    let facts = BankFacts {
        payouts: vec![payout("po_1", 5, 10, Some("tr9"))],
        lines: vec![
            line("a", 5, 10, "TR9"),
            line("b", 5, 11, "TR9 again"),
            line("c", 7, 10, "from Acme Pay Inc"),
            line("d", 8, 10, "acme payments"),
            line("e", -9, 10, "ACME PAY"),
            line("f", 3, 10, "a customer"),
        ],
        covered: vec![covered("main", 0, 60)],
    };
    let (pairs, broken) = check(&facts);
    assert_eq!(pairs, [("po_1", "a")]);
    let unexpected = |id: &str| (BreakType::BankUnexpected, format!("bank/main/USD/{id}"));
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken.contains(&unexpected("b")) && broken.contains(&unexpected("c")), "{broken:?}");
}
