//! A master key that never leaves its vault, and master keys that are exchanged while everybody writes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod common;
mod transit;

use std::sync::Arc;

use cairn_commands::ports::{FailureKind, PersonalPort as _};
use cairn_privacy::{MasterError, MasterFile, MasterKey, VaultConfig, VaultTransit};
use sqlx::PgPool;

use common::{Masters, is, open, opened, rotate_under_load, seal, subject};
use transit::{TOKEN, Transit};

fn vault(url: &str, token: &str) -> Arc<dyn MasterKey> {
    let config = VaultConfig { url: url.to_owned(), token: token.to_owned(), ca: None };
    Arc::new(VaultTransit::new(&config).unwrap())
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
    assert!(matches!(stranger, MasterError::Service { transient: false, .. }), "{stranger:?}");
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
    assert!(matches!(nobody, MasterError::Service { transient: true, .. }), "{nobody:?}");
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
    assert!(matches!(stopped, Err(MasterError::Service { .. })), "{stopped:?}");
    assert_eq!(transit.range("cairn"), (1, 2), "both are known meanwhile");
    seal(&two, 51, "Bob").await;
    let (master_id, wrapped) = two.rotate().await.unwrap();
    assert!(master_id.ends_with(":v2") && wrapped > 0, "{master_id}: {wrapped}");
    assert_eq!(transit.range("cairn"), (2, 2), "no third version was made");
    for (at, sealed) in texts.iter().enumerate() {
        assert_eq!(opened(&one, sealed).await, is(at as u128 + 1, "Ada"));
    }
}
