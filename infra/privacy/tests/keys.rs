//! Keys of subjects over a real database.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::ports::{Opened, PersonalPort as _};
use cairn_core::{OrganisationId, Subject};
use cairn_event_log::EventLog;
use cairn_privacy::{FORGOTTEN_AFTER, MasterError, MasterFile, MasterKey, SubjectKeys};
use sqlx::PgPool;

fn subject(bits: u128) -> Subject {
    Subject::organisation(OrganisationId::from_bits(bits))
}

async fn keys(owner: &PgPool, directory: &Path) -> SubjectKeys {
    open(owner, directory).await.unwrap()
}

/// As the application sees the database.
async fn open(owner: &PgPool, directory: &Path) -> Result<SubjectKeys, MasterError> {
    let log = EventLog::connect((*owner.connect_options()).clone(), 8).await.unwrap();
    let file: Arc<dyn MasterKey> = Arc::new(MasterFile::at(directory.join("m.key")));
    SubjectKeys::open(log.pool().clone(), vec![file]).await
}

async fn seal(keys: &SubjectKeys, of: u128, text: &str) -> Option<String> {
    let sealed = keys.seal(&subject(of), vec![text.to_owned()]).await.unwrap();
    sealed.map(|mut texts| texts.pop().unwrap())
}

async fn opened(keys: &SubjectKeys, text: &str) -> Opened {
    keys.open(vec![text.to_owned()]).await.unwrap().pop().unwrap()
}

fn is(of: u128, text: &str) -> Opened {
    Opened::Text { subject: subject(of), text: text.to_owned() }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_text_is_sealed_alike_by_every_process_and_opened_by_each(owner: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (keys(&owner, directory.path()).await, keys(&owner, directory.path()).await);
    // At once, so that both may make the first key.
    let (by_one, by_two) = tokio::join!(seal(&one, 1, "Ada"), seal(&two, 1, "Ada"));
    assert_eq!(by_one, by_two);
    let sealed = by_one.unwrap();
    assert_eq!(opened(&one, &sealed).await, is(1, "Ada"));
    assert_eq!(opened(&two, &sealed).await, is(1, "Ada"));
    assert_eq!(seal(&one, 1, &sealed).await.unwrap(), sealed, "sealed twice");
    let other = seal(&one, 2, "Ada").await.unwrap();
    assert_ne!(other.rsplit(':').next(), sealed.rsplit(':').next());
    // What only looks sealed, or is somebody else's, is a text like any other.
    let forged = sealed.replace("personal:1:", "personal:1:0");
    for said in ["personal:1:00:AAAA", &other, &forged] {
        assert_eq!(opened(&one, &seal(&one, 1, said).await.unwrap()).await, is(1, said));
    }
    assert_eq!(opened(&one, "personal:1:00:AAAA").await, Opened::Foreign);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_destroyed_key_is_forgotten_by_whoever_used_it_and_never_comes_back(owner: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (keys(&owner, directory.path()).await, keys(&owner, directory.path()).await);
    let slow = keys(&owner, directory.path()).await;
    let slow = slow.forgetting_after(Duration::from_secs(3_600));
    let (hers, his) = (seal(&two, 1, "Ada").await.unwrap(), seal(&two, 2, "Bob").await.unwrap());
    assert_eq!(opened(&slow, &hers).await, is(1, "Ada"));
    one.destroy(&subject(1)).await.unwrap();
    assert_eq!(opened(&slow, &hers).await, is(1, "Ada"), "keys are not held at all");
    tokio::time::sleep(FORGOTTEN_AFTER).await;
    for process in [&one, &two] {
        assert_eq!(opened(process, &hers).await, Opened::Erased);
        assert_eq!(seal(process, 1, "Ada").await, None);
        assert_eq!(opened(process, &his).await, is(2, "Bob"));
    }
    assert!(one.destroy(&subject(1)).await.unwrap().destroyed_at.is_some());
    for statement in [
        "UPDATE privacy_subject_keys SET wrapped = 'x', destroyed_at = NULL WHERE wrapped IS NULL",
        "UPDATE privacy_subject_keys SET key_id = repeat('0', 32) WHERE wrapped IS NOT NULL",
        "DELETE FROM privacy_subject_keys",
        "TRUNCATE privacy_subject_keys",
    ] {
        let refused = sqlx::query(statement).execute(&owner).await.unwrap_err();
        let state = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(state, "23001", "{statement}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_new_master_key_opens_what_the_old_one_wrapped_also_where_the_old_one_is_in_memory(
    owner: PgPool,
) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.key");
    let (one, two) = (keys(&owner, directory.path()).await, keys(&owner, directory.path()).await);
    let sealed = seal(&one, 1, "Ada").await.unwrap();
    let before = fs::read_to_string(&path).unwrap();
    let (master_id, wrapped) = one.rotate().await.unwrap();
    assert_eq!(wrapped, 1);
    let after = fs::read_to_string(&path).unwrap();
    assert_eq!((after.lines().count(), after.contains(before.trim())), (1, false));
    assert_eq!(opened(&two, &sealed).await, is(1, "Ada"));
    assert_eq!(seal(&two, 1, "Ada").await.unwrap(), sealed, "the subject's own key stayed");
    assert_eq!(one.status().await.unwrap().master_id, master_id);
    // Stopped half way: the file has both, the table the old one.
    fs::write(&path, format!("{}\n{after}", "ab".repeat(32))).unwrap();
    let three = keys(&owner, directory.path()).await;
    assert_eq!(opened(&three, &sealed).await, is(1, "Ada"));
    assert_eq!(three.rotate().await.unwrap().1, 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), "ab".repeat(32) + "\n");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_master_key_that_cannot_be_right_is_refused(owner: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.key");
    seal(&keys(&owner, directory.path()).await, 1, "Ada").await.unwrap();
    let refused = async || open(&owner, directory.path()).await.unwrap_err();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(refused().await, MasterError::Exposed(_)));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "ab".repeat(32)).unwrap();
    assert!(matches!(refused().await, MasterError::Other { subjects: 1, .. }));
    fs::write(&path, "short\n").unwrap();
    assert!(matches!(refused().await, MasterError::Malformed { line: 1, .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(refused().await, MasterError::Other { .. }));
    assert!(!path.exists(), "a new one was made over keys that it does not open");
}
