//! Giving back what a credit note says: the paper is issued first, and the wallet takes the money in under the paper's number.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `credit_note.issued` | `credit_usage` on the wallet, until it is done | none: a paper is never taken back |
//! | `wallet.usage_credited` | – (done) | – |
use std::collections::BTreeMap;

use cairn_core::{Nanos, chart};
use cairn_finance::{CreditNote, CreditNoteEvent};
use cairn_ledger::{WalletEvent, wallet_id};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Intent};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct CreditInvoice;

/// What is remembered of a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub number: String,
    pub given_back: bool,
}

impl ProcessManager for CreditInvoice {
    const NAME: &'static str = "credit_invoice";
    const READS: &'static [&'static str] = &["credit_note_series", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::CreditNote(CreditNoteEvent::Issued { credit_note }) => {
                Some(credit_note.number.clone())
            }
            Fact::Wallet(WalletEvent::UsageCredited { note, .. }) => Some(note.clone()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::CreditNote(CreditNoteEvent::Issued { credit_note }) => {
                state.number.clone_from(&credit_note.number);
            }
            Fact::Wallet(WalletEvent::UsageCredited { .. }) => state.given_back = true,
            _ => {}
        }
        state
    }

    fn react(_: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        match &happened.fact {
            Fact::CreditNote(CreditNoteEvent::Issued { credit_note }) => {
                vec![Intent::command(wish(credit_note))]
            }
            _ => vec![],
        }
    }

    fn due(_: &State, _: Alarm, _: &Settings) -> Awoken {
        Awoken::default()
    }

    fn status(state: &State) -> Status {
        if state.given_back { Status::Done } else { Status::Running }
    }
}

/// From which accounts how much is given back.
fn wish(note: &CreditNote) -> Command {
    let mut debits = BTreeMap::<String, Nanos>::new();
    for line in &note.lines {
        let income = chart::usage(&line.product, note.currency);
        *debits.entry(income).or_default() += line.net.nanos;
        for tax in &line.taxes {
            let account = format!("tax:{}:{}", tax.jurisdiction, note.currency);
            *debits.entry(account).or_default() += tax.amount.nanos;
        }
    }
    Command::CreditUsage {
        wallet_id: wallet_id(note.organisation_id, note.currency),
        note: note.number.clone(),
        debits: debits.into_iter().filter(|(_, nanos)| *nanos != 0).collect(),
    }
}
