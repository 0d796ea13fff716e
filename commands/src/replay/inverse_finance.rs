//! From facts about breaks, periods and payouts back to the wish that they answered.
use cairn_core::JournalTransaction;
use cairn_finance::break_case::Means;
use cairn_finance::{
    Account, BreakCase, BreakCommand, BreakEvent, Period, PeriodCommand, PeriodEvent, Resolution,
    Transfer,
};
use cairn_payments::{BankLine, PayOut, Payout, PayoutCommand, PayoutEvent};

use super::inverse::Inverse;

impl Inverse for BreakCase {
    fn command_of(&self, facts: &[BreakEvent]) -> Option<BreakCommand> {
        use BreakCommand as C;
        use BreakEvent as E;
        let command = match facts.first()?.clone() {
            E::Found { item, at } | E::Restated { item, at } | E::Reopened { item, at } => {
                C::Find { item, at }
            }
            E::Assigned { owner, due_at, reason, at } => C::Assign { owner, due_at, reason, at },
            E::Cleared { at } => C::Clear { at },
            E::Resolved { approved_by: Some(actor), reason, at, .. } => {
                C::Approve { actor, reason: reason?, at }
            }
            E::ResolutionProposed {
                resolution,
                cause,
                journal,
                proposed_by: actor,
                limit_nanos,
                at,
            }
            | E::Resolved {
                resolution,
                cause,
                journal,
                resolved_by: actor,
                limit_nanos,
                at,
                approved_by: None,
                reason: _,
            } => {
                let by = means(resolution, journal)?;
                C::Resolve { by, cause, actor, limit_nanos, at }
            }
        };
        Some(command)
    }
}

fn means(resolution: Resolution, journal: Option<JournalTransaction>) -> Option<Means> {
    match resolution {
        Resolution::Explained => Some(Means::Explain),
        Resolution::WrittenOff => Some(Means::WriteOff),
        Resolution::Posted => {
            let postings = journal?.postings;
            let debit = postings.iter().find(|leg| leg.amount_nanos > 0)?;
            let credit = postings.iter().find(|leg| leg.amount_nanos < 0)?;
            let account = |code: &str| Account::try_new(code).ok();
            Some(Means::Post(Transfer {
                debit: account(&debit.account)?,
                credit: account(&credit.account)?,
                amount_nanos: debit.amount_nanos,
            }))
        }
    }
}

impl Inverse for Period {
    fn command_of(&self, facts: &[PeriodEvent]) -> Option<PeriodCommand> {
        let command = match facts.first()?.clone() {
            PeriodEvent::Closed { month, checks, books, closed_by: actor, at, .. } => {
                PeriodCommand::Close { month, checks, books, actor, at }
            }
            PeriodEvent::Reopened { month, reason, reopened_by: actor, at } => {
                PeriodCommand::Reopen { month, later: vec![], reason, actor, at }
            }
        };
        Some(command)
    }
}

impl Inverse for Payout {
    fn command_of(&self, facts: &[PayoutEvent]) -> Option<PayoutCommand> {
        use PayoutCommand as C;
        use PayoutEvent as E;
        let line = |bank_line_id, account, journal: JournalTransaction| {
            let amount_nanos = journal.postings.first().map(|leg| leg.amount_nanos)?;
            Some(BankLine { bank_line_id, account, amount_nanos, at: journal.occurred_at })
        };
        let command = match facts.first()?.clone() {
            E::PaidOut {
                payout_id,
                provider_id,
                transaction_id,
                currency,
                amount_nanos,
                journal,
            } => C::PayOut(PayOut {
                payout_id,
                provider_id,
                transaction_id,
                currency,
                amount_nanos,
                at: journal.occurred_at,
            }),
            E::FeeRecorded { transaction_id, fee_nanos, journal } => {
                C::RecordFee { transaction_id, fee_nanos, at: journal.occurred_at }
            }
            E::Returned { transaction_id, amount_nanos, journal } => {
                C::Return { transaction_id, amount_nanos, at: journal.occurred_at }
            }
            E::Arrived { bank_line_id, account, journal } => {
                C::Arrive(line(bank_line_id, account, journal)?)
            }
            E::TakenBack { bank_line_id, account, journal } => {
                C::TakeBack(line(bank_line_id, account, journal)?)
            }
        };
        Some(command)
    }
}
