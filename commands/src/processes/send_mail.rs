//! Mail to people: codes that prove an address, invitations, what becomes of an organisation's money, the papers about it, and a word when
//! somebody registers an address again.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `user.link_requested` | `send_mail`, until the code is over | none: a code that does not arrive is asked for again |
//! | `user.reminded` | `send_mail` | none |
//! | `user.erasure_requested` | `send_mail`, until it is due | none: who is signed in sees it as well |
//! | `dunning.runway_crossed`, down; `dunning.stage_changed` to one that costs something, or from it | `send_mail` | none: the next step is told again |
//! | `wallet.spending_reached` | `send_mail` | none: the next month tells it again |
//! | `wallet.project_limit_reached` | `send_mail` | none: the next month tells it again |
//! | `wallet.alert_reached`, `wallet.project_alert_reached` | `send_mail` | none: the next time tells it again |
//! | `auto_top_up.succeeded`, `.declined`, `.suspended`, `.stopped`, `.cap_reached` | `send_mail` | none: the API shows it as well |
//! | `payment.action_required` | `send_mail` when nobody has confirmed it after ten minutes, until it is cancelled | none: the notice, the events and the API say it as well |
//! | `payment.failed` after `payment.processing_begun` | `send_mail` | none: the API shows it as well |
//! | `invoice.issued`, `credit_note.issued` | `send_mail`, with the paper; after three days in vain an operator is called | none: it can be had over the API |
//! | `organisation.member_invited` | `send_mail`, until the invitation is over | none: the next invitation ends it |
use cairn_core::Timestamp;
use cairn_finance::{CreditNoteEvent, InvoiceEvent};
use cairn_identity::{OrganisationEvent, UserEvent};
use cairn_ledger::{DunningEvent, Stage, WalletEvent};
use cairn_payments::{AutoTopUpEvent, PaymentEvent};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Effect, Intent};
use super::letter::{FundsNews, Letter, PaperKind, PaymentNews, Reached, TopUpNews};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};
use super::top_up::CONFIRM_SECS;

/// How long a word that has no end of its own is worth sending.
const REMINDER_SECS: i64 = 24 * 3_600;
/// How long a paper is tried before an operator is called: a mail server that is down over a weekend is nobody's loss.
const PAPER_TRIED_SECS: i64 = 3 * 24 * 3_600;
/// How long a paper is worth sending; until then an operator may have it tried again.
const PAPER_SECS: i64 = 30 * 24 * 3_600;

/// How long somebody at a browser takes to confirm a payment: only who has gone away is written to.
const AT_THE_BROWSER_SECS: i64 = 600;

/// The process manager.
#[derive(Debug)]
pub struct SendMail;

/// Each letter is a process of its own, but those about one payment are one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Position of the event that asked for it.
    pub asked_at: i64,
    /// The bank has taken its time with the payment.
    #[serde(default)]
    pub processing: bool,
}

/// The letter that an event asks for, and until when it is worth sending.
fn letter(happened: &Occurrence) -> Option<(Letter, Timestamp)> {
    match &happened.fact {
        Fact::User(UserEvent::LinkRequested { purpose, token, expires_at, .. }) => {
            let user_id = happened.stream.parse().ok()?;
            let token = token.clone();
            Some((Letter::Code { user_id, purpose: *purpose, token }, *expires_at))
        }
        Fact::User(UserEvent::Reminded { at }) => {
            let user_id = happened.stream.parse().ok()?;
            Some((Letter::Reminder { user_id }, at.plus_secs(REMINDER_SECS)))
        }
        Fact::User(UserEvent::ErasureRequested { due_at, .. }) => {
            let user_id = happened.stream.parse().ok()?;
            Some((Letter::Erasure { user_id, due_at: *due_at }, *due_at))
        }
        Fact::Organisation(OrganisationEvent::MemberInvited {
            email,
            role,
            token,
            expires_at,
            ..
        }) => {
            let organisation_id = happened.stream.parse().ok()?;
            let (email, token, role) = (email.clone(), token.clone(), *role);
            Some((Letter::Invitation { organisation_id, email, role, token }, *expires_at))
        }
        Fact::Dunning(event) => funds(event),
        Fact::AutoTopUp(event) => top_up(&happened.stream, event),
        Fact::Payment(event) => payment(&happened.stream, event),
        Fact::Wallet(event) => spent(&happened.stream, event),
        Fact::Invoice(_) | Fact::CreditNote(_) => {
            let (letter, issued_at) = paper(&happened.fact)?;
            Some((letter, issued_at.plus_secs(PAPER_SECS)))
        }
        _ => None,
    }
}

/// What is written of a wallet's limits and alerts that are reached.
fn spent(wallet: &str, event: &WalletEvent) -> Option<(Letter, Timestamp)> {
    let (organisation_id, currency) = wallet.split_once(':')?;
    let (organisation_id, currency) = (organisation_id.parse().ok()?, currency.parse().ok()?);
    let (letter, at) = match *event {
        WalletEvent::SpendingReached { limit, month, limit_nanos, spent_nanos, at } => {
            let project_id = None;
            let reached = Reached { limit, project_id, currency, month, limit_nanos, spent_nanos };
            (Letter::Spending { organisation_id, reached }, at)
        }
        WalletEvent::ProjectLimitReached {
            project_id,
            limit,
            month,
            limit_nanos,
            spent_nanos,
            at,
        } => {
            let project_id = Some(project_id);
            let reached = Reached { limit, project_id, currency, month, limit_nanos, spent_nanos };
            (Letter::Spending { organisation_id, reached }, at)
        }
        WalletEvent::AlertReached { alert, month, seen_nanos, at } => {
            let project_id = None;
            (Letter::Alert { organisation_id, project_id, currency, alert, month, seen_nanos }, at)
        }
        WalletEvent::ProjectAlertReached { project_id, alert, month, spent_nanos, at } => {
            let (project_id, seen_nanos) = (Some(project_id), spent_nanos);
            (Letter::Alert { organisation_id, project_id, currency, alert, month, seen_nanos }, at)
        }
        _ => return None,
    };
    Some((letter, at.plus_secs(REMINDER_SECS)))
}

/// The letter that brings a paper, and when that was issued.
fn paper(fact: &Fact) -> Option<(Letter, Timestamp)> {
    let (organisation_id, paper, number, issued_at) = match fact {
        Fact::Invoice(InvoiceEvent::Issued { invoice }) => {
            (invoice.organisation_id, PaperKind::Invoice, &invoice.number, invoice.issued_at)
        }
        Fact::CreditNote(CreditNoteEvent::Issued { credit_note: note }) => {
            (note.organisation_id, PaperKind::CreditNote, &note.number, note.issued_at)
        }
        _ => return None,
    };
    Some((Letter::Paper { organisation_id, paper, number: number.clone() }, issued_at))
}

/// When an operator is called for a letter that did not leave; the others are over by themselves.
fn give_up_at(fact: &Fact, until: Timestamp) -> Timestamp {
    paper(fact).map_or(until, |(_, issued_at)| issued_at.plus_secs(PAPER_TRIED_SECS))
}

/// What owners are written of their money. That it lasts longer again is no letter: they have just paid.
fn funds(event: &DunningEvent) -> Option<(Letter, Timestamp)> {
    let (seen, about) = match *event {
        DunningEvent::RunwayCrossed { from_hours, to_hours, runs_out_at, seen } => {
            let (hours, runs_out_at) = to_hours.zip(runs_out_at)?;
            if from_hours.is_some_and(|from| from < hours) {
                return None;
            }
            (seen, FundsNews::RunsOut { hours, runs_out_at })
        }
        DunningEvent::StageChanged { from, to, until, seen } => {
            let stopped = matches!(from, Stage::Suspended | Stage::Retention);
            let told = match to {
                Stage::Suspended | Stage::Retention | Stage::Released => true,
                Stage::Ok | Stage::Low | Stage::Grace => stopped,
            };
            (told.then_some(seen)?, FundsNews::Stage { stage: to, until })
        }
    };
    Some((Letter::Funds { seen, about }, seen.at.plus_secs(REMINDER_SECS)))
}

/// What becomes of an automatic top-up. One that is declined for the last time is told as the suspension that follows.
fn top_up(wallet_id: &str, event: &AutoTopUpEvent) -> Option<(Letter, Timestamp)> {
    let (news, at) = match event.clone() {
        AutoTopUpEvent::Succeeded { amount_nanos, taken_nanos, month, at, .. } => {
            (TopUpNews::Taken { amount_nanos, taken_nanos, month }, at)
        }
        AutoTopUpEvent::Declined { amount_nanos, code, again_at, at, .. } => {
            (TopUpNews::Declined { amount_nanos, code, again_at: again_at? }, at)
        }
        AutoTopUpEvent::Suspended { code, declines, at } => {
            (TopUpNews::Suspended { code, declines }, at)
        }
        AutoTopUpEvent::Stopped { successes, since, available_nanos, at } => {
            (TopUpNews::Stopped { successes, since, available_nanos }, at)
        }
        AutoTopUpEvent::CapReached {
            month, monthly_cap_nanos, taken_nanos, again_at, at, ..
        } => (TopUpNews::CapReached { month, monthly_cap_nanos, taken_nanos, again_at }, at),
        AutoTopUpEvent::Set { .. } | AutoTopUpEvent::Begun { .. } => return None,
    };
    let (organisation_id, currency) = wallet_id.split_once(':')?;
    let (organisation_id, currency) = (organisation_id.parse().ok()?, currency.parse().ok()?);
    Some((Letter::TopUp { organisation_id, currency, news }, at.plus_secs(REMINDER_SECS)))
}

/// What becomes of a payment. That one failed is only worth a letter when the bank was at it: else whoever paid was there, and was told.
fn payment(payment_id: &str, event: &PaymentEvent) -> Option<(Letter, Timestamp)> {
    let (news, until) = match event {
        PaymentEvent::ActionRequired { at } => {
            let until = at.plus_secs(CONFIRM_SECS);
            (PaymentNews::ActionRequired { until }, until)
        }
        PaymentEvent::Failed { code, at, .. } => {
            (PaymentNews::FailedLate { code: code.clone() }, at.plus_secs(REMINDER_SECS))
        }
        PaymentEvent::Requested { .. }
        | PaymentEvent::MethodNamed { .. }
        | PaymentEvent::Submitted { .. }
        | PaymentEvent::ProcessingBegun { .. }
        | PaymentEvent::Succeeded { .. }
        | PaymentEvent::FeeRecorded { .. } => return None,
    };
    Some((Letter::Payment { payment_id: payment_id.parse().ok()?, news }, until))
}

impl ProcessManager for SendMail {
    const NAME: &'static str = "send_mail";
    const READS: &'static [&'static str] = &[
        "user",
        "organisation",
        "dunning",
        "wallet",
        "auto_top_up",
        "payment",
        "invoice_series",
        "credit_note_series",
    ];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Payment(
                PaymentEvent::ActionRequired { .. }
                | PaymentEvent::ProcessingBegun { .. }
                | PaymentEvent::Failed { .. },
            ) => Some(happened.stream.clone()),
            _ => letter(happened).map(|_| format!("{}/{}", happened.stream, happened.position)),
        }
    }

    fn evolve(state: State, happened: &Occurrence) -> State {
        let begun = matches!(happened.fact, Fact::Payment(PaymentEvent::ProcessingBegun { .. }));
        State { asked_at: happened.position, processing: state.processing || begun }
    }

    fn react(state: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        if matches!(happened.fact, Fact::Payment(PaymentEvent::Failed { .. })) && !state.processing
        {
            return vec![];
        }
        let send = letter(happened).map(|(letter, until)| {
            let give_up_at = give_up_at(&happened.fact, until);
            let send = Intent::effect(Effect::SendMail { letter, until }, Some(give_up_at));
            match happened.fact {
                Fact::Payment(PaymentEvent::ActionRequired { at }) => {
                    send.not_before(at.plus_secs(AT_THE_BROWSER_SECS))
                }
                _ => send,
            }
        });
        send.into_iter().collect()
    }

    fn due(_: &State, _: Alarm, _: &Settings) -> Awoken {
        Awoken::default()
    }

    fn status(_: &State) -> Status {
        Status::Done
    }
}
