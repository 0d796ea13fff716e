//! One stream as it stood at any point of the log.
use cairn_commands::replay::{At, ReplayError, state, types};
use cairn_core::{AllocationId, Currency};
use cairn_event_log::EventLog;
use cairn_ledger::wallet_id;
use sqlx::PgPool;

use super::append::append;
use super::log::{golden_log, replayed};
use super::story::ORGANISATION;

#[sqlx::test(migrations = "../migrations")]
async fn every_stream_folds_at_every_position(pool: PgPool) {
    replayed(&pool).await;
    for (event, position) in golden_log().into_iter().zip(1..) {
        let (kind, id) = (event.aggregate_type, event.aggregate_id);
        let then = state(&pool, &kind, &id, At::Position(position)).await.unwrap();
        assert_eq!(then["sequence"], event.sequence);
        assert_eq!(then["position"], position);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_past_stays_as_it_was(pool: PgPool) {
    replayed(&pool).await;
    let id = wallet_id(ORGANISATION, Currency::USD);
    let first = golden_log().iter().position(|event| event.aggregate_id == id).unwrap();
    let position = i64::try_from(first).unwrap() + 1;
    let then = state(&pool, "wallet", &id, At::Position(position)).await.unwrap();
    assert_eq!(then["state"]["posted_nanos"], 20_000_000_000_i64);
    let now = state(&pool, "wallet", &id, At::Head).await.unwrap();
    assert_ne!(now["state"], then["state"]);
    let before = state(&pool, "wallet", &id, At::Position(position - 1)).await;
    assert!(matches!(before, Err(ReplayError::NotFound(..))));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_instant_means_all_that_was_recorded_by_then(pool: PgPool) {
    let log = EventLog::over(pool.clone());
    let told = golden_log();
    append(&log, &told, 1).await;
    let recorded = log.read(0, 1_000).await.unwrap();
    for event in recorded.iter().step_by(7) {
        let (kind, id) = (event.aggregate_type.as_str(), event.aggregate_id.as_str());
        let then = state(&pool, kind, id, At::Time(event.recorded_at)).await.unwrap();
        let by_then = recorded.iter().filter(|other| {
            (other.aggregate_type.as_str(), other.aggregate_id.as_str()) == (kind, id)
                && other.recorded_at <= event.recorded_at
        });
        assert_eq!(then["sequence"], by_then.map(|other| other.sequence).max().unwrap());
    }
    let id = &told[0].aggregate_id;
    let kind = &told[0].aggregate_type;
    let long_ago = state(&pool, kind, id, "2000-01-01T00:00:00Z".parse().unwrap()).await;
    assert!(matches!(long_ago, Err(ReplayError::NotFound(..))));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_does_not_exist_is_said_to_be_missing(pool: PgPool) {
    let unknown = state(&pool, "cathedral", "x", At::Head).await.unwrap_err();
    assert!(matches!(unknown, ReplayError::UnknownType(..)));
    assert!(unknown.to_string().contains("wallet"), "it says which types there are");
    let id = AllocationId::from_bits(99).to_string();
    let missing = state(&pool, "allocation", &id, At::Head).await;
    assert!(matches!(missing, Err(ReplayError::NotFound(..))));
    assert_eq!(types().len(), 28);
}

#[test]
fn a_point_of_the_log_is_a_position_or_an_instant() {
    assert_eq!("42".parse(), Ok(At::Position(42)));
    assert_eq!("head".parse(), Ok(At::Head));
    assert!(matches!("2026-01-31T09:00:00Z".parse(), Ok(At::Time(_))));
    assert!("last week".parse::<At>().is_err());
}
