//! The books of a batch, in the form that the database function `ledger_post` reads.
use cairn_core::BookEntry;
use serde::Serialize;

/// Three lists; every object names its event by its number in the batch, from 1.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Books<'a> {
    journal: Vec<Journal<'a>>,
    postings: Vec<Leg<'a>>,
    holds: Vec<Hold<'a>>,
}

#[derive(Debug, Serialize)]
struct Journal<'a> {
    event: usize,
    kind: &'a str,
    source: &'a str,
    source_id: &'a str,
    currency: &'static str,
    occurred_at: String,
    reverses: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Leg<'a> {
    event: usize,
    leg: usize,
    account: &'a str,
    currency: &'static str,
    amount: i64,
}

#[derive(Debug, Serialize)]
struct Hold<'a> {
    event: usize,
    hold_id: String,
    account: &'a str,
    currency: &'static str,
    expires_at: String,
    reserved: i64,
    captured: i64,
    released: i64,
}

impl<'a> Books<'a> {
    pub(crate) fn add(&mut self, event: usize, entry: &'a BookEntry) {
        if let Some(journal) = &entry.journal {
            let currency = journal.currency.code();
            self.journal.push(Journal {
                event,
                kind: &journal.kind,
                source: &journal.source,
                source_id: &journal.source_id,
                currency,
                occurred_at: journal.occurred_at.to_string(),
                reverses: journal.reverses.as_deref(),
            });
            self.postings.extend(journal.postings.iter().zip(1..).map(|(posting, leg)| Leg {
                event,
                leg,
                account: &posting.account,
                currency,
                amount: posting.amount_nanos,
            }));
        }
        if let Some(hold) = &entry.hold {
            self.holds.push(Hold {
                event,
                hold_id: hold.hold_id.to_string(),
                account: &hold.account,
                currency: hold.currency.code(),
                expires_at: hold.expires_at.to_string(),
                reserved: hold.reserved_nanos,
                captured: hold.captured_nanos,
                released: hold.released_nanos,
            });
        }
    }

    /// Whether any event moves or holds money.
    pub(crate) const fn is_written(&self) -> bool {
        !self.journal.is_empty() || !self.holds.is_empty()
    }
}
