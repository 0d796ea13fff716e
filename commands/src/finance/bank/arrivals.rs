//! What the bank's lines say of payouts is booked: that they arrived, and that they were sent back.
use cairn_payments::{BankLine as Line, Payout as Stream, PayoutCommand, PayoutEvent};

use super::super::FinanceError;
use super::super::payouts::{Booked, payout_id, send};
use super::held;
use super::matching::{BankLine, Matched, Payout};
use crate::{CommandContext, Executor};

/// Books every match of a payout and a line that is not in the books. A payout that our books do not have, since somebody posted it
/// by hand, is left alone; so is one that the provider has again and of which the bank has not sent anything back: it may never
/// have been there.
pub(in super::super) async fn book(
    executor: &Executor,
    context: &CommandContext,
    booked: &mut Booked,
) -> Result<(), FinanceError> {
    let facts = held::facts(executor.log().pool()).await?;
    let Matched { pairs, backs, .. } = Matched::of(&facts);
    let came_back = |payout: &Payout| backs.iter().any(|(back, _)| *back == payout);
    for (payout, line) in &pairs {
        if payout.arrived_by.is_none() && (payout.returned.is_none() || came_back(payout)) {
            let arrive = PayoutCommand::Arrive(said(line));
            tell(executor, context, (payout, line), arrive, booked).await?;
        }
    }
    for (payout, line) in backs.iter().filter(|(payout, _)| payout.taken_back_by.is_none()) {
        let take_back = PayoutCommand::TakeBack(said(line));
        tell(executor, context, (payout, line), take_back, booked).await?;
    }
    Ok(())
}

fn said(line: &BankLine) -> Line {
    Line {
        bank_line_id: line.id(),
        account: line.account.clone(),
        amount_nanos: line.amount_nanos.abs(),
        at: line.booked_on,
    }
}

async fn tell(
    executor: &Executor,
    context: &CommandContext,
    (payout, line): (&Payout, &BankLine),
    command: PayoutCommand,
    booked: &mut Booked,
) -> Result<(), FinanceError> {
    let payout_id = payout_id(&payout.provider_id);
    let (known, _) = executor.load::<Stream>(&payout_id.to_string()).await?;
    if known.payout_id.is_none() {
        return Ok(());
    }
    let name = format!("bank:{}", line.id());
    for event in send(executor, context, (payout_id, &name), command).await? {
        match event {
            PayoutEvent::Arrived { .. } => booked.arrived += 1,
            PayoutEvent::TakenBack { .. } => booked.taken_back += 1,
            PayoutEvent::PaidOut { .. }
            | PayoutEvent::FeeRecorded { .. }
            | PayoutEvent::Returned { .. } => {}
        }
    }
    Ok(())
}
