//! The webhook inbox on a real database: bytes before meaning, every event once, nothing forgotten.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use cairn_commands::webhooks::{
    Delivery, Notice, Received, Subject, claim, mark_failed, mark_processed, receive,
};
use cairn_core::Timestamp;
use sqlx::PgPool;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn notice(event_id: &str, subject: Option<Subject>) -> Notice {
    Notice { event_id: event_id.to_owned(), kind: "x.y".to_owned(), created_at: NOW, subject }
}

fn payment() -> Option<Subject> {
    Some(Subject::Payment("pi_1".to_owned()))
}

async fn deliver(pool: &PgPool, raw: &[u8], read: Result<Notice, String>) -> Received {
    let delivery =
        Delivery { provider: "stripe", raw, signature_header: "t=1,v1=00", received_at: NOW };
    receive(pool, delivery, |seen| {
        assert_eq!(seen, raw);
        read
    })
    .await
    .unwrap()
}

async fn count(pool: &PgPool, status: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM payments_webhook_inbox WHERE status = $1")
        .bind(status)
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn bytes_are_stored_as_they_came_even_when_nobody_can_read_them(pool: PgPool) {
    let raw = b"\xff\x00{not json";
    assert_eq!(deliver(&pool, raw, Err("no".to_owned())).await, Received::Unreadable);
    let stored: Vec<u8> = sqlx::query_scalar("SELECT body FROM payments_webhook_inbox")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(stored, raw);
}

#[sqlx::test(migrations = "../migrations")]
async fn bytes_are_there_while_they_are_read(pool: PgPool) {
    let reader = pool.clone();
    let delivery =
        Delivery { provider: "stripe", raw: b"{}", signature_header: "", received_at: NOW };
    let died = receive(&pool, delivery, |_| -> Result<Notice, String> {
        let stored = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let options = (*reader.connect_options()).clone();
            runtime.unwrap().block_on(async move {
                let pool = PgPool::connect_with(options).await.unwrap();
                count(&pool, "received").await
            })
        });
        assert_eq!(stored.join().unwrap(), 1);
        Err("the reader gave up".to_owned())
    });
    assert_eq!(died.await.unwrap(), Received::Unreadable);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_counts_once_however_often_and_concurrently_it_is_delivered(pool: PgPool) {
    let deliveries = (0..8).map(|_| deliver(&pool, b"{}", Ok(notice("evt_1", payment()))));
    let received = futures::future::join_all(deliveries).await;
    let pending = received.iter().filter(|r| matches!(r, Received::Pending(_))).count();
    let duplicates = received.iter().filter(|r| **r == Received::Duplicate).count();
    assert_eq!((pending, duplicates), (1, 7));
    assert_eq!((count(&pool, "pending").await, count(&pool, "duplicate").await), (1, 7));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_can_read_is_stored_once_and_read_when_somebody_can(pool: PgPool) {
    for body in [b"?".as_slice(), b"?", b"!"] {
        let read = Err("not an event".to_owned());
        assert_eq!(deliver(&pool, body, read).await, Received::Unreadable);
    }
    assert_eq!(count(&pool, "unreadable").await, 2);
    let read = deliver(&pool, b"?", Ok(notice("evt_1", payment()))).await;
    assert!(matches!(read, Received::Pending(_)), "{read:?}");
    assert_eq!((count(&pool, "unreadable").await, count(&pool, "pending").await), (1, 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn events_about_nothing_of_ours_are_kept_and_ignored(pool: PgPool) {
    assert_eq!(deliver(&pool, b"{}", Ok(notice("evt_1", None))).await, Received::Ignored);
    assert_eq!(deliver(&pool, b"{}", Ok(notice("evt_1", None))).await, Received::Duplicate);
    assert!(claim(&pool, NOW, 10).await.unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_received_is_never_changed_or_deleted(pool: PgPool) {
    deliver(&pool, b"{}", Ok(notice("evt_1", payment()))).await;
    for change in [
        "UPDATE payments_webhook_inbox SET body = 'x'",
        "UPDATE payments_webhook_inbox SET signature_header = 'x'",
        "UPDATE payments_webhook_inbox SET event_id = 'evt_2'",
        "DELETE FROM payments_webhook_inbox",
        "TRUNCATE payments_webhook_inbox",
    ] {
        let refused = sqlx::query(change).execute(&pool).await.unwrap_err().to_string();
        assert!(refused.contains("never changed") || refused.contains("append-only"), "{refused}");
    }
    sqlx::query("UPDATE payments_webhook_inbox SET last_error = 'x'").execute(&pool).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn the_application_s_role_can_receive_and_claim_but_not_touch_the_bytes(pool: PgPool) {
    let options = (*pool.connect_options()).clone();
    let ours = sqlx::postgres::PgPoolOptions::new()
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::query("SET ROLE cairn_app").execute(connection).await.map(drop)
            })
        })
        .connect_with(options)
        .await
        .unwrap();
    deliver(&ours, b"{}", Ok(notice("evt_1", payment()))).await;
    let claimed = claim(&ours, NOW, 10).await.unwrap();
    mark_processed(&ours, claimed[0].id, None, NOW).await.unwrap();
    let change = "UPDATE payments_webhook_inbox SET body = 'x'";
    let refused = sqlx::query(change).execute(&ours).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    ours.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_claimed_webhook_comes_back_until_it_is_processed(pool: PgPool) {
    deliver(&pool, b"{}", Ok(notice("evt_1", payment()))).await;
    let refund = Some(Subject::Refund("re_1".to_owned()));
    deliver(&pool, b"{}", Ok(notice("evt_2", refund.clone()))).await;

    let first = claim(&pool, NOW, 1).await.unwrap();
    let second = claim(&pool, NOW, 9).await.unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!((first[0].event_id.as_str(), first[0].attempts), ("evt_1", 0));
    assert_eq!(Some(&second[0].subject), refund.as_ref());
    assert!(claim(&pool, NOW, 9).await.unwrap().is_empty());

    mark_processed(&pool, first[0].id, Some("not ours"), NOW).await.unwrap();
    mark_failed(&pool, second[0].id, "the provider is down").await.unwrap();
    let again = claim(&pool, NOW.plus_secs(2), 9).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].event_id.as_str(), again[0].attempts), ("evt_2", 1));
    assert!(claim(&pool, NOW.plus_secs(4), 9).await.unwrap().is_empty(), "later each time");
    assert_eq!(claim(&pool, NOW.plus_secs(6), 9).await.unwrap().len(), 1);
}
