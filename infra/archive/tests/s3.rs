//! Archive and published seals in a store that speaks S3: a real server on a socket, with signed requests.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cairn_archive::{Archiver, ArchiverConfig, SegmentReader};
use cairn_core::Timestamp;
use cairn_event_log::LogError;
use cairn_neighbours::{BreakerConfig, Kind, Neighbour, Neighbourhood, State};
use cairn_sealer::{Place, Published, Sealer, StoreOptions, verify};
use common::door::Door;
use common::{GONE, Stage, all, scope};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server of S3 over a directory, with one bucket.
struct Store {
    port: u16,
    /// Ends with it.
    _serving: JoinSet<()>,
}

async fn serve(root: &Path) -> Store {
    std::fs::create_dir_all(root.join("bucket")).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single("reader", "a generated secret"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = service.clone();
            connections.spawn(async move {
                let http = Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    Store { port, _serving: serving }
}

impl Store {
    /// As the environment of a server would say it.
    fn options(&self, secret: &str) -> StoreOptions {
        options(self.port, secret)
    }

    fn place(&self) -> Place {
        Place::open("s3://bucket/cairn/archive", &self.options("a generated secret")).unwrap()
    }
}

fn options(port: u16, secret: &str) -> StoreOptions {
    let endpoint = format!("http://127.0.0.1:{port}");
    let said = HashMap::from([
        ("AWS_ACCESS_KEY_ID", "reader"),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT", &endpoint),
        ("AWS_ALLOW_HTTP", "true"),
    ]);
    StoreOptions::from_lookup(|name| said.get(name).map(|value| (*value).to_owned()))
}

fn sealer(stage: &Stage, port: u16) -> Sealer {
    let mut config = stage.config();
    config.url = Some("s3://bucket/cairn/seals".to_owned());
    config.store = options(port, "a generated secret");
    Sealer::new(stage.log.clone(), config)
}

/// The store as a server has it, and the hand that moves its clock.
fn neighbour() -> (Arc<Neighbour>, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(1_800_000_000));
    let hand = Arc::clone(&clock);
    let now = Arc::new(move || Timestamp::from_secs(hand.load(Ordering::SeqCst)));
    let all = Neighbourhood::new(BreakerConfig::default(), now);
    (all.only(Kind { name: "object_store", calls_max: 8, ailing_max: 8 }), clock)
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn seals_are_published_to_s3_and_events_archived_there(pool: PgPool) {
    let stage = Stage::set(pool).await;
    let root = stage.place.path().join("s3");
    let store = serve(&root).await;
    let sealer = sealer(&stage, store.port);
    stage.append(16).await;
    let before = stage.log.read(0, 100).await.unwrap();
    assert_eq!(sealer.turn(true).await.unwrap(), 4);
    assert_eq!(std::fs::read_dir(root.join("bucket/cairn/seals")).unwrap().count(), 4);
    assert_eq!(sealer.published_everywhere().await.unwrap(), 4);

    let config = ArchiverConfig { place: store.place(), segment_events: 8 };
    let archiver = Archiver::new(stage.log.clone(), sealer.clone(), config.clone());
    assert_eq!(archiver.run(&all()).await.unwrap().events_archived, 16);
    assert_eq!(stage.count(GONE).await, 16);
    assert!(archiver.verify(None).await.unwrap().intact);

    let log = common::without_archive(&stage).await;
    log.read_through(Arc::new(SegmentReader::new(log.pool().clone(), config.place)));
    assert_eq!(log.read(0, 100).await.unwrap(), before);
    let options = store.options("a generated secret");
    let published = Published::open("s3://bucket/cairn/seals", &options).await.unwrap();
    let report = verify(&log, &stage.keys(), published, &scope()).await.unwrap();
    assert!(report.intact, "{report:?}");
    assert_eq!((report.published_blocks, report.events_checked), (Some(4), 16));
    assert_eq!(archiver.restore(None).await.unwrap(), 16);
    assert_eq!(stage.log.read(0, 100).await.unwrap(), before);
    log.close().await;
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_object_of_s3_is_never_written_over(pool: PgPool) {
    let stage = Stage::set(pool).await;
    let store = serve(&stage.place.path().join("s3")).await;
    let place = store.place();
    assert!(place.create("a/b", b"first".to_vec()).await.unwrap());
    assert!(!place.create("a/b", b"second".to_vec()).await.unwrap());
    assert_eq!(place.get("a/b").await.unwrap().as_deref(), Some(&b"first"[..]));
    assert_eq!(place.get("a/c").await.unwrap(), None);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_store_that_refuses_lets_nothing_go_and_is_no_missing_segment(pool: PgPool) {
    let stage = common::set(pool, 8).await;
    let store = serve(&stage.place.path().join("s3")).await;
    let archiver = |options: &StoreOptions| {
        let place = Place::open("s3://bucket/cairn/archive", options).unwrap();
        let config = ArchiverConfig { place: place.clone(), segment_events: 8 };
        (Archiver::new(stage.log.clone(), stage.sealer(), config), place)
    };
    let (refused, stranger) = archiver(&store.options("another secret"));
    let error = refused.run(&all()).await.unwrap_err();
    assert!(matches!(error, cairn_archive::ArchiveError::Store(_)), "{error}");
    assert_eq!(stage.count(GONE).await, 0);

    archiver(&store.options("a generated secret")).0.run(&all()).await.unwrap();
    let log = common::without_archive(&stage).await;
    log.read_through(Arc::new(SegmentReader::new(log.pool().clone(), stranger)));
    let error = log.read(0, 100).await.unwrap_err();
    assert!(matches!(&error, LogError::Unavailable(why) if why.contains("segment 1")), "{error}");
    log.close().await;
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_store_that_hangs_up_is_left_alone_and_has_every_seal_once_when_it_is_back(pool: PgPool) {
    let stage = Stage::set(pool).await;
    let root = stage.place.path().join("s3");
    let (store, (neighbour, clock)) = (serve(&root).await, neighbour());
    let door = Door::before(store.port).await;
    let sealer = sealer(&stage, door.port).behind(Arc::clone(&neighbour));
    let there = || std::fs::read_dir(root.join("bucket/cairn/seals")).unwrap().count();
    stage.append(4).await;
    assert_eq!(sealer.turn(true).await.unwrap(), 1);
    assert_eq!(there(), 1);
    door.shut(true);
    for failed in 1..=5 {
        stage.append(4).await;
        assert!(sealer.turn(true).await.is_err(), "the fault bit");
        assert_eq!(door.asked(), failed);
        assert_eq!(neighbour.standing().state == State::Open, failed == 5);
    }
    // It goes on sealing, and asks nobody.
    stage.append(4).await;
    let error = sealer.turn(true).await.unwrap_err().to_string();
    assert!(error.contains("not called for another"), "{error}");
    assert_eq!(sealer.published_blocks().await.unwrap(), 7, "the file has all");
    assert_eq!((door.asked(), there()), (5, 1));
    // One tries, in vain: twice as long it is left alone.
    clock.fetch_add(5, Ordering::SeqCst);
    assert!(sealer.turn(true).await.is_err());
    assert!(sealer.turn(true).await.is_err());
    assert_eq!((door.asked(), neighbour.standing().state), (6, State::Open));
    door.shut(false);
    assert!(sealer.turn(true).await.is_err(), "nobody knows yet that it is back");
    clock.fetch_add(10, Ordering::SeqCst);
    sealer.turn(true).await.unwrap();
    assert_eq!((door.asked(), neighbour.standing().state), (6, State::Closed));
    assert_eq!(there(), 7, "none is lost, and none is there twice");
    let options = options(door.port, "a generated secret");
    let published = Published::open("s3://bucket/cairn/seals", &options).await.unwrap();
    let report = verify(&stage.log, &stage.keys(), published, &scope()).await.unwrap();
    assert!(report.intact, "{report:?}");
    assert_eq!((report.published_blocks, report.events_checked), (Some(7), 28));
    stage.leave().await;
}
