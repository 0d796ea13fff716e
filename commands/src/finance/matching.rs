//! Which line belongs to which posting, and what each one is. Pure.
mod corrections;
mod keys;

use std::collections::{BTreeMap, BTreeSet};

use cairn_core::{BreakId, Currency, Nanos, Timestamp};
use cairn_finance::{BreakType, break_id};

pub(super) use self::corrections::case_of;
pub(super) use self::keys::Class;
use self::keys::{Key, leg_key, line_key, rule};
use super::report::{Break, OpenItem};
use super::rows::{Facts, Items, Leg, Line, Subjects};
use super::{LATE_SECS, Period};

/// Where a line or posting ended up. The first two are not for anybody to look at.
enum Verdict {
    Matched,
    /// The provider took it back itself before our books heard of it; at which time its other side is.
    Netted(Timestamp),
    Expected(&'static str),
    Break(BreakType, String),
}

impl Verdict {
    /// What is left of it after corrections: nothing, when they make up for the whole difference.
    fn corrected_by<'a>(
        self,
        corrections: &[&Leg],
        left: impl IntoIterator<Item = &'a Nanos>,
    ) -> Self {
        if !corrections.is_empty() && left.into_iter().all(|nanos| *nanos == 0) {
            return Self::Matched;
        }
        self
    }
}

/// One currency's named parts of the difference between the two books.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Named {
    pub expected: Nanos,
    pub breaks: Nanos,
    pub straddling: Nanos,
    /// Of straddling, what its other side before the period makes up for.
    pub made_up_for: Nanos,
    /// The lines of the period as the provider tells them now, net; and our postings. Their difference is the first three.
    pub lines: Nanos,
    pub legs: Nanos,
}

impl Named {
    /// What has a name.
    pub const fn explained(&self) -> Nanos {
        self.expected + self.breaks + self.straddling
    }
}

/// Refunds that the provider has in its book and our books need not have yet, each with the reason.
pub(super) type Unfinished = BTreeMap<String, &'static str>;

/// Every line and posting of the period, sorted.
#[derive(Debug, Default)]
pub(super) struct Classified {
    pub lines: usize,
    pub matched: usize,
    pub expected: Vec<OpenItem>,
    pub breaks: Vec<Break>,
    pub named: BTreeMap<String, Named>,
}

/// Lines of one class in the period, old enough to be a break, that our books do not have.
pub(super) fn unbooked(facts: &Facts, class: Class, period: &Period) -> BTreeSet<String> {
    let books: BTreeSet<Key> = facts.legs.iter().filter_map(leg_key).collect();
    facts
        .lines
        .iter()
        .filter(|line| period.contains(line.created_at) && !period.is_young(line.created_at))
        .filter_map(line_key)
        .filter(|key| key.0 == class && !books.contains(key))
        .map(|(_, source_id)| source_id)
        .collect()
}

/// Both books by key.
struct Index<'a> {
    legs: BTreeMap<Key, &'a Leg>,
    fees: BTreeMap<&'a str, &'a Leg>,
    lines: BTreeMap<Key, Vec<&'a Line>>,
    /// What each line said, in the order in which it was mirrored.
    contents: BTreeMap<&'a str, Vec<&'a Line>>,
    /// What was posted to settle a break, by its case, and what each case is about.
    corrections: BTreeMap<BreakId, Vec<&'a Leg>>,
    subjects: &'a Subjects,
    by_reference: BTreeMap<String, &'a Leg>,
    unfinished: &'a Unfinished,
    items: &'a Items,
    period: &'a Period,
}

impl Classified {
    /// Sorts every line and posting of the period.
    pub fn of(facts: &Facts, unfinished: &Unfinished, period: &Period) -> Self {
        let index = Index::of(facts, unfinished, period);
        let mut classified = Self::default();
        for line in facts.lines.iter().filter(|line| index.is_in_period(line)) {
            classified.line(&index, line);
        }
        for leg in facts.legs.iter().filter(|leg| period.contains(leg.occurred_at)) {
            classified.leg(&index, leg);
        }
        classified.breaks.sort_by_key(|found| (found.item.at, found.item.transaction_id.clone()));
        classified.expected.sort_by_key(|item| (item.at, item.transaction_id.clone()));
        classified
    }

    fn line(&mut self, index: &Index<'_>, line: &Line) {
        self.lines += 1;
        let verdict = index.judge(line);
        let gross = line_key(line).and_then(|key| index.legs.get(&key).copied());
        let corrections = index.corrections_of(&verdict, Some(line), gross);
        let mut difference = BTreeMap::<&str, Nanos>::new();
        for (line, sign) in [(Some(line), 1), (index.previous(line), -1)] {
            let Some(line) = line.filter(|line| index.period.contains(line.created_at)) else {
                continue;
            };
            *difference.entry(&line.currency).or_default() += sign * line.net_nanos;
            self.named.entry(line.currency.clone()).or_default().lines += sign * line.net_nanos;
        }
        for leg in index.legs_of(line).iter().chain(corrections) {
            *difference.entry(&leg.currency).or_default() -= leg.amount_nanos;
            if !index.period.contains(leg.occurred_at) {
                self.straddle(index, leg, (leg.amount_nanos, leg.occurred_at));
            }
        }
        let left_nanos = difference.get(line.currency.as_str()).copied().unwrap_or_default();
        let verdict = verdict.corrected_by(corrections, difference.values());
        for (currency, nanos) in difference {
            let named = self.named.entry(currency.to_owned()).or_default();
            match verdict {
                // Nothing is left of a matched line; if something were, it would be unexplained.
                Verdict::Matched => {}
                Verdict::Netted(other_at) => {
                    named.straddling += nanos;
                    if other_at < index.period.from {
                        named.made_up_for += nanos;
                    }
                }
                Verdict::Expected(_) => named.expected += nanos,
                Verdict::Break(..) => named.breaks += nanos,
            }
        }
        self.record((verdict, left_nanos), || OpenItem {
            transaction_id: Some(line.id.clone()),
            category: Some(line.category.clone()),
            source_id: line.source_id.clone(),
            reference: gross.map(Leg::reference),
            currency: line.currency.clone(),
            provider_nanos: Some(line.amount_nanos),
            books_nanos: gross.map(|leg| leg.amount_nanos),
            at: line.created_at,
            message: String::new(),
        });
    }

    /// One side of a pair lies in the period, the other at another time.
    fn straddle(&mut self, index: &Index<'_>, leg: &Leg, (nanos, other_at): (Nanos, Timestamp)) {
        let named = self.named.entry(leg.currency.clone()).or_default();
        named.straddling += nanos;
        if other_at < index.period.from {
            named.made_up_for += nanos;
        }
    }

    fn leg(&mut self, index: &Index<'_>, leg: &Leg) {
        self.named.entry(leg.currency.clone()).or_default().legs += leg.amount_nanos;
        match index.counterpart(leg) {
            // What it belongs to is in the period and accounts for it.
            Some((_, true)) => return,
            Some((at, false)) => return self.straddle(index, leg, (-leg.amount_nanos, at)),
            None => {}
        }
        let verdict = index.judge_leg(leg);
        let corrections = index.corrections_of(&verdict, None, Some(leg));
        let mut left_nanos = -leg.amount_nanos;
        for correction in corrections {
            left_nanos -= correction.amount_nanos;
            if !index.period.contains(correction.occurred_at) {
                let at = correction.occurred_at;
                self.straddle(index, correction, (correction.amount_nanos, at));
            }
        }
        let verdict = verdict.corrected_by(corrections, [&left_nanos]);
        let named = self.named.entry(leg.currency.clone()).or_default();
        match verdict {
            Verdict::Expected(_) => named.expected += left_nanos,
            Verdict::Break(..) => named.breaks += left_nanos,
            Verdict::Matched | Verdict::Netted(_) => {}
        }
        self.record((verdict, left_nanos), || OpenItem {
            transaction_id: None,
            category: None,
            source_id: Some(leg.source_id.clone()),
            reference: Some(leg.reference()),
            currency: leg.currency.clone(),
            provider_nanos: None,
            books_nanos: Some(leg.amount_nanos),
            at: leg.occurred_at,
            message: String::new(),
        });
    }

    fn record(
        &mut self,
        (verdict, difference_nanos): (Verdict, Nanos),
        item: impl FnOnce() -> OpenItem,
    ) {
        match verdict {
            Verdict::Matched | Verdict::Netted(_) => self.matched += 1,
            Verdict::Expected(reason) => {
                self.expected.push(OpenItem { message: reason.to_owned(), ..item() });
            }
            Verdict::Break(break_type, message) => {
                let item = OpenItem { message, ..item() };
                let (line, posting) = (item.transaction_id.as_deref(), item.reference.as_deref());
                let break_id = break_id(break_type, line, posting);
                self.breaks.push(Break { break_id, break_type, difference_nanos, item });
            }
        }
    }
}

impl<'a> Index<'a> {
    fn of(facts: &'a Facts, unfinished: &'a Unfinished, period: &'a Period) -> Self {
        let legs = facts.legs.iter().filter_map(|leg| Some((leg_key(leg)?, leg))).collect();
        let fees = facts.legs.iter().filter(|leg| leg.source == "stripe_fee");
        let fees = fees.map(|leg| (leg.source_id.as_str(), leg)).collect();
        let mut lines = BTreeMap::<Key, Vec<&Line>>::new();
        let mut contents = BTreeMap::<&str, Vec<&Line>>::new();
        for line in &facts.lines {
            contents.entry(&line.id).or_default().push(line);
        }
        for said in contents.values_mut() {
            said.sort_by_key(|line| (line.mirrored_at, &line.content));
        }
        for line in &facts.lines {
            let is_first = contents.get(line.id.as_str()).and_then(|said| said.first());
            if let Some(key) = line_key(line).filter(|_| is_first == Some(&line)) {
                lines.entry(key).or_default().push(line);
            }
        }
        let mut corrections = BTreeMap::<BreakId, Vec<&Leg>>::new();
        for leg in &facts.legs {
            if let Some(id) = case_of(leg) {
                corrections.entry(id).or_default().push(leg);
            }
        }
        let by_reference = facts.legs.iter().map(|leg| (leg.reference(), leg)).collect();
        let (subjects, items) = (&facts.subjects, &facts.items);
        Self {
            legs,
            fees,
            lines,
            contents,
            corrections,
            subjects,
            by_reference,
            unfinished,
            items,
            period,
        }
    }

    /// Whether it is in the period, or was before the provider changed it. What it said in between is nobody's business.
    fn is_in_period(&self, line: &Line) -> bool {
        let before = self.previous(line);
        if before.is_none() && !self.is_first(line) {
            return false;
        }
        [Some(line), before].into_iter().flatten().any(|said| self.period.contains(said.created_at))
    }

    /// The first content of a line that was mirrored: what our books are held against.
    fn first(&self, id: &str) -> Option<&'a Line> {
        self.contents.get(id)?.first().copied()
    }

    /// Of what a line says now: what it said at first, if that was something else.
    fn previous(&self, line: &Line) -> Option<&'a Line> {
        let said = self.contents.get(line.id.as_str())?;
        let is_last = said.last().is_some_and(|last| *last == line);
        said.first().copied().filter(|first| is_last && *first != line)
    }

    /// Of several lines for one movement, the one that is meant: the first that agrees, or the first.
    fn primary(&self, key: &Key) -> Option<&'a Line> {
        let lines = self.lines.get(key)?;
        let agrees = |line: &&&Line| {
            self.legs.get(key).is_some_and(|leg| {
                (leg.amount_nanos, &leg.currency) == (line.amount_nanos, &line.currency)
            })
        };
        lines.iter().find(agrees).or(lines.first()).copied()
    }

    fn is_first(&self, line: &Line) -> bool {
        self.first(&line.id) == Some(line)
    }

    /// The postings that a line accounts for: its movement, if it is the one meant, and its fee.
    fn legs_of(&self, line: &Line) -> Vec<&'a Leg> {
        if !self.is_first(line) {
            return vec![];
        }
        let meant = line_key(line).filter(|key| self.primary(key) == Some(line));
        let movement = meant.and_then(|key| self.legs.get(&key).copied());
        movement.into_iter().chain(self.fees.get(line.id.as_str()).copied()).collect()
    }

    /// The line that accounts for a posting.
    fn line_of(&self, leg: &Leg) -> Option<&'a Line> {
        if leg.source == "stripe_fee" {
            return self.first(&leg.source_id);
        }
        self.primary(&leg_key(leg)?)
    }

    fn judge(&self, line: &Line) -> Verdict {
        let broken = |kind, message: &str| Verdict::Break(kind, message.to_owned());
        if !self.is_first(line) {
            return broken(
                BreakType::Changed,
                "the provider changed the line after it was mirrored",
            );
        }
        let Some(key) = line_key(line) else {
            return Verdict::Break(BreakType::MissingInternal, rule(&line.category));
        };
        if self.primary(&key) != Some(line) {
            return broken(BreakType::Duplicate, "the provider has this movement more than once");
        }
        match self.legs.get(&key) {
            None if line.currency.parse::<Currency>().is_err() => {
                let message = format!("we keep no books in {}", line.currency);
                Verdict::Break(BreakType::Currency, message)
            }
            None => self.unbooked(line, &key),
            Some(leg) if leg.currency != line.currency => {
                let message = format!("our books have it in {}", leg.currency);
                Verdict::Break(BreakType::Currency, message)
            }
            Some(leg) if leg.amount_nanos != line.amount_nanos => {
                broken(BreakType::Amount, "our books have another amount")
            }
            Some(leg) => self.fee(line).or_else(|| self.items(line, &key)).unwrap_or_else(|| {
                // A refund's line is there from its beginning; it is due in our books when it is final.
                let due_at = match key.0 {
                    Class::Refund => line.created_at.max(leg.occurred_at),
                    Class::Charge
                    | Class::RefundFailure
                    | Class::Dispute
                    | Class::DisputeReversal
                    | Class::Payout
                    | Class::PayoutReturn => line.created_at,
                };
                if leg.posted_at.secs_since(due_at) > LATE_SECS {
                    broken(BreakType::Late, "our books knew it more than three days later")
                } else {
                    Verdict::Matched
                }
            }),
        }
    }

    fn unbooked(&self, line: &Line, (class, source_id): &Key) -> Verdict {
        let other = match class {
            Class::Charge
            | Class::Dispute
            | Class::DisputeReversal
            | Class::Payout
            | Class::PayoutReturn => None,
            Class::Refund => Some(Class::RefundFailure),
            Class::RefundFailure => Some(Class::Refund),
        };
        let other = other.map(|class| (class, source_id.clone()));
        let other = other.filter(|key| !self.legs.contains_key(key));
        let taken_back = other
            .and_then(|key| self.primary(&key))
            .filter(|other| other.currency == line.currency && other.net_nanos == -line.net_nanos);
        if let Some(other) = taken_back {
            Verdict::Netted(other.created_at)
        } else if let Some(reason) = self.unfinished.get(source_id) {
            Verdict::Expected(reason)
        } else if self.period.is_young(line.created_at) {
            Verdict::Expected("our books do not have it yet")
        } else {
            let message = "the provider has it, our books do not".to_owned();
            Verdict::Break(BreakType::MissingInternal, message)
        }
    }

    /// What is wrong with what a payout is made of, if that is known and anything is.
    fn items(&self, line: &Line, (class, payout): &Key) -> Option<Verdict> {
        let items = self.items.get(payout).filter(|_| *class == Class::Payout)?;
        let others = items.iter().any(|item| item.currency != line.currency);
        let sum_nanos: Nanos = items.iter().map(|item| item.net_nanos).sum();
        if !others && sum_nanos == -line.amount_nanos {
            return None;
        }
        let (count, paid) = (items.len(), -line.amount_nanos);
        let message = match others {
            true => format!("of its {count} lines not all are in {}", line.currency),
            false => format!("its {count} lines add up to {sum_nanos} nanos, it is {paid}"),
        };
        Some(Verdict::Break(BreakType::PayoutItems, message))
    }

    /// What is wrong with a line's fee, if anything.
    fn fee(&self, line: &Line) -> Option<Verdict> {
        let broken = |message: String| Some(Verdict::Break(BreakType::Fee, message));
        match self.fees.get(line.id.as_str()) {
            None if line.fee_nanos == 0 => None,
            None if self.period.is_young(line.created_at) => {
                Some(Verdict::Expected("our books do not have the fee yet"))
            }
            None => broken(format!("our books lack the fee of {} nanos", line.fee_nanos)),
            Some(leg) if (-leg.amount_nanos, &leg.currency) == (line.fee_nanos, &line.currency) => {
                None
            }
            Some(leg) => broken(format!(
                "the fee is {} nanos, our books have {} {}",
                line.fee_nanos, -leg.amount_nanos, leg.currency
            )),
        }
    }
}

#[cfg(test)]
#[path = "planted_tests.rs"]
mod planted_tests;
#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
