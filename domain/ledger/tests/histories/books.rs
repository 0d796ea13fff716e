//! What the facts write into the books.
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::{Decider, HoldId};
use cairn_ledger::{Wallet, WalletEvent};

/// What the facts write: account balances, and reserved, captured and released of each hold.
#[derive(Debug, Default)]
pub struct Books {
    pub accounts: BTreeMap<String, i128>,
    holds: BTreeMap<(HoldId, String), i64>,
    sources: BTreeSet<(String, String)>,
}

impl Books {
    pub fn write(&mut self, after: &Wallet, event: &WalletEvent) {
        let Some(entry) = after.book_entry(event) else { return };
        for change in entry.hold_changes() {
            let moved = change.reserved_nanos - change.captured_nanos - change.released_nanos;
            let row = (change.hold_id, change.account.clone());
            let left = self.holds.entry(row).or_default();
            *left += moved;
            assert!(*left >= 0, "a hold gives out no more than it has on an account: {change:?}");
        }
        if let Some(journal) = entry.journal {
            assert!(journal.is_balanced(), "{journal:?}");
            let promotional =
                journal.postings.iter().any(|leg| leg.account.starts_with("wallet:promo:"));
            assert!(!(promotional && journal.kind.starts_with("refund")), "{journal:?}");
            assert!(self.sources.insert((journal.source, journal.source_id)), "written twice");
            for posting in journal.postings {
                *self.accounts.entry(posting.account).or_default() +=
                    i128::from(posting.amount_nanos);
            }
        }
    }

    /// What holds have set aside on the accounts that begin so.
    pub fn held(&self, prefix: &str) -> i64 {
        let matching = self.holds.iter().filter(|((_, code), _)| code.starts_with(prefix));
        matching.map(|(_, left)| left).sum()
    }

    pub fn of(&self, prefix: &str) -> i64 {
        let matching = self.accounts.iter().filter(|(code, _)| code.starts_with(prefix));
        i64::try_from(matching.map(|(_, amount)| amount).sum::<i128>()).unwrap()
    }
}

/// By another way: the net amount whose tax makes the gross one, half to the even tax.
pub fn exact_net(gross: i64, ppm: u32) -> i64 {
    let (whole, ppm) = (1_000_000 + i128::from(ppm), i128::from(ppm));
    let doubled = 2 * i128::from(gross) * ppm;
    let floor = doubled / whole / 2;
    let above = doubled - 2 * floor * whole;
    let up = i128::from(above > whole || (above == whole && floor % 2 == 1));
    gross - i64::try_from(floor + up).unwrap()
}
