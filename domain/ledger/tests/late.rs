//! What is proven late is charged to whoever had it, also when nothing is set aside for it any more.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::{Currency, Decider, HoldId, OrganisationId, PaymentId, Timestamp};
use cairn_ledger::{
    CaptureHold, HoldStatus, PlaceHold, TopUp, Wallet, WalletCommand, WalletEvent as Event,
};

const CENT: i64 = 10_000_000;
const HOLD: HoldId = HoldId::from_bits(1);

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn capture(cents: i64) -> CaptureHold {
    CaptureHold {
        hold_id: HOLD,
        total_nanos: cents * CENT,
        seconds: cents,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at: at(3_600),
        at: at(900),
    }
}

fn late(cents: i64) -> WalletCommand {
    WalletCommand::CaptureLate { capture: capture(cents), used_at: at(100) }
}

fn tell(wallet: &mut Wallet, command: WalletCommand) -> Vec<Event> {
    let events = wallet.decide(command).unwrap();
    *wallet = events.iter().cloned().fold(wallet.clone(), Wallet::evolve);
    events
}

/// Ten cents paid in, four of them used, and the hold given back.
fn settled() -> Wallet {
    let mut wallet = Wallet::default();
    let top_up = TopUp {
        organisation_id: OrganisationId::from_bits(1),
        currency: Currency::EUR,
        payment_id: PaymentId::from_bits(1),
        amount_nanos: 10 * CENT,
        charge_id: "ch_1".to_owned(),
        at: at(0),
    };
    let place = PlaceHold {
        hold_id: HOLD,
        purpose: "alloc".to_owned(),
        project_id: None,
        amount_nanos: 5 * CENT,
        expires_at: at(3_600),
        at: at(0),
    };
    tell(&mut wallet, WalletCommand::TopUp(top_up));
    tell(&mut wallet, WalletCommand::PlaceHold(place));
    tell(&mut wallet, WalletCommand::CaptureHold(CaptureHold { at: at(50), ..capture(4) }));
    tell(&mut wallet, WalletCommand::ReleaseHold { hold_id: HOLD, at: at(60) });
    wallet
}

#[test]
fn a_hold_that_was_given_back_pays_out_of_what_is_available_and_the_rest_is_owed() {
    let mut wallet = settled();
    let events = tell(&mut wallet, late(12));
    let [
        Event::HoldExtended { amount_nanos: more, .. },
        Event::UsageCaptured { amount_nanos: paid, journal, .. },
        Event::OverrunRecorded { amount_nanos: owed, .. },
        Event::HoldReleased { amount_nanos: 0, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*more, *paid, *owed), (6 * CENT, 6 * CENT, 2 * CENT));
    assert_eq!(journal.occurred_at, at(100), "it is of when it was used");
    let hold = &wallet.holds[&HOLD.to_string()];
    assert_eq!((hold.status, hold.charged_nanos()), (HoldStatus::Released, 12 * CENT));
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (0, 0));
    assert_eq!(tell(&mut wallet, late(12)), [], "once");
    assert_eq!(tell(&mut wallet, late(11)), []);
    assert_eq!(tell(&mut wallet, late(13)).len(), 1, "nothing is left: all of it is owed");
}

#[test]
fn a_hold_that_is_open_pays_first_and_stays_open() {
    let mut wallet = settled();
    let place = PlaceHold {
        hold_id: HoldId::from_bits(2),
        purpose: "other".to_owned(),
        project_id: None,
        amount_nanos: 5 * CENT,
        expires_at: at(3_600),
        at: at(70),
    };
    tell(&mut wallet, WalletCommand::PlaceHold(place));
    let capture = CaptureHold { hold_id: HoldId::from_bits(2), ..capture(3) };
    let events = tell(&mut wallet, WalletCommand::CaptureLate { capture, used_at: at(100) });
    assert!(matches!(events[..], [Event::UsageCaptured { .. }]), "{events:?}");
    assert_eq!(wallet.holds[&HoldId::from_bits(2).to_string()].status, HoldStatus::Open);
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (2 * CENT, CENT));
}
