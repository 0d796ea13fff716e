//! Giving back what a credit note says: the paper is issued first, and the wallet takes the money in under the paper's number. Of what a
//! correction of usage takes off an invoice the money moves first, and the paper follows: it moves none.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `credit_note.issued` | `credit_usage` on the wallet, until it is done | none: a paper is never taken back |
//! | `wallet.usage_credited` | – (done) | – |
//! | `wallet.usage_corrected`, of what is on an invoice | effect `issue_note`, until it is done | none: a paper is never taken back |
//! | `credit_note.issued`, about a correction | – (done) | – |
use std::collections::BTreeMap;

use cairn_core::{Nanos, chart};
use cairn_finance::{CreditNote, CreditNoteEvent};
use cairn_ledger::{WalletEvent, off_invoice, wallet_id};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Effect, Intent};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct CreditInvoice;

/// What is remembered of a credit note; it has no number before it is issued.
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
                let entry = credit_note.correction.as_ref().map(|it| it.entry.clone());
                Some(entry.unwrap_or_else(|| credit_note.number.clone()))
            }
            Fact::Wallet(WalletEvent::UsageCredited { note, .. }) => Some(note.clone()),
            Fact::Wallet(event) => off_invoice(event).map(|off| off.entry),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::CreditNote(CreditNoteEvent::Issued { credit_note }) => {
                state.number.clone_from(&credit_note.number);
            }
            // Whatever of a wallet is led here has given back.
            Fact::Wallet(_) => state.given_back = true,
            _ => {}
        }
        state
    }

    fn react(_: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        match &happened.fact {
            Fact::CreditNote(CreditNoteEvent::Issued { credit_note })
                if credit_note.correction.is_none() =>
            {
                vec![Intent::command(wish(credit_note))]
            }
            Fact::Wallet(event) => {
                let paper = |off| Intent::effect(Effect::IssueNote(off), None);
                off_invoice(event).map(paper).into_iter().collect()
            }
            _ => vec![],
        }
    }

    fn due(_: &State, _: Alarm, _: &Settings) -> Awoken {
        Awoken::default()
    }

    fn status(state: &State) -> Status {
        let is_done = state.given_back && !state.number.is_empty();
        if is_done { Status::Done } else { Status::Running }
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
