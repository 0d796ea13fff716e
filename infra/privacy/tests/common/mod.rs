//! Servers that seal and open, over master keys wherever they are.
#![allow(dead_code, reason = "not every test needs all of it")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cairn_commands::ports::{Opened, PersonalPort as _};
use cairn_core::{OrganisationId, Subject};
use cairn_event_log::EventLog;
use cairn_privacy::{MasterError, MasterKey, SubjectKeys};
use sqlx::PgPool;
use tokio::task::JoinSet;

pub type Masters = Vec<Arc<dyn MasterKey>>;

pub fn subject(bits: u128) -> Subject {
    Subject::organisation(OrganisationId::from_bits(bits))
}

/// As the application sees the database.
pub async fn open(owner: &PgPool, masters: &Masters) -> Result<SubjectKeys, MasterError> {
    let log = EventLog::connect((*owner.connect_options()).clone(), 8).await.unwrap();
    SubjectKeys::open(log.pool().clone(), masters.clone()).await
}

pub async fn seal(keys: &SubjectKeys, of: u128, text: &str) -> String {
    let sealed = keys.seal(&subject(of), vec![text.to_owned()]).await.unwrap();
    sealed.unwrap().pop().unwrap()
}

pub async fn opened(keys: &SubjectKeys, text: &str) -> Opened {
    keys.open(vec![text.to_owned()]).await.unwrap().pop().unwrap()
}

pub fn is(of: u128, text: &str) -> Opened {
    Opened::Text { subject: subject(of), text: text.to_owned() }
}

/// Two servers seal new subjects and open old ones, while somebody else rotates so often. How many texts there were
/// at the end: none of them was ever refused.
pub async fn rotate_under_load(owner: &PgPool, masters: &Masters, times: u64) -> u64 {
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
