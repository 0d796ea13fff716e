//! A master key that never leaves its vault, and master keys that are exchanged while everybody writes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod transit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cairn_commands::ports::{FailureKind, Opened, PersonalPort as _};
use cairn_core::{OrganisationId, Subject};
use cairn_event_log::EventLog;
use cairn_privacy::{MasterError, MasterFile, MasterKey, SubjectKeys, VaultConfig, VaultTransit};
use sqlx::PgPool;
use tokio::task::JoinSet;

use transit::{TOKEN, Transit};

type Masters = Vec<Arc<dyn MasterKey>>;

fn subject(bits: u128) -> Subject {
    Subject::organisation(OrganisationId::from_bits(bits))
}

fn vault(url: &str, token: &str) -> Arc<dyn MasterKey> {
    let config = VaultConfig { url: url.to_owned(), token: token.to_owned(), ca: None };
    Arc::new(VaultTransit::new(&config).unwrap())
}

/// As the application sees the database.
async fn open(owner: &PgPool, masters: &Masters) -> Result<SubjectKeys, MasterError> {
    let log = EventLog::connect((*owner.connect_options()).clone(), 8).await.unwrap();
    SubjectKeys::open(log.pool().clone(), masters.clone()).await
}

async fn seal(keys: &SubjectKeys, of: u128, text: &str) -> String {
    let sealed = keys.seal(&subject(of), vec![text.to_owned()]).await.unwrap();
    sealed.unwrap().pop().unwrap()
}

async fn opened(keys: &SubjectKeys, text: &str) -> Opened {
    keys.open(vec![text.to_owned()]).await.unwrap().pop().unwrap()
}

fn is(of: u128, text: &str) -> Opened {
    Opened::Text { subject: subject(of), text: text.to_owned() }
}

#[sqlx::test(migrations = "../../migrations")]
async fn keys_are_wrapped_where_the_master_key_is_and_nowhere_else(owner: PgPool) {
    let (transit, url) = Transit::start("cairn").await;
    let masters = vec![vault(&url, TOKEN)];
    let (one, two) = (open(&owner, &masters).await.unwrap(), open(&owner, &masters).await.unwrap());
    let sealed = seal(&one, 1, "Ada").await;
    assert_eq!(opened(&two, &sealed).await, is(1, "Ada"));
    let (wrapped, master): (Vec<u8>, String) =
        sqlx::query_as("SELECT wrapped, master_id FROM privacy_subject_keys")
            .fetch_one(&owner)
            .await
            .unwrap();
    assert!(wrapped.starts_with(b"vault:v1:") && master.ends_with("/transit/cairn:v1"), "{master}");
    assert_eq!(one.master_id().await.unwrap(), master);
    // What is known is not asked for again.
    let asked = transit.asked();
    for _ in 0..20 {
        assert_eq!(opened(&two, &sealed).await, is(1, "Ada"));
    }
    assert_eq!(transit.asked(), asked);
    // A key that was wrapped for somebody else is none.
    seal(&one, 2, "Bob").await;
    let swap = "UPDATE privacy_subject_keys SET wrapped = $1 WHERE wrapped <> $1";
    sqlx::query(swap).bind(&wrapped).execute(&owner).await.unwrap();
    let three = open(&owner, &masters).await.unwrap();
    let error = three.seal(&subject(2), vec!["Bob".to_owned()]).await.unwrap_err();
    assert!(error.to_string().contains("message authentication failed"), "{error}");
    assert_eq!(opened(&three, &sealed).await, is(1, "Ada"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_vault_that_is_sealed_or_does_not_know_us_is_said_so(owner: PgPool) {
    let (transit, url) = Transit::start("cairn").await;
    let stranger = open(&owner, &vec![vault(&url, "hvs.of-somebody-else")]).await.unwrap_err();
    assert!(stranger.to_string().contains("permission denied"), "{stranger}");
    assert!(matches!(stranger, MasterError::Vault { transient: false, .. }), "{stranger:?}");
    let keys = open(&owner, &vec![vault(&url, TOKEN)]).await.unwrap();
    let sealed = seal(&keys, 1, "Ada").await;
    transit.seal(1);
    let error = keys.seal(&subject(2), vec!["Bob".to_owned()]).await.unwrap_err();
    assert!(
        error.kind == FailureKind::Transient && error.to_string().contains("sealed"),
        "{error}"
    );
    seal(&keys, 2, "Bob").await;
    assert_eq!(opened(&keys, &sealed).await, is(1, "Ada"));
    let nobody =
        open(&owner, &vec![vault("http://127.0.0.1:9/transit/cairn", TOKEN)]).await.unwrap_err();
    assert!(matches!(nobody, MasterError::Vault { transient: true, .. }), "{nobody:?}");
}

/// Two servers seal new subjects and open old ones, while somebody else rotates so often. How many texts there were
/// at the end: none of them was ever refused.
async fn rotate_under_load(owner: &PgPool, masters: &Masters, times: u64) -> u64 {
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let most = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        // Looks at the table every time, as a server does that was not asked for two seconds.
        let keys = open(owner, masters).await.unwrap();
        let keys = Arc::new(keys.forgetting_after(Duration::ZERO));
        for _ in 0..3 {
            let (keys, stop, next) = (Arc::clone(&keys), Arc::clone(&stop), Arc::clone(&next));
            let most = Arc::clone(&most);
            clients.spawn(async move {
                let mut mine = vec![];
                while !stop.load(Ordering::SeqCst) {
                    if next.load(Ordering::SeqCst) < most.load(Ordering::SeqCst) {
                        let of = u128::from(next.fetch_add(1, Ordering::SeqCst));
                        mine.push((of, seal(&keys, of, &format!("text of {of}")).await));
                    }
                    if let Some((old, sealed)) = mine.get(mine.len() / 2) {
                        let text = format!("text of {old}");
                        assert_eq!(opened(&keys, sealed).await, is(*old, &text));
                    }
                    tokio::task::yield_now().await;
                }
                mine
            });
        }
    }
    let keys = open(owner, masters).await.unwrap();
    let mut before = keys.master_id().await.unwrap();
    for turn in 1..=times {
        // It bites: there is something to wrap, and more comes meanwhile.
        most.store(turn * 60, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(60);
        while next.load(Ordering::SeqCst) < turn * 60 {
            assert!(Instant::now() < deadline, "nobody writes any more");
            tokio::task::yield_now().await;
        }
        most.store(turn * 60 + 30, Ordering::SeqCst);
        let begun = next.load(Ordering::SeqCst);
        let (master_id, wrapped) = keys.rotate().await.unwrap();
        assert!(wrapped > 0 && master_id != before, "{master_id}: {wrapped}");
        assert!(next.load(Ordering::SeqCst) > begun, "nobody wrote meanwhile");
        before = master_id;
    }
    stop.store(true, Ordering::SeqCst);
    let texts: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let under: Vec<(String, i64)> =
        sqlx::query_as("SELECT master_id, count(*) FROM privacy_subject_keys GROUP BY master_id")
            .fetch_all(owner)
            .await
            .unwrap();
    assert_eq!(
        under,
        [(before, i64::try_from(texts.len()).unwrap())],
        "something is wrapped by an old one"
    );
    // Whoever comes anew has the newest version only, and reads everything.
    let fresh = open(owner, masters).await.unwrap();
    for (of, sealed) in &texts {
        assert_eq!(opened(&fresh, sealed).await, is(*of, &format!("text of {of}")));
    }
    texts.len() as u64
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_file_is_rotated_while_everybody_writes_and_nothing_is_refused(owner: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.key");
    let masters: Masters = vec![Arc::new(MasterFile::at(path.clone()))];
    assert!(rotate_under_load(&owner, &masters, 4).await >= 240);
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_key_in_vault_is_rotated_while_everybody_writes_and_nothing_is_refused(owner: PgPool) {
    let (transit, url) = Transit::start("cairn").await;
    assert!(rotate_under_load(&owner, &vec![vault(&url, TOKEN)], 4).await >= 240);
    assert_eq!(transit.range("cairn"), (5, 5), "the old versions decrypt nothing any more");
}

#[sqlx::test(migrations = "../../migrations")]
async fn keys_move_from_a_file_to_vault_and_the_file_may_go(owner: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.key");
    let file: Arc<dyn MasterKey> = Arc::new(MasterFile::at(path.clone()));
    let before = open(&owner, &vec![Arc::clone(&file)]).await.unwrap();
    let sealed = seal(&before, 1, "Ada").await;
    let (_, url) = Transit::start("cairn").await;
    let both = vec![vault(&url, TOKEN), file];
    let alone = open(&owner, &vec![vault(&url, TOKEN)]).await.unwrap_err();
    assert!(matches!(alone, MasterError::Other { subjects: 1, .. }), "{alone}");
    let moving = open(&owner, &both).await.unwrap();
    seal(&moving, 2, "Bob").await;
    assert_eq!(moving.rotate().await.unwrap().1, 2);
    std::fs::remove_file(path).unwrap();
    let after = open(&owner, &vec![vault(&url, TOKEN)]).await.unwrap();
    assert_eq!(opened(&after, &sealed).await, is(1, "Ada"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_rotation_that_stopped_is_finished_and_two_at_once_are_one(owner: PgPool) {
    let (transit, url) = Transit::start("cairn").await;
    let masters = vec![vault(&url, TOKEN)];
    let (one, two) = (open(&owner, &masters).await.unwrap(), open(&owner, &masters).await.unwrap());
    let mut texts = vec![];
    for of in 1..=50 {
        texts.push(seal(&one, of, "Ada").await);
    }
    // Its place goes away in the middle: some keys are wrapped anew by then.
    let (stopped, other) = tokio::join!(one.rotate(), async {
        while transit.range("cairn").1 == 1 {
            tokio::task::yield_now().await;
        }
        let other = two.rotate().await;
        transit.seal(1);
        other
    });
    assert!(matches!(other, Err(MasterError::Rotating)), "{other:?}");
    assert!(matches!(stopped, Err(MasterError::Vault { .. })), "{stopped:?}");
    assert_eq!(transit.range("cairn"), (1, 2), "both are known meanwhile");
    seal(&two, 51, "Bob").await;
    let (master_id, wrapped) = two.rotate().await.unwrap();
    assert!(master_id.ends_with(":v2") && wrapped > 0, "{master_id}: {wrapped}");
    assert_eq!(transit.range("cairn"), (2, 2), "no third version was made");
    for (at, sealed) in texts.iter().enumerate() {
        assert_eq!(opened(&one, sealed).await, is(at as u128 + 1, "Ada"));
    }
}
