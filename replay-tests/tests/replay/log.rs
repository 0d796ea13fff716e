//! The golden log: events of an earlier day, appended to a real database and folded to the digest recorded then.
use cairn_commands::MADE_BY;
use cairn_commands::replay::{VerifyReport, verify, verify_in_pages};
use cairn_core::{DomainEvent as _, StoredEvent as _};
use cairn_event_log::EventLog;
use cairn_ledger::WalletEvent;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::append::append;
use super::events::golden;
use super::story::{Told, story};

pub fn golden_log() -> Vec<Told> {
    let text = std::fs::read_to_string(golden("logs").join("story.ndjson")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The latest recorded digest and its number. A new one is due only when a state gains a field; snapshots are then made anew.
fn recorded() -> (u32, String) {
    let kept = |number: u32| {
        let path = golden("logs").join(format!("story.{number}.digest"));
        std::fs::read_to_string(path).ok().map(|text| (number, text.trim().to_owned()))
    };
    (1..).map_while(kept).last().unwrap_or_default()
}

pub async fn replayed(pool: &PgPool) -> VerifyReport {
    verified(pool, &golden_log()).await
}

/// Today's story, which has every event that there is.
pub async fn retold(pool: &PgPool) -> VerifyReport {
    verified(pool, &story()).await
}

async fn verified(pool: &PgPool, told: &[Told]) -> VerifyReport {
    let log = EventLog::over(pool.clone());
    append(&log, told, 1_000).await;
    let report = verify(pool).await.unwrap();
    assert!(report.identical, "{:?}", report.differences);
    report
}

#[sqlx::test(migrations = "../migrations")]
async fn the_golden_log_folds_to_the_recorded_digest(pool: PgPool) {
    let report = replayed(&pool).await;
    assert_eq!(report.digest, recorded().1, "old events fold to another state than they did");
    assert_eq!(report.events, i64::try_from(golden_log().len()).unwrap());
    assert_eq!((report.streams, report.wallets, report.holds), (12, 1, 3));
    assert_eq!(report.differences_found, 0);
}

#[test]
fn snapshots_are_made_anew_when_a_state_changes() {
    let number = format!(" states {}", recorded().0);
    assert!(
        MADE_BY.ends_with(&number),
        "'{MADE_BY}' in commands/src/executor.rs must end in '{number}'"
    );
}

#[test]
fn the_story_is_still_told_as_it_was() {
    // From its eighth event on the wallet is older than the decision that extends a hold by what there is. Facts stay as they were
    // told; what they fold to is still held against the digest.
    // These were told in earlier versions of their events; what each reads as is held against its golden file.
    let newer = [
        "api_key.created",
        "sku.priced",
        "allocation.requested",
        "allocation.repriced",
        "allocation.resize_requested",
        "allocation.resized",
    ];
    let as_decided = |told: &Told| {
        (told.aggregate_type != "wallet" || told.sequence < 8)
            && !newer.contains(&&*told.event_type)
    };
    let mut kept = golden_log();
    kept.retain(as_decided);
    // Holds were told before there was promotional credit: they are held against what they read as.
    for told in kept.iter_mut().filter(|told| told.aggregate_type == "wallet") {
        let version = told.event_version.parse().unwrap();
        let read = WalletEvent::from_stored(&told.event_type, version, &told.payload).unwrap();
        told.event_version = read.event_version();
        told.payload = serde_json::to_value(&read).unwrap();
    }
    let mut told = story();
    told.retain(as_decided);
    assert_eq!(told[..kept.len()], kept[..], "a decision or an encoding changed");
}

#[sqlx::test(migrations = "../migrations")]
async fn the_digest_depends_neither_on_pages_nor_on_how_the_log_was_written(pool: PgPool) {
    let report = replayed(&pool).await;
    for page in [1, 7, 50, 100_000] {
        assert_eq!(verify_in_pages(&pool, page).await.unwrap(), report, "{page}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn events_appended_one_by_one_fold_to_the_same(pool: PgPool) {
    let log = EventLog::over(pool.clone());
    append(&log, &golden_log(), 1).await;
    assert_eq!(verify(&pool).await.unwrap().digest, recorded().1);
}

#[sqlx::test(migrations = "../migrations")]
async fn streams_may_interleave_without_changing_their_states(pool: PgPool) {
    let mut told = golden_log();
    // Round robin over the streams. The journal's reversals still follow what they reverse.
    told.sort_by_key(|event| event.sequence);
    let log = EventLog::over(pool.clone());
    append(&log, &told, 3).await;
    let report = verify(&pool).await.unwrap();
    assert!(report.identical, "{:?}", report.differences);
    assert_eq!(report.digest, recorded().1);
}

#[sqlx::test(migrations = "../migrations")]
async fn verifying_needs_no_more_than_the_rights_of_the_application(pool: PgPool) {
    let report = replayed(&pool).await;
    let acting = PgPoolOptions::new()
        .after_connect(|connection, _| Box::pin(cairn_event_log::as_app(connection)));
    let pool = acting.connect_with((*pool.connect_options()).clone()).await.unwrap();
    assert_eq!(verify(&pool).await.unwrap(), report);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_empty_log_is_identical(pool: PgPool) {
    let report = verify(&pool).await.unwrap();
    assert!(report.identical && report.events == 0 && report.streams == 0);
    assert_eq!(report.digest.len(), 64);
}

#[sqlx::test(migrations = "../migrations")]
#[ignore = "writes golden files"]
async fn record_the_digest(pool: PgPool) {
    let report = replayed(&pool).await;
    let (number, digest) = recorded();
    if report.digest != digest {
        let path = golden("logs").join(format!("story.{}.digest", number + 1));
        std::fs::write(path, report.digest + "\n").unwrap();
    }
}
