//! From facts about automatic top-ups back to the wish that they answered. How fast they may follow each other is not said: any pace that decides
//! the same will do.
use cairn_core::{Nanos, PaymentId, Timestamp};
use cairn_payments::{
    AutoTopUp, AutoTopUpCommand as Command, AutoTopUpEvent as Event, AutoTopUpLook, Pace,
    SetAutoTopUp,
};

use super::inverse::Inverse;

impl Inverse for AutoTopUp {
    fn command_of(&self, facts: &[Event]) -> Option<Command> {
        let any = |pause_secs, burst| Pace { pause_secs, burst };
        let command = match facts.first()?.clone() {
            Event::Set { organisation_id, currency, enabled, terms, payment_method, at } => {
                Command::Set(SetAutoTopUp {
                    organisation_id,
                    currency,
                    enabled,
                    terms,
                    payment_method,
                    at,
                })
            }
            Event::Begun { attempt, payment_id, available_nanos, at, .. } => {
                Command::Look(AutoTopUpLook {
                    available_nanos,
                    next: (attempt, payment_id),
                    pace: any(0, u32::MAX),
                    at,
                })
            }
            Event::Succeeded { payment_id, paused_until, at, .. } => {
                let pace = any(paused_until.secs_since(at), 0);
                Command::Succeed { payment_id, pace, at }
            }
            Event::Declined { payment_id, code, at, .. } => {
                Command::Decline { payment_id, code, at }
            }
            // Comes after a decline, in the same decision.
            Event::Suspended { .. } => return None,
            Event::Stopped { successes, available_nanos, at, .. } => {
                looked(self, (available_nanos, any(0, successes)), at)
            }
            Event::CapReached { at, .. } => looked(self, (0, any(0, u32::MAX)), at),
        };
        Some(command)
    }
}

/// A look that began nothing: which payment it would have been nobody knows.
const fn looked(
    known: &AutoTopUp,
    (available_nanos, pace): (Nanos, Pace),
    at: Timestamp,
) -> Command {
    let next = (known.attempts.saturating_add(1), PaymentId::from_bits(0));
    Command::Look(AutoTopUpLook { available_nanos, next, pace, at })
}
