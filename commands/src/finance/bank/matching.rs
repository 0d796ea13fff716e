//! Which line of the bank a payout is, and what is wrong when there is none. Pure.
//!
//! 1. What the books say already: a match that was booked stays, whatever is imported later.
//! 2. By the bank's own reference of it, where the provider knows that; the same reference with another amount is `bank_amount`.
//! 3. By amount, currency and day, the payout that is due first getting the first line: those that name the provider before others.
//!    A payout that the provider has again gets what the others leave, and only what names the provider.
//!
//! One that arrived and that the provider has again is taken off the account by a second line ([`Matched::backs`]).
//!
//! A payout without a line is `bank_missing` once statements cover its days; a credit that names the provider and is no payout is
//! `bank_unexpected`. What else the bank has is no matter of payouts.
mod back;

use std::collections::{BTreeMap, BTreeSet};

use cairn_core::money::format_nanos;
use cairn_core::{Nanos, Timestamp};
use cairn_finance::statement::{day_text, plus_days};
use cairn_finance::{BreakType, break_id};

use super::super::report::{Break, OpenItem};

/// How much earlier and later than the provider expects it the bank may book a payout: weekends and holidays lie between.
const EARLY_DAYS: i64 = 3;
const LATE_DAYS: i64 = 5;

/// A payout as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Payout {
    pub provider_id: String,
    /// The line of the provider's book.
    pub transaction_id: String,
    pub currency: String,
    /// More than zero.
    pub amount_nanos: Nanos,
    pub descriptor: Option<String>,
    pub trace: Option<String>,
    /// The midnight that the day begins with.
    pub arrives_on: Timestamp,
    /// The line of the provider's book by which it has it again, and the midnight of that day.
    pub returned: Option<(String, Timestamp)>,
    /// The bank's line by which our books have it at the bank.
    pub arrived_by: Option<String>,
    /// The one by which our books have it taken off there.
    pub taken_back_by: Option<String>,
}

/// A line of a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct BankLine {
    pub account: String,
    pub currency: String,
    pub reference: String,
    pub amount_nanos: Nanos,
    pub booked_on: Timestamp,
    pub valued_on: Timestamp,
    pub end_to_end: Option<String>,
    pub text: String,
}

impl BankLine {
    /// Ours of it, unique among all lines.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.account, self.currency, self.reference)
    }
}

/// Days that a statement covers, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Covered {
    pub account: String,
    pub currency: String,
    pub days: (Timestamp, Timestamp),
}

/// All that is looked at.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct BankFacts {
    pub payouts: Vec<Payout>,
    pub lines: Vec<BankLine>,
    pub covered: Vec<Covered>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(in super::super) struct Matched<'a> {
    /// Each payout with the line that it is.
    pub pairs: Vec<(&'a Payout, &'a BankLine)>,
    /// Of these, what the bank has sent back: each with the line that takes it off the account.
    pub backs: Vec<(&'a Payout, &'a BankLine)>,
    /// By time.
    pub breaks: Vec<Break>,
}

impl<'a> Matched<'a> {
    /// Of everything, in whatever order it comes.
    pub fn of(facts: &'a BankFacts) -> Self {
        let mut payouts: Vec<&Payout> = facts.payouts.iter().collect();
        payouts.sort_by_key(|payout| (payout.arrives_on, &payout.provider_id));
        let mut lines: Vec<&BankLine> =
            facts.lines.iter().filter(|line| line.amount_nanos > 0).collect();
        lines.sort_by_key(|line| (line.booked_on, line.id()));
        let mut search = Search::of(&payouts, lines);
        for payout in &payouts {
            search.booked(payout);
        }
        for payout in &payouts {
            search.by_trace(payout);
        }
        for (is_returned, is_named) in [(false, true), (false, false), (true, true)] {
            for payout in payouts.iter().filter(|it| it.returned.is_some() == is_returned) {
                search.by_amount(payout, is_named);
            }
        }
        let covered = joined(&facts.covered);
        for payout in payouts {
            search.missing(payout, &covered);
        }
        search.unexpected();
        let mut found = search.found;
        found.pairs.sort_by_key(|(payout, _)| (payout.arrives_on, &payout.provider_id));
        back::find(facts, &covered, &mut found);
        found.breaks.sort_by_key(|found| (found.item.at, found.break_id));
        found
    }
}

/// What is not taken yet.
struct Search<'a> {
    lines: Vec<&'a BankLine>,
    ids: BTreeMap<String, usize>,
    /// Lines by each word that may be a reference.
    words: BTreeMap<(&'a str, String), Vec<usize>>,
    amounts: BTreeMap<(&'a str, Nanos), Vec<usize>>,
    /// Lines that name the provider, or a payout of it.
    named: BTreeSet<usize>,
    taken: BTreeSet<usize>,
    done: BTreeSet<&'a str>,
    found: Matched<'a>,
}

impl<'a> Search<'a> {
    fn of(payouts: &[&'a Payout], lines: Vec<&'a BankLine>) -> Self {
        let mut words = BTreeMap::<_, Vec<usize>>::new();
        let mut amounts = BTreeMap::<_, Vec<usize>>::new();
        let names = payouts.iter().filter_map(|payout| payout.descriptor.as_deref());
        let names: BTreeSet<String> = names.map(spoken).filter(|name| name != " ").collect();
        let traces = payouts.iter().filter_map(|payout| payout.trace.as_deref());
        let traces: BTreeSet<String> = traces.map(folded).collect();
        let (mut named, mut ids) = (BTreeSet::new(), BTreeMap::new());
        for (place, line) in lines.iter().enumerate() {
            ids.insert(line.id(), place);
            let said = references(line);
            let text = spoken(&line.text);
            let is_named = names.iter().any(|name| text.contains(name.as_str()));
            if is_named || !said.is_disjoint(&traces) {
                named.insert(place);
            }
            for word in said {
                words.entry((line.currency.as_str(), word)).or_default().push(place);
            }
            let amount = (line.currency.as_str(), line.amount_nanos);
            amounts.entry(amount).or_default().push(place);
        }
        let (taken, done, found) = (BTreeSet::new(), BTreeSet::new(), Matched::default());
        Self { lines, ids, words, amounts, named, taken, done, found }
    }

    fn take(&mut self, payout: &'a Payout, place: usize) {
        self.taken.insert(place);
        self.done.insert(&payout.provider_id);
    }

    fn booked(&mut self, payout: &'a Payout) {
        let place = payout.arrived_by.as_ref().and_then(|id| self.ids.get(id)).copied();
        if let Some(place) = place {
            self.take(payout, place);
            self.found.pairs.push((payout, self.lines[place]));
        }
    }

    fn by_trace(&mut self, payout: &'a Payout) {
        if self.done.contains(payout.provider_id.as_str()) {
            return;
        }
        let Some(trace) = payout.trace.as_deref().map(folded) else { return };
        let said = self.words.get(&(payout.currency.as_str(), trace));
        let free = |place: &&usize| !self.taken.contains(place);
        let same = |place: &&usize| self.lines[**place].amount_nanos == payout.amount_nanos;
        let said = said.into_iter().flatten().filter(free);
        let Some(place) = said.clone().find(same).or_else(|| said.clone().next()).copied() else {
            return;
        };
        let line = self.lines[place];
        self.take(payout, place);
        if line.amount_nanos == payout.amount_nanos {
            self.found.pairs.push((payout, line));
        } else {
            let difference_nanos = payout.amount_nanos.saturating_sub(line.amount_nanos);
            let (has, amount) = (line.id(), format_nanos(line.amount_nanos));
            let message = format!("the bank's line {has} has its reference, and is {amount}");
            let found = (BreakType::BankAmount, difference_nanos, message);
            self.found.breaks.push(broken(payout, Some(line), found));
        }
    }

    fn by_amount(&mut self, payout: &'a Payout, is_named: bool) {
        if self.done.contains(payout.provider_id.as_str()) {
            return;
        }
        let (from, until) = window(payout);
        let same = self.amounts.get(&(payout.currency.as_str(), payout.amount_nanos));
        let place = same.into_iter().flatten().copied().find(|place| {
            let booked_on = self.lines[*place].booked_on;
            let fits = from <= booked_on && booked_on <= until;
            fits && self.named.contains(place) == is_named && !self.taken.contains(place)
        });
        if let Some(place) = place {
            let line = self.lines[place];
            self.take(payout, place);
            self.found.pairs.push((payout, line));
        }
    }

    fn missing(&mut self, payout: &'a Payout, covered: &[Covered]) {
        let is_over = self.done.contains(payout.provider_id.as_str()) || payout.returned.is_some();
        let (_, until) = window(payout);
        if is_over || !covers(covered, &payout.currency, (payout.arrives_on, until)) {
            return;
        }
        let (due, until) = (day_text(payout.arrives_on), day_text(until));
        let message = format!("due at the bank on {due}, and no line up to {until} is it");
        let found = (BreakType::BankMissing, payout.amount_nanos, message);
        self.found.breaks.push(broken(payout, None, found));
    }

    fn unexpected(&mut self) {
        for place in self.named.difference(&self.taken) {
            let line = self.lines[*place];
            let reference = format!("bank/{}", line.id());
            let break_type = BreakType::BankUnexpected;
            self.found.breaks.push(Break {
                break_id: break_id(break_type, None, Some(&reference)),
                break_type,
                difference_nanos: line.amount_nanos.saturating_neg(),
                item: OpenItem {
                    transaction_id: None,
                    category: None,
                    source_id: None,
                    reference: Some(reference),
                    currency: line.currency.clone(),
                    provider_nanos: None,
                    books_nanos: None,
                    at: line.booked_on,
                    message: "the bank's line names the provider, and is no payout of it"
                        .to_owned(),
                },
            });
        }
    }
}

fn broken(
    payout: &Payout,
    line: Option<&BankLine>,
    (break_type, difference_nanos, message): (BreakType, Nanos, String),
) -> Break {
    let transaction_id = Some(payout.transaction_id.clone());
    let reference = line.map(|line| format!("bank/{}", line.id()));
    let break_id = break_id(break_type, transaction_id.as_deref(), reference.as_deref());
    let item = OpenItem {
        transaction_id,
        category: Some("payout".to_owned()),
        source_id: Some(payout.provider_id.clone()),
        reference,
        currency: payout.currency.clone(),
        provider_nanos: Some(payout.amount_nanos),
        books_nanos: None,
        at: payout.arrives_on,
        message,
    };
    Break { break_id, break_type, difference_nanos, item }
}

/// When the bank may book it.
const fn window(payout: &Payout) -> (Timestamp, Timestamp) {
    (plus_days(payout.arrives_on, -EARLY_DAYS), plus_days(payout.arrives_on, LATE_DAYS))
}

/// All that may be a reference in a line: its names, and each word of its text.
fn references(line: &BankLine) -> BTreeSet<String> {
    let words = line.text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let names = [Some(line.reference.as_str()), line.end_to_end.as_deref()];
    names.into_iter().flatten().chain(words).map(folded).collect()
}

fn folded(text: &str) -> String {
    text.trim().to_uppercase()
}

/// A text as words, each between spaces, so that one is found whole in another.
fn spoken(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |spoken, word| spoken + &word.to_uppercase() + " ")
}

/// Whether the statements of one account cover all of these days.
fn covers(joined: &[Covered], currency: &str, (from, until): (Timestamp, Timestamp)) -> bool {
    let fits = |stretch: &Covered| stretch.days.0 <= from && until <= stretch.days.1;
    joined.iter().any(|stretch| stretch.currency == currency && fits(stretch))
}

/// The days that statements cover: those of one account, joined where they meet.
pub(in super::super) fn joined(covered: &[Covered]) -> Vec<Covered> {
    let mut sorted: Vec<&Covered> = covered.iter().collect();
    sorted.sort_by_key(|covered| (&covered.account, &covered.currency, covered.days));
    let mut joined: Vec<Covered> = Vec::new();
    for next in sorted {
        let meets = |last: &&mut Covered| {
            (&last.account, &last.currency) == (&next.account, &next.currency)
                && next.days.0 <= plus_days(last.days.1, 1)
        };
        match joined.last_mut().filter(meets) {
            Some(last) => last.days.1 = last.days.1.max(next.days.1),
            None => joined.push(next.clone()),
        }
    }
    joined
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
