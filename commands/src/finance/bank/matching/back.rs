//! What the bank has sent back: the line that takes a payout off the account again, once the provider has it.
use std::collections::BTreeSet;

use cairn_core::Timestamp;
use cairn_finance::BreakType;
use cairn_finance::statement::{day_text, plus_days};

use super::{
    BankFacts, BankLine, Covered, LATE_DAYS, Matched, Payout, broken, covers, folded, references,
    spoken,
};

/// Finds them, and what is missing of them. A match that was booked stays; else the same amount comes off the same account between
/// the day on which it arrived and some days after the provider has it: what has its reference before what names the provider, and
/// that before anything else, earlier lines first.
pub(super) fn find<'a>(facts: &'a BankFacts, covered: &[Covered], found: &mut Matched<'a>) {
    let debits: Vec<&BankLine> = facts.lines.iter().filter(|it| it.amount_nanos < 0).collect();
    let booked = facts.payouts.iter().filter_map(|payout| payout.taken_back_by.clone());
    let mut taken: BTreeSet<String> = booked.collect();
    for (payout, arrived) in found.pairs.clone() {
        let Some((returned_by, returned_on)) = &payout.returned else { continue };
        if let Some(id) = &payout.taken_back_by {
            let line = debits.iter().find(|line| line.id() == *id);
            found.backs.extend(line.map(|line| (payout, *line)));
            continue;
        }
        let until = plus_days((*returned_on).max(arrived.booked_on), LATE_DAYS);
        let fits = |line: &&&BankLine| {
            (&line.account, &line.currency) == (&arrived.account, &arrived.currency)
                && line.amount_nanos == -payout.amount_nanos
                && (arrived.booked_on..=until).contains(&line.booked_on)
                && !taken.contains(&line.id())
        };
        let best = debits.iter().filter(fits);
        match best.min_by_key(|line| (unlike(payout, line), line.booked_on, line.id())) {
            Some(line) => {
                taken.insert(line.id());
                found.backs.push((payout, line));
            }
            None if covers(covered, &payout.currency, (arrived.booked_on, until)) => {
                let of = (returned_by.as_str(), *returned_on);
                found.breaks.push(missing(payout, arrived, of, until));
            }
            None => {}
        }
    }
}

/// The less, the surer that the line is of this payout.
fn unlike(payout: &Payout, line: &BankLine) -> u8 {
    let is_traced =
        payout.trace.as_deref().is_some_and(|it| references(line).contains(&folded(it)));
    let text = spoken(&line.text);
    let name = payout.descriptor.as_deref().map(spoken).filter(|name| name != " ");
    match (is_traced, name.is_some_and(|name| text.contains(&name))) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

fn missing(
    payout: &Payout,
    arrived: &BankLine,
    (returned_by, returned_on): (&str, Timestamp),
    until: Timestamp,
) -> super::Break {
    let (has, on, until) = (arrived.id(), day_text(returned_on), day_text(until));
    let message = format!(
        "the bank has it by {has}, the provider has it again since {on}, and no line up to {until} takes it off"
    );
    let of_return = Payout {
        transaction_id: returned_by.to_owned(),
        arrives_on: returned_on,
        ..payout.clone()
    };
    broken(&of_return, None, (BreakType::BankMissing, -payout.amount_nanos, message))
}
