//! Customers who never rest: they wish, note what was answered, and ask again for what was not.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Answer, Caller, PATIENCE, SSH_KEY, answer};

pub const TOP_UPS: &str = "/v1/top-ups";
pub const ALLOCATIONS: &str = "/v1/allocations";
const CLIENTS: usize = 16;

/// A wish, and what was answered to it, if anything was.
pub struct Wish {
    pub key: String,
    pub path: &'static str,
    body: Value,
    pub answered: Option<Value>,
    /// The server said that nothing happened.
    refused: bool,
}

impl Wish {
    /// Every fourth wishes to rent, the others to pay five in.
    fn new(key: String, number: usize) -> Self {
        let (path, body) = if number % 4 == 3 {
            (
                ALLOCATIONS,
                json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY }),
            )
        } else {
            (
                TOP_UPS,
                json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" }),
            )
        };
        Self { key, path, body, answered: None, refused: false }
    }

    /// Asks once. `None` when no answer came.
    async fn try_ask(&self, caller: &Caller) -> Option<Answer> {
        let request = caller.request(Method::POST, self.path).header("idempotency-key", &self.key);
        let response = request.json(&self.body).send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.ok()?;
        let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
        assert!(status == 201 || status == 503, "{}: {status} {body}", self.key);
        Some(Answer { status, headers, body })
    }

    /// Asks for the first time: whether it was done, if there was an answer at all.
    async fn ask(&mut self, caller: &Caller) -> Option<bool> {
        let answer = self.try_ask(caller).await?;
        self.refused = answer.code() == "database_unavailable";
        self.answered = Some(answer).filter(|a| a.status == 201).map(|a| a.body);
        Some(self.answered.is_some())
    }

    /// Asks until it is answered.
    async fn insist(&self, caller: &Caller) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = self.try_ask(caller).await
                && answer.status == 201
            {
                return answer;
            }
            assert!(Instant::now() < deadline, "{} is never answered", self.key);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The id of what it made.
    fn made(&self) -> String {
        let name = if self.path == TOP_UPS { "top_up_id" } else { "allocation_id" };
        self.answered.as_ref().unwrap()[name].as_str().unwrap().to_owned()
    }
}

/// How often in a row a customer comes back after an answer that was none.
const IN_VAIN_MAX: usize = 2;

/// Customers at work.
pub struct Load {
    clients: JoinSet<Vec<Wish>>,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    /// With or without success.
    ended: AtomicUsize,
    answered: AtomicUsize,
}

impl Load {
    /// Each client ends with its first wish that is not answered.
    pub fn start(caller: &Caller, round: usize) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (caller, stop) = (caller.clone(), Arc::clone(&stop));
            let counts = Arc::clone(&counts);
            clients.spawn(async move {
                let (mut wishes, mut in_vain) = (vec![], 0);
                while !stop.load(Ordering::SeqCst) {
                    let number = wishes.len();
                    let mut wish = Wish::new(format!("{round}-{client}-{number}"), number);
                    counts.asked.fetch_add(1, Ordering::SeqCst);
                    let answered = wish.ask(&caller).await;
                    counts.ended.fetch_add(1, Ordering::SeqCst);
                    wishes.push(wish);
                    match answered {
                        Some(true) => {
                            in_vain = 0;
                            counts.answered.fetch_add(1, Ordering::SeqCst);
                        }
                        // In doubt, or refused: the server is there, and the customer comes back, but not for ever.
                        Some(false) if in_vain < IN_VAIN_MAX => {
                            in_vain += 1;
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        Some(false) | None => break,
                    }
                }
                wishes
            });
        }
        Self { clients, stop, counts }
    }

    /// Until so many wishes were answered.
    pub async fn until_answered(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.counts.answered.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < deadline, "hardly anything is answered");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Until so many clients were left without an answer. The others may go on.
    pub async fn until_unanswered(&self, count: usize) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let unanswered = || {
            let ended = self.counts.ended.load(Ordering::SeqCst);
            ended - self.counts.answered.load(Ordering::SeqCst)
        };
        while unanswered() < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        unanswered() >= count
    }

    /// Wishes that are on their way just now.
    pub fn under_way(&self) -> usize {
        let ended = self.counts.ended.load(Ordering::SeqCst);
        self.counts.asked.load(Ordering::SeqCst) - ended
    }

    /// No new wishes; what is under way is waited for.
    pub async fn end(self) -> Vec<Wish> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

/// What became of the wishes.
#[derive(Debug, Default)]
pub struct Tally {
    /// Without an answer when it was killed; a database's outage may still end well for them.
    pub under_way: usize,
    pub acknowledged: usize,
    /// It was said that the database is away.
    pub refused: usize,
    /// Cut off, or said to be in doubt.
    pub in_doubt: usize,
    /// Of those in doubt: had happened.
    pub committed: usize,
}

/// Asks for every wish again, twice: who had an answer gets the same, who had none gets one that stands.
pub async fn ask_again(caller: &Caller, wishes: &mut [Wish], tally: &mut Tally) {
    let answers = stream::iter(wishes.iter()).map(|wish| async move {
        let (first, second) = (wish.insist(caller).await, wish.insist(caller).await);
        assert_eq!(second.header("idempotency-replayed"), "true", "{}", wish.key);
        assert_eq!(first.body, second.body, "{}", wish.key);
        first
    });
    let answers: Vec<Answer> = answers.buffered(8).collect().await;
    for (wish, again) in wishes.iter_mut().zip(answers) {
        let replayed = again.header("idempotency-replayed") == "true";
        match &wish.answered {
            Some(before) => {
                assert!(replayed, "{}: it was acknowledged and is lost", wish.key);
                assert_eq!(before, &again.body, "{}", wish.key);
                tally.acknowledged += 1;
            }
            None if wish.refused => {
                assert!(!replayed, "{}: it was said that nothing happened", wish.key);
                tally.refused += 1;
                wish.answered = Some(again.body);
            }
            None => {
                tally.in_doubt += 1;
                tally.committed += usize::from(replayed);
                wish.answered = Some(again.body);
            }
        }
    }
}

/// How many wishes there are of a kind; each has made one thing of its own.
pub fn count(wishes: &[Wish], path: &str) -> usize {
    let made: Vec<String> = wishes.iter().filter(|w| w.path == path).map(Wish::made).collect();
    let distinct: BTreeSet<&String> = made.iter().collect();
    assert_eq!(made.len(), distinct.len(), "two wishes made one thing");
    made.len()
}

/// A price, so that wishes to rent are taken. There is no node: they are rejected later.
pub async fn open_shop(operator: &Caller) {
    let resources = json!({
        "cpu_millis": 500, "memory_bytes": 64 << 20, "disk_bytes": 64 << 20, "pids_max": 64
    });
    let sku =
        operator.post("/v1/skus", &json!({ "sku_id": "small", "resources": resources })).await;
    assert_eq!(sku.status, 201, "{}", sku.body);
    let price = json!({ "amount": "0.36", "currency": "USD" });
    let request = operator.request(Method::POST, "/v1/skus/small/prices");
    let request = request.header("idempotency-key", "price").header("if-match", "*");
    let priced = request.json(&price);
    assert_eq!(answer(priced).await.status, 200);
}
