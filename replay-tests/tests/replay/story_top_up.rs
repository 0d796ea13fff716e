//! Automatic top-ups in the story: taken, beyond the cap, declined until it was suspended, and stopped by a burst.
use cairn_core::{Currency, OrganisationId, PaymentId};
use cairn_ledger::wallet_id;
use cairn_payments::{AutoTopUp, AutoTopUpCommand, AutoTopUpLook, Pace, SetAutoTopUp, Terms};

use super::story::{Teller, at, text};

const UNIT: i64 = 1_000_000_000;
const FILLED: OrganisationId = OrganisationId::from_bits(55);
const PACE: Pace = Pace { pause_secs: 600, burst: 3 };

pub fn tell(teller: &mut Teller) {
    teller.tell::<AutoTopUp>(&wallet_id(FILLED, Currency::USD), filled());
}

fn filled() -> Vec<AutoTopUpCommand> {
    let set = |enabled, cap: Option<i64>, secs| {
        AutoTopUpCommand::Set(SetAutoTopUp {
            organisation_id: FILLED,
            currency: Currency::USD,
            enabled,
            terms: cap.map(|cap| Terms {
                threshold_nanos: 5 * UNIT,
                amount_nanos: 20 * UNIT,
                monthly_cap_nanos: cap * UNIT,
            }),
            payment_method: cap.map(|_| text("pm_card_visa")),
            at: at(secs),
        })
    };
    let payment = |n: u32| PaymentId::from_bits(5_500 + u128::from(n));
    let look = |n: u32, available: i64, secs| {
        AutoTopUpCommand::Look(AutoTopUpLook {
            available_nanos: available * UNIT,
            next: (n, payment(n)),
            pace: PACE,
            at: at(secs),
        })
    };
    let succeed =
        |n, secs| AutoTopUpCommand::Succeed { payment_id: payment(n), pace: PACE, at: at(secs) };
    let decline = |n, code, secs| AutoTopUpCommand::Decline {
        payment_id: payment(n),
        code: text(code),
        at: at(secs),
    };
    vec![
        set(false, None, 5_000),
        set(true, Some(40), 5_001),
        look(1, 4, 5_010),
        succeed(1, 5_013),
        look(2, 3, 5_700),
        decline(2, "card_declined", 5_702),
        look(3, 1, 9_400),
        // The one before was taken after all.
        succeed(2, 9_401),
        decline(3, "expired_card", 9_402),
        set(true, Some(1_000), 9_500),
        look(4, 1, 10_100),
        succeed(4, 10_103),
        look(5, 1, 10_800),
        succeed(5, 10_803),
        look(6, 1, 11_500),
        set(true, Some(60), 11_600),
        look(6, 1, 11_650),
        set(false, None, 11_700),
    ]
}
