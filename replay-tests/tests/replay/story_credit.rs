//! Promotional credit in the story: given, set aside, spent before paid money, expired, and kept by a hold beyond its time.
use cairn_core::{CreditId, Currency, HoldId, OrganisationId, PaymentId};
use cairn_ledger::{CaptureHold, GrantCredit, PlaceHold, TopUp, WalletCommand};

use super::story::{at, text};

const UNIT: i64 = 1_000_000_000;
pub const WELCOMED: OrganisationId = OrganisationId::from_bits(6);
const HOLD: HoldId = HoldId::from_bits(7);

fn grant(number: u128, units: i64, expires: i64) -> WalletCommand {
    WalletCommand::GrantCredit(GrantCredit {
        organisation_id: WELCOMED,
        currency: Currency::USD,
        credit_id: CreditId::from_bits(number),
        amount_nanos: units * UNIT,
        expires_at: at(expires),
        reason: text("welcome"),
        at: at(1_300),
    })
}

pub fn welcome() -> Vec<WalletCommand> {
    let top_up = WalletCommand::TopUp(TopUp {
        organisation_id: WELCOMED,
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(6),
        amount_nanos: 10 * UNIT,
        charge_id: text("ch_6"),
        at: at(1_301),
    });
    let place = |number, units, expires, now| {
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HoldId::from_bits(number),
            purpose: text("alloc_7"),
            project_id: None,
            amount_nanos: units * UNIT,
            expires_at: at(expires),
            at: at(now),
        })
    };
    let charge = WalletCommand::CaptureHold(CaptureHold {
        hold_id: HOLD,
        total_nanos: 7 * UNIT,
        seconds: 60,
        product: text("compute"),
        tax: None,
        keep_nanos: 3 * UNIT,
        expires_at: at(9_000),
        at: at(1_360),
    });
    vec![
        grant(1, 5, 2_000),
        grant(2, 4, 1_900),
        top_up,
        place(7, 6, 1_800, 1_302),
        // Seven of nine are used, and two kept with one that was paid.
        charge,
        place(8, 1, 1_400, 1_361),
        WalletCommand::SweepExpired { at: at(2_500) },
        WalletCommand::ReleaseHold { hold_id: HOLD, at: at(2_600) },
    ]
}
