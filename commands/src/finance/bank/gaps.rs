//! What lies between two statements of one account. Pure.
use cairn_core::Nanos;
use cairn_finance::statement::day_text;
use serde::Serialize;
use time::Date;

use super::midnight;

/// A statement that says its balances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub account: String,
    pub currency: String,
    pub first_on: Date,
    pub last_on: Date,
    pub opening_nanos: Nanos,
    pub closing_nanos: Nanos,
}

/// Money that moved between two statements and stands in neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Our name of the account.
    pub account: String,
    /// ISO 4217 code.
    pub currency: String,
    /// The last day of the statement before.
    pub after_on: String,
    /// The first day of the statement after.
    pub before_on: String,
    /// What the account had then.
    pub closing_nanos: Nanos,
    /// What it had when the next one began.
    pub opening_nanos: Nanos,
    /// What moved it in between.
    pub missing_nanos: Nanos,
}

/// The gaps between statements, sorted by account, currency and days. Statements that overlap have none between them.
pub(super) fn find(statements: &[Kept]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut before: Option<&Kept> = None;
    for next in statements {
        let same =
            |kept: &&Kept| (&kept.account, &kept.currency) == (&next.account, &next.currency);
        let Some(last) = before.filter(same) else {
            before = Some(next);
            continue;
        };
        if last.last_on < next.first_on && last.closing_nanos != next.opening_nanos {
            gaps.push(Gap {
                account: next.account.clone(),
                currency: next.currency.clone(),
                after_on: day_text(midnight(last.last_on)),
                before_on: day_text(midnight(next.first_on)),
                closing_nanos: last.closing_nanos,
                opening_nanos: next.opening_nanos,
                missing_nanos: next.opening_nanos.saturating_sub(last.closing_nanos),
            });
        }
        if last.last_on < next.last_on {
            before = Some(next);
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::{Kept, find};

    fn kept(account: &str, days: (u8, u8), balances: (i64, i64)) -> Kept {
        let day = |day| time::Date::from_calendar_date(2026, time::Month::October, day).unwrap();
        let (account, currency) = (account.to_owned(), "USD".to_owned());
        let (opening_nanos, closing_nanos) = balances;
        let (first_on, last_on) = (day(days.0), day(days.1));
        Kept { account, currency, first_on, last_on, opening_nanos, closing_nanos }
    }

    #[test]
    fn a_statement_that_does_not_begin_where_the_last_ended_leaves_a_gap() {
        let found = find(&[
            kept("main", (1, 3), (0, 5)),
            kept("main", (2, 2), (1, 2)),
            kept("main", (4, 6), (5, 9)),
            kept("main", (9, 9), (7, 7)),
            kept("other", (10, 10), (1, 1)),
        ]);
        let told: Vec<_> =
            found.iter().map(|gap| (gap.account.as_str(), gap.missing_nanos)).collect();
        assert_eq!(told, [("main", -2)]);
        assert_eq!(
            (found[0].after_on.as_str(), found[0].before_on.as_str()),
            ("2026-10-06", "2026-10-09")
        );
    }
}
