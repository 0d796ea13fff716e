//! Wishes that change something, of every kind that an organisation has, and what the log says of each afterwards.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::person::{Mailbox, Person};
use crate::support::{Answer, Caller, PATIENCE, SSH_KEY, Stage};

/// How many things there are of which one is changed.
const STOCK: usize = 8;

/// A wish that was not answered, or not yet.
pub struct Wish {
    pub kind: &'static str,
    /// The type of the event that it makes, once.
    pub makes: &'static str,
    pub key: String,
    pub path: String,
    pub body: Value,
}

impl Wish {
    /// Asks under its key until there is an outcome.
    pub async fn insist(&self, caller: &Caller) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = caller.post_again(&self.key, &self.path, &self.body).await;
            if answer.body["retryable"] != true {
                assert!(answer.status < 500, "{} {}: {}", self.kind, self.key, answer.body);
                return answer;
            }
            assert!(Instant::now() < deadline, "{} has no outcome: {}", self.key, answer.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What wishes are about.
pub struct Ground {
    pub caller: Caller,
    allocations: Vec<String>,
    keys: Vec<String>,
    endpoints: Vec<String>,
    member: String,
}

impl Ground {
    /// An organisation with a member, keys, endpoints and rentals, in a shop that is open.
    pub async fn prepare(stage: &Stage) -> Self {
        let operator = stage.caller(Role::PlatformOperator).await;
        stage.open_shop(&operator).await;
        let mut ada = Person::signed_in(stage, "ada@example.org").await;
        let organisation = ada.found("Analytical Engines").await;
        let mut bob = Person::signed_in(stage, "bob@example.org").await;
        let mailbox = Mailbox::of(stage, "bob@example.org");
        let known = mailbox.codes();
        let invitation = json!({ "email": "bob@example.org", "role": "viewer" });
        assert_eq!(ada.post("/v1/invitations", &invitation).await.status, 201);
        let code = mailbox.code_beside(&known).await;
        let joined = bob.post("/v1/invitations/accept", &json!({ "code": code })).await;
        assert_eq!(joined.status, 200, "{}", joined.body);
        bob.organisation = Some(organisation);
        let member = bob.get("/v1/session").await.text("/user_id");
        let caller = stage.caller_of(Role::Owner, organisation).await;
        caller.top_up("100.00").await;
        let mut ground = Self { member, ..Self::bare(caller) };
        for number in 0..STOCK {
            for (kind, id) in
                [("rent", "/allocation_id"), ("key", "/key_id"), ("endpoint", "/endpoint_id")]
            {
                let wish = ground.wish(kind, &format!("stock-{kind}-{number}"), number);
                let made = ground.caller.post_again(&wish.key, &wish.path, &wish.body).await;
                assert_eq!(made.status, 201, "{kind}: {}", made.body);
                let stock = match kind {
                    "rent" => &mut ground.allocations,
                    "key" => &mut ground.keys,
                    _ => &mut ground.endpoints,
                };
                stock.push(made.text(id));
            }
        }
        ground
    }

    /// Nothing yet: good for wishes that make something.
    pub fn bare(caller: Caller) -> Self {
        let (allocations, keys, endpoints) = (vec![], vec![], vec![]);
        Self { caller, allocations, keys, endpoints, member: String::new() }
    }

    /// A wish of the kind that its number has.
    pub fn any(&self, key: &str, number: usize) -> Wish {
        self.wish(KINDS[number % KINDS.len()], key, number / KINDS.len())
    }

    /// A wish of this kind; the number chooses what of the stock it is about.
    pub fn wish(&self, kind: &'static str, key: &str, number: usize) -> Wish {
        let one = |of: &[String]| of.get(number % STOCK).cloned().unwrap_or_default();
        let roles = ["viewer", "developer", "finance"];
        let (makes, path, body) = match kind {
            "top_up" => {
                let card = "pm_card_visa";
                let body = json!({ "amount": "5.00", "currency": "USD", "payment_method": card });
                ("payment.requested", "/v1/top-ups".to_owned(), body)
            }
            "rent" => {
                let body =
                    json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
                ("allocation.requested", "/v1/allocations".to_owned(), body)
            }
            "release" => {
                let path = format!("/v1/allocations/{}/release", one(&self.allocations));
                ("allocation.release_requested", path, json!({}))
            }
            "key" => {
                let body = json!({ "name": format!("key of {key}"), "role": "viewer" });
                ("api_key.created", "/v1/keys".to_owned(), body)
            }
            "revoke" => {
                let path = format!("/v1/keys/{}/revoke", one(&self.keys));
                ("api_key.revoked", path, json!({ "reason": "hung up" }))
            }
            "rename" => {
                let body = json!({ "name": format!("Engines of {key}") });
                ("organisation.renamed", "/v1/organisation/name".to_owned(), body)
            }
            "invite" => {
                let body = json!({ "email": format!("{key}@example.org"), "role": "viewer" });
                ("organisation.member_invited", "/v1/invitations".to_owned(), body)
            }
            "member" => {
                let path = format!("/v1/members/{}/role", self.member);
                ("organisation.role_changed", path, json!({ "role": roles[number % 3] }))
            }
            "endpoint" => {
                let body = json!({ "url": format!("https://example.org/{key}"), "event_types": ["cairn.refund.failed.v1"] });
                ("webhook_endpoint.created", "/v1/webhook-endpoints".to_owned(), body)
            }
            "repoint" => {
                let path = format!("/v1/webhook-endpoints/{}", one(&self.endpoints));
                (
                    "webhook_endpoint.updated",
                    path,
                    json!({ "url": format!("https://example.org/to/{key}") }),
                )
            }
            other => panic!("there is no kind {other}"),
        };
        Wish { kind, makes, key: key.to_owned(), path, body }
    }
}

/// What organisations wish.
pub const KINDS: [&str; 10] = [
    "top_up", "rent", "release", "key", "revoke", "rename", "invite", "member", "endpoint",
    "repoint",
];

/// What the log has of one command.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Mark {
    pub command_id: String,
    pub events: i64,
    pub outcomes: i64,
    pub streams: i64,
    pub types: Vec<String>,
    pub accepted: bool,
    pub recorded_micros: i64,
}

impl Mark {
    /// Whether it is wholly there: one outcome; its events, if it made any, in one stream.
    pub fn is_whole(&self) -> bool {
        self.outcomes == 1 && self.streams <= 1
    }
}

/// Every command under keys with this beginning, by key. Read where it is written, not where it is shown.
pub async fn marks(pool: &PgPool, caller: &Caller, beginning: &str) -> BTreeMap<String, Mark> {
    let organisation = format!("http:{}:", caller.organisation_id);
    let times = "(extract(epoch FROM min(recorded_at)) * 1000000)::bigint AS recorded_micros";
    let sql = format!(
        "SELECT command_id, sum(events)::bigint AS events, sum(outcomes)::bigint AS outcomes, max(streams)::bigint AS streams,
                array_remove(array_agg(DISTINCT type), NULL) AS types, bool_or(events > 0) AS accepted, min(recorded_micros) AS recorded_micros
         FROM (
             SELECT command_id, count(*) AS events, count(outcome) AS outcomes,
                    count(DISTINCT (aggregate_type, aggregate_id)) AS streams, min(event_type) AS type, {times}
             FROM events WHERE starts_with(command_id, $1) GROUP BY command_id
             UNION ALL
             SELECT command_id, 0, count(*), 0, NULL, {times} FROM commands WHERE starts_with(command_id, $1) GROUP BY command_id
         ) AS written GROUP BY command_id"
    );
    let found = sqlx::query_as::<_, Mark>(&sql);
    let found = found.bind(format!("{organisation}{beginning}")).fetch_all(pool).await.unwrap();
    let key = |mark: &Mark| mark.command_id[organisation.len()..].to_owned();
    found.into_iter().map(|mark| (key(&mark), mark)).collect()
}
