//! Holds end at their time: what that wants, as data, and on a real database in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::processes::expire_hold::ExpireHold;
use cairn_commands::processes::{Awoken, Command, Occurrence, Status, Timer};
use cairn_core::{Currency, HoldId};
use cairn_ledger::{PlaceHold, Wallet, WalletCommand, WalletEvent};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::harness::{Harness, Memory, usd};
use support::react::{HOLD, NOW, command, given, timer, wallet, wallet_id};

const EXPIRY: Timer = Timer::HoldExpiry { since: 7 };

fn placed(expires_secs: i64) -> Occurrence {
    let (purpose, expires_at) = ("rent".to_owned(), NOW.plus_secs(expires_secs));
    wallet(WalletEvent::HoldPlaced {
        hold_id: HOLD,
        purpose,
        amount_nanos: 5,
        promotional_nanos: 0,
        expires_at,
    })
}

fn extended(expires_secs: i64) -> Occurrence {
    let expires_at = NOW.plus_secs(expires_secs);
    let event = WalletEvent::HoldExtended {
        hold_id: HOLD,
        amount_nanos: 5,
        promotional_nanos: 0,
        expires_at,
    };
    Occurrence { position: 8, ..wallet(event) }
}

fn expired() -> Occurrence {
    wallet(WalletEvent::HoldExpired { hold_id: HOLD, amount_nanos: 5, promotional_nanos: 0 })
}

fn swept() -> Awoken {
    let sweep = Command::SweepHolds { wallet_id: wallet_id() };
    Awoken { intents: vec![command(sweep)], again_at: None }
}

#[test]
fn a_hold_is_swept_when_its_time_is_over_and_not_before() {
    assert_eq!(given::<ExpireHold>(&[]).when(placed(60)), [timer(EXPIRY, 60)]);
    assert_eq!(given::<ExpireHold>(&[placed(60)]).due(EXPIRY, 60), swept());
    given::<ExpireHold>(&[placed(60)]).is(Status::Running);
    let longer = [placed(60), extended(90)];
    assert_eq!(given::<ExpireHold>(&[placed(60)]).when(extended(90)), [], "the timer runs");
    let later = Awoken { intents: vec![], again_at: Some(NOW.plus_secs(90)) };
    assert_eq!(given::<ExpireHold>(&longer).due(EXPIRY, 60), later);
    assert_eq!(given::<ExpireHold>(&longer).due(EXPIRY, 90), swept());
}

#[test]
fn a_hold_that_is_over_is_left_alone_until_late_usage_opens_it_again() {
    let released =
        wallet(WalletEvent::HoldReleased { hold_id: HOLD, amount_nanos: 5, promotional_nanos: 0 });
    for over in [released, expired()] {
        let history = [placed(60), over];
        given::<ExpireHold>(&history).is(Status::Done);
        assert_eq!(given::<ExpireHold>(&history).due(EXPIRY, 60), Awoken::default());
    }
    let again = Timer::HoldExpiry { since: 8 };
    let history = [placed(60), expired()];
    assert_eq!(given::<ExpireHold>(&history).when(extended(90)), [timer(again, 90)]);
    let history = [placed(60), expired(), extended(90)];
    assert_eq!(given::<ExpireHold>(&history).due(EXPIRY, 90), Awoken::default(), "an older one");
    assert_eq!(given::<ExpireHold>(&history).due(again, 90), swept());
}

#[sqlx::test(migrations = "../migrations")]
async fn money_that_nobody_asks_for_comes_back_when_its_hold_is_over(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    support::stories::top_up(&mut harness, organisation_id, 20).await;
    let wallet_id = cairn_ledger::wallet_id(organisation_id, Currency::USD);
    let now = harness.commands.clock.now();
    let hold = WalletCommand::PlaceHold(PlaceHold {
        hold_id: HoldId::from_bits(harness.commands.ids.next()),
        purpose: "a test".to_owned(),
        project_id: None,
        amount_nanos: usd(5).nanos,
        expires_at: now.plus_secs(300),
        at: now,
    });
    let (executor, context) = (harness.commands.executor.clone(), harness.context());
    executor.execute::<Wallet>(&wallet_id, hold, &context, Value::Null).await.unwrap();
    harness.run_for(290).await;
    assert_eq!(harness.load::<Wallet>(&wallet_id).await.held_nanos, usd(5).nanos);
    harness.run_for(20).await;
    let wallet: Wallet = harness.load(&wallet_id).await;
    assert_eq!((wallet.held_nanos, wallet.posted_nanos), (0, usd(20).nanos));
}
