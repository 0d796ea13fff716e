//! Two thousand days from one seed, half of them with errors planted: all found, each as what it is, no clean day alarmed, and
//! the same days give the same report to the byte.
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::Timestamp;
use cairn_finance::BreakType;
use cairn_finance::statement::plus_days;

use super::super::bank::BankReport;
use super::super::bank::matching::{BankFacts, BankLine, Covered, Payout};
use super::super::proof::proofs;
use super::super::report::{ReconciliationReport, report};
use super::super::rows::{Facts, Sums, Totals};
use super::Classified;
use super::tests::{day, leg, line, plant};

const DAYS: u64 = 1_000;
const KINDS: [BreakType; 12] = [
    BreakType::MissingInternal,
    BreakType::MissingExternal,
    BreakType::Amount,
    BreakType::Currency,
    BreakType::Duplicate,
    BreakType::Fee,
    BreakType::Late,
    BreakType::Changed,
    BreakType::PayoutItems,
    BreakType::BankMissing,
    BreakType::BankUnexpected,
    BreakType::BankAmount,
];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn number(&mut self, from: i64, until: i64) -> i64 {
        from + i64::try_from(self.below(u64::try_from(until - from).unwrap())).unwrap()
    }

    fn is_one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Both books and the bank's statements.
#[derive(Default)]
struct Day {
    facts: Facts,
    bank: BankFacts,
    planted: Vec<BreakType>,
}

/// The midnight within the day that is reconciled.
fn midnight() -> Timestamp {
    let secs = day().until.as_micros() / 1_000_000;
    Timestamp::from_secs(secs - secs.rem_euclid(86_400))
}

impl Day {
    /// The days of a seed are the same whenever they are asked for.
    fn of(seed: u64, is_clean: bool) -> Self {
        let mut dice = Dice(seed);
        let mut day = Self::default();
        let days = (plus_days(midnight(), -10), plus_days(midnight(), 10));
        let (account, currency) = ("main".to_owned(), "USD".to_owned());
        day.bank.covered.push(Covered { account, currency, days });
        for n in 0..dice.number(5, 25) {
            // The first is never clean, so that every planted day has an error.
            let spoil = !is_clean && (n == 0 || dice.is_one_in(3));
            let kinds = u64::try_from(KINDS.len()).unwrap();
            let spoil = spoil.then(|| KINDS[usize::try_from(dice.below(kinds)).unwrap()]);
            day.planted.extend(spoil);
            day.movement(usize::try_from(n).unwrap(), spoil, &mut dice);
        }
        day.planted.sort();
        day
    }

    fn movement(&mut self, n: usize, spoil: Option<BreakType>, dice: &mut Dice) {
        // No two amounts of a day are alike, nor a nano apart.
        let amount = dice.number(2, 999_000) + i64::try_from(n).unwrap() * 1_000_000;
        let is_of_the_bank = spoil.is_some_and(BreakType::is_of_the_bank);
        if is_of_the_bank || spoil.is_none() && dice.is_one_in(3) {
            return self.payout((n, amount), spoil, dice);
        }
        let fee = dice.number(0, 1_000);
        plant(&mut self.facts, n, spoil, (amount, fee, dice.number(0, 86_400)));
    }

    /// A payout in both books, and at the bank unless it is spoilt there.
    fn payout(&mut self, (n, amount): (usize, i64), spoil: Option<BreakType>, dice: &mut Dice) {
        let mut left = line(n, -amount, 0, dice.number(0, 86_400));
        left.category = "payout".to_owned();
        let of = left.source_id.clone().unwrap();
        self.facts.legs.push(leg(2 * n, "payout", of.clone(), -amount, left.created_at));
        let is_traced = spoil == Some(BreakType::BankAmount) || dice.is_one_in(2);
        let payout = Payout {
            provider_id: of,
            transaction_id: left.id.clone(),
            currency: "USD".to_owned(),
            amount_nanos: amount,
            descriptor: Some("Stripe".to_owned()),
            trace: is_traced.then(|| format!("tr{n}")),
            arrives_on: midnight(),
            returned: None,
            arrived_by: None,
            taken_back_by: None,
        };
        self.facts.lines.push(left);
        let said = match dice.below(3) {
            _ if spoil == Some(BreakType::BankAmount) => format!("TR{n}"),
            0 => format!("STRIPE/TR{n}"),
            1 => "transfer stripe inc".to_owned(),
            _ => "incoming".to_owned(),
        };
        let off = i64::from(spoil == Some(BreakType::BankAmount));
        if spoil != Some(BreakType::BankMissing) {
            self.bank_line((n, amount + off), dice.number(-3, 6), &said);
        }
        if spoil == Some(BreakType::BankUnexpected) {
            self.bank_line((n + 100, amount + 1), 0, "STRIPE, again");
        }
        // What else moves an account is no matter of payouts.
        self.bank_line((n + 200, -amount), dice.number(-3, 6), "STRIPE takes something");
        self.bank_line((n + 300, amount + 3), dice.number(-3, 6), "a stripey shirt, sold");
        self.bank.payouts.push(payout);
    }

    fn bank_line(&mut self, (n, amount_nanos): (usize, i64), days: i64, text: &str) {
        let booked_on = plus_days(midnight(), days);
        self.bank.lines.push(BankLine {
            account: "main".to_owned(),
            currency: "USD".to_owned(),
            reference: format!("ref{n}"),
            amount_nanos,
            booked_on,
            valued_on: booked_on,
            end_to_end: None,
            text: text.to_owned(),
        });
    }

    fn report(&self) -> ReconciliationReport {
        let (period, mut sums, mut held) = (day(), Sums::new(), Totals::new());
        // Of a changed line, what it says now.
        let latest: BTreeMap<&str, _> =
            self.facts.lines.iter().map(|line| ((line.id.as_str(), &line.content), line)).fold(
                BTreeMap::new(),
                |mut latest, ((id, content), line)| {
                    let known = latest.entry(id).or_insert((content, line));
                    if known.0 < content {
                        *known = (content, line);
                    }
                    latest
                },
            );
        for (_, line) in latest.values() {
            sums.entry(line.currency.clone()).or_default().lines[1] += line.net_nanos;
            *held.entry(line.currency.clone()).or_default() += line.net_nanos;
        }
        for leg in &self.facts.legs {
            sums.entry(leg.currency.clone()).or_default().legs[1] += leg.amount_nanos;
        }
        let classified = Classified::of(&self.facts, &BTreeMap::new(), &period);
        let proofs = proofs(&classified, &Classified::default(), &sums, &held);
        let bank = BankReport::of(&self.bank, vec![], &period);
        report(&period, classified, (vec![], vec![]), (proofs, Some(bank)))
    }
}

fn found(report: &ReconciliationReport) -> Vec<BreakType> {
    let mut found: Vec<_> = report.disagreements().map(|found| found.break_type).collect();
    found.sort();
    found
}

#[test]
fn every_error_of_a_thousand_days_is_found_as_what_it_is() {
    let mut kinds = BTreeSet::new();
    for seed in 0..DAYS {
        let day = Day::of(seed, false);
        let report = day.report();
        assert_eq!(found(&report), day.planted, "day {seed}");
        assert!(!report.clean && report.proofs.iter().all(|proof| proof.proven), "day {seed}");
        let ids: BTreeSet<_> = report.disagreements().map(|found| found.break_id).collect();
        assert_eq!(ids.len(), day.planted.len(), "day {seed}: each has a case of its own");
        kinds.extend(day.planted);
    }
    assert_eq!(kinds, BTreeSet::from(KINDS));
}

#[test]
fn no_clean_day_of_a_thousand_raises_an_alarm() {
    let mut payouts = 0;
    for seed in 0..DAYS {
        let day = Day::of(seed, true);
        let report = day.report();
        assert!(report.clean, "day {seed}: {:?}", found(&report));
        assert_eq!(report.bank.unwrap().matched, day.bank.payouts.len(), "day {seed}");
        payouts += day.bank.payouts.len();
    }
    assert!(payouts > 1_000, "{payouts} payouts");
}

#[test]
fn the_same_days_give_the_same_report_to_the_byte() {
    for seed in 0..DAYS {
        let is_clean = seed % 2 == 0;
        let first = serde_json::to_vec(&Day::of(seed, is_clean).report()).unwrap();
        let mut again = Day::of(seed, is_clean);
        // The bank's lines and payouts in whatever order.
        again.bank.lines.reverse();
        again.bank.payouts.reverse();
        assert_eq!(serde_json::to_vec(&again.report()).unwrap(), first, "day {seed}");
    }
}
