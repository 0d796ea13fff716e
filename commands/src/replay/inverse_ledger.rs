//! A wallet's facts back to the wish that they answered.
//!
//! Some commands sweep holds and credit whose time is over before they do anything else. The end of a hold does not say at which instant: the
//! earliest one that explains what was swept is taken. Everything else that a command says is in its facts or follows from them.
use cairn_core::{Decider as _, HoldId, JournalTransaction, Month, ProjectId, Timestamp};
use cairn_ledger::{
    CaptureHold, CorrectCharge, DisputeLoss, Dunning, DunningCommand, DunningEvent, GrantCredit,
    HoldStatus, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand as Command,
    WalletEvent as Event,
};

use super::inverse::Inverse;

/// Before everything: no hold has run out of time yet.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

impl Inverse for Wallet {
    fn command_of(&self, facts: &[Event]) -> Option<Command> {
        let is_expiry =
            |fact: &&Event| matches!(fact, Event::HoldExpired { .. } | Event::CreditExpired { .. });
        let (swept, rest) = facts.split_at(facts.iter().take_while(is_expiry).count());
        let at = told_at(rest).unwrap_or_else(|| swept_at(self, swept));
        Some(match rest.first().cloned() {
            None | Some(Event::HoldExpired { .. } | Event::CreditExpired { .. }) => {
                Command::SweepExpired { at }
            }
            // It comes with what it is reached by: here, by what is swept.
            Some(Event::AlertReached { at, .. }) => Command::SweepExpired { at },
            Some(
                said @ (Event::AlertsSet { .. }
                | Event::ProjectAlertsSet { .. }
                | Event::SpendingLimitsSet { .. }
                | Event::ProjectLimitsSet { .. }),
            ) => said_by(said)?,
            Some(Event::ToppedUp {
                organisation_id,
                currency,
                payment_id,
                amount_nanos,
                journal,
            }) => {
                let (charge_id, at) = (journal.source_id, journal.occurred_at);
                let top_up =
                    TopUp { organisation_id, currency, payment_id, amount_nanos, charge_id, at };
                Command::TopUp(top_up)
            }
            Some(placed @ Event::HoldPlaced { .. }) => place_of(self, placed, (swept, rest), at)?,
            Some(
                Event::UsageCaptured { hold_id, .. }
                | Event::OverrunRecorded { hold_id, .. }
                | Event::HoldExtended { hold_id, .. }
                | Event::HoldExtensionRefused { hold_id, .. },
            ) => capture_of(self, hold_id, (swept, rest))?,
            Some(corrected @ Event::UsageCorrected { .. }) => {
                correction_of(corrected, swept_at(self, &rest[1..]))?
            }
            Some(Event::HoldReleased { hold_id, .. }) => {
                let at = told_at(rest).unwrap_or_else(|| swept_at(self, &rest[1..]));
                Command::ReleaseHold { hold_id, at }
            }
            Some(granted @ Event::CreditGranted { .. }) => grant_of(granted)?,
            // Only what was free is set aside: of more, as much would have been.
            Some(Event::PaymentDisputed { dispute_id, payment_id, held_nanos }) => {
                let amount_nanos = held_nanos.max(1);
                Command::HoldDisputed { dispute_id, payment_id, amount_nanos, at }
            }
            Some(Event::DisputeReleased { dispute_id, .. }) => {
                Command::ReleaseDisputed { dispute_id }
            }
            // They come with the hold, and with what they are reached by.
            Some(
                Event::HoldAssigned { .. }
                | Event::SpendingReached { .. }
                | Event::ProjectLimitReached { .. }
                | Event::ProjectAlertReached { .. },
            ) => return None,
            Some(Event::UsageCredited { note, journal, .. }) => credit_of(note, journal),
            Some(lost @ Event::DisputeLost { .. }) => loss_of(lost)?,
            Some(reserved @ Event::RefundReserved { .. }) => refund_of(reserved)?,
            Some(Event::RefundReturned { refund_id, journal, .. }) => {
                Command::ReturnRefund { refund_id, at: journal.occurred_at }
            }
        })
    }
}

impl Inverse for Dunning {
    fn command_of(&self, facts: &[DunningEvent]) -> Option<DunningCommand> {
        let (DunningEvent::StageChanged { seen, .. } | DunningEvent::RunwayCrossed { seen, .. }) =
            facts.first()?;
        Some(DunningCommand::Assess(*seen))
    }
}

/// What somebody has said of limits and alerts.
fn said_by(said: Event) -> Option<Command> {
    Some(match said {
        Event::AlertsSet { organisation_id, currency, alerts, at } => {
            Command::SetAlerts { organisation_id, currency, alerts, at }
        }
        Event::ProjectAlertsSet { organisation_id, currency, project_id, alerts, at } => {
            Command::SetProjectAlerts { organisation_id, currency, project_id, alerts, at }
        }
        Event::SpendingLimitsSet { organisation_id, currency, limits, at } => {
            Command::SetSpendingLimits { organisation_id, currency, limits, at }
        }
        Event::ProjectLimitsSet { organisation_id, currency, project_id, limits, at } => {
            Command::SetProjectLimits { organisation_id, currency, project_id, limits, at }
        }
        _ => return None,
    })
}

/// Which project it is in comes with it.
fn place_of(
    wallet: &Wallet,
    placed: Event,
    (swept, rest): (&[Event], &[Event]),
    at: Timestamp,
) -> Option<Command> {
    let Event::HoldPlaced { hold_id, purpose, amount_nanos, expires_at, .. } = placed else {
        return None;
    };
    let project_id = rest.iter().find_map(|fact| match fact {
        Event::HoldAssigned { project_id, .. } => Some(*project_id),
        _ => None,
    });
    let at = at.max(with_room(wallet, swept, (project_id, amount_nanos)));
    let place = PlaceHold { hold_id, purpose, project_id, amount_nanos, expires_at, at };
    Some(Command::PlaceHold(place))
}

fn credit_of(note: String, journal: JournalTransaction) -> Command {
    let debits = journal.postings.into_iter().filter(|leg| leg.amount_nanos > 0);
    let debits = debits.map(|leg| (leg.account, leg.amount_nanos)).collect();
    Command::CreditUsage { note, debits, at: journal.occurred_at }
}

fn loss_of(lost: Event) -> Option<Command> {
    let Event::DisputeLost { dispute_id, payment_id, amount_nanos, owed_nanos, journal, .. } = lost
    else {
        return None;
    };
    let (amount_nanos, at) = (amount_nanos + owed_nanos, journal.occurred_at);
    Some(Command::LoseDisputed(DisputeLoss { dispute_id, payment_id, amount_nanos, at }))
}

fn refund_of(reserved: Event) -> Option<Command> {
    let Event::RefundReserved { refund_id, payment_id, amount_nanos, reason, journal } = reserved
    else {
        return None;
    };
    let at = journal.occurred_at;
    let reserve = ReserveRefund { refund_id, payment_id, amount_nanos, reason, at };
    Some(Command::ReserveRefund(reserve))
}

fn grant_of(granted: Event) -> Option<Command> {
    let Event::CreditGranted {
        organisation_id,
        currency,
        credit_id,
        amount_nanos,
        expires_at,
        reason,
        journal,
    } = granted
    else {
        return None;
    };
    let at = journal.occurred_at;
    Some(Command::GrantCredit(GrantCredit {
        organisation_id,
        currency,
        credit_id,
        amount_nanos,
        expires_at,
        reason,
        at,
    }))
}

/// What somebody is told with it says when it was asked.
fn told_at(facts: &[Event]) -> Option<Timestamp> {
    facts.iter().find_map(|fact| match fact {
        Event::AlertReached { at, .. } | Event::ProjectAlertReached { at, .. } => Some(*at),
        _ => None,
    })
}

/// When the last of these holds ran out. Credit says when it ended: that is when all of them did.
fn swept_at(wallet: &Wallet, expiries: &[Event]) -> Timestamp {
    let ends = expiries.iter().filter_map(|fact| match fact {
        Event::HoldExpired { hold_id, .. } => {
            Some(wallet.holds.get(&hold_id.to_string())?.expires_at)
        }
        Event::CreditExpired { journal, .. } => Some(journal.occurred_at),
        _ => None,
    });
    ends.max().unwrap_or(NEVER)
}

/// The earliest instant at which there is room below the spending limits to set an amount aside: any, or the next month.
fn with_room(
    wallet: &Wallet,
    swept: &[Event],
    (project_id, amount_nanos): (Option<ProjectId>, i64),
) -> Timestamp {
    let project = project_id.map(|id| wallet.limits_of(id));
    let mut limits = project.into_iter().chain([wallet.spending.limits]);
    if limits.all(|limits| limits.stop_nanos.is_none()) {
        return NEVER;
    }
    let wallet = wallet.clone().evolve_all(swept.to_vec());
    let rooms = [wallet.room_at(NEVER), project_id.and_then(|id| wallet.room_in(id, NEVER))];
    let has_room = rooms.into_iter().flatten().all(|room_nanos| amount_nanos <= room_nanos);
    let next = wallet.spending.month.filter(|_| !has_room).map(Month::ends_at);
    next.unwrap_or(NEVER)
}

/// Only what is proven late is charged out of a hold that was given back.
fn capture_of(wallet: &Wallet, hold_id: HoldId, told: (&[Event], &[Event])) -> Option<Command> {
    let capture = capture(wallet, hold_id, told)?;
    let hold = wallet.holds.get(&hold_id.to_string())?;
    let entry = |event: &Event| match event {
        Event::UsageCaptured { journal, .. } | Event::OverrunRecorded { journal, .. } => {
            Some(journal.occurred_at)
        }
        _ => None,
    };
    let used_at = told.1.iter().find_map(entry).unwrap_or(capture.at);
    Some(match hold.status {
        HoldStatus::Released => Command::CaptureLate { capture, used_at },
        HoldStatus::Open | HoldStatus::Expired => Command::CaptureHold(capture),
    })
}

/// A capture has at most: an extension for the charge, the charge, its overrun, an extension to stay ahead, and what of that was refused.
/// A limit that it reaches is told with it.
/// What it wanted to keep ahead is what it kept and what it was refused.
fn capture(
    wallet: &Wallet,
    hold_id: HoldId,
    (swept, facts): (&[Event], &[Event]),
) -> Option<CaptureHold> {
    let hold = wallet.holds.get(&hold_id.to_string())?;
    let mut found = CaptureHold {
        hold_id,
        total_nanos: hold.charged_nanos(),
        seconds: 0,
        product: String::new(),
        tax: None,
        keep_nanos: 0,
        expires_at: hold.expires_at,
        at: swept_at(wallet, swept),
    };
    let (mut left_nanos, mut ahead_nanos) = (hold.remaining_nanos(), None);
    let mut extended_nanos = 0;
    for (at, fact) in facts.iter().enumerate() {
        match fact {
            Event::HoldExtended { amount_nanos, expires_at, .. } => {
                found.expires_at = *expires_at;
                if matches!(facts.get(at + 1), Some(Event::UsageCaptured { .. })) {
                    left_nanos += amount_nanos;
                } else {
                    extended_nanos = *amount_nanos;
                    ahead_nanos = Some(amount_nanos + ahead_nanos.unwrap_or(0));
                }
            }
            Event::HoldReleased { .. } if hold.status == HoldStatus::Released => {}
            Event::HoldExtensionRefused { wanted_nanos, .. } => {
                ahead_nanos = Some(wanted_nanos + ahead_nanos.unwrap_or(0));
            }
            Event::UsageCaptured { amount_nanos, total_nanos, seconds, tax, journal, .. } => {
                left_nanos -= amount_nanos;
                found.tax = tax.as_ref().map(|part| part.rate.clone());
                charged(&mut found, (*total_nanos, *seconds), journal)?;
            }
            Event::OverrunRecorded { total_nanos, seconds, tax, journal, .. } => {
                found.tax = tax.as_ref().map(|part| part.rate.clone());
                charged(&mut found, (*total_nanos, *seconds), journal)?;
            }
            Event::SpendingReached { at, .. }
            | Event::ProjectLimitReached { at, .. }
            | Event::AlertReached { at, .. }
            | Event::ProjectAlertReached { at, .. } => found.at = *at,
            _ => return None,
        }
    }
    if found.product.is_empty() {
        // Nothing was charged, which would have said when.
        found.at = found.at.max(with_room(wallet, swept, (hold.project_id, extended_nanos)));
    }
    found.keep_nanos = ahead_nanos.map_or(0, |ahead| (left_nanos + ahead).max(1));
    Some(found)
}

fn correction_of(corrected: Event, at: Timestamp) -> Option<Command> {
    let Event::UsageCorrected { hold_id, total_nanos, seconds, invoiced, journal, .. } = corrected
    else {
        return None;
    };
    let product = product(&journal)?;
    let (charged_at, at) = match &invoiced {
        None => (Some(journal.occurred_at), at),
        Some(_) => (None, journal.occurred_at),
    };
    Some(Command::CorrectCharge(CorrectCharge {
        hold_id,
        total_nanos,
        seconds,
        product,
        charged_at,
        invoiced,
        at,
    }))
}

/// The product is in the income account that a charge went to.
fn product(journal: &JournalTransaction) -> Option<String> {
    let income = journal.postings.iter().find_map(|leg| leg.account.strip_prefix("usage:"))?;
    income.split(':').next().map(str::to_owned)
}

fn charged(
    capture: &mut CaptureHold,
    (total_nanos, seconds): (i64, i64),
    journal: &JournalTransaction,
) -> Option<()> {
    capture.product = product(journal)?;
    (capture.total_nanos, capture.seconds, capture.at) =
        (total_nanos, seconds, journal.occurred_at);
    Some(())
}
