//! The simulator from outside: what Stripe promises about keys, lists and errors, and the control of the faults.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use cairn_stripe_simulator::{Faults, Simulator, SimulatorConfig};
use reqwest::{Client, Response};
use serde_json::{Value, json};

struct Caller {
    client: Client,
    simulator: Simulator,
}

impl Caller {
    async fn new() -> Self {
        Self::with(SimulatorConfig::default()).await
    }

    async fn with(config: SimulatorConfig) -> Self {
        Self { client: Client::new(), simulator: Simulator::start(config).await.unwrap() }
    }

    async fn post(&self, path: &str, key: &str, form: &str) -> Response {
        self.client
            .post(format!("{}/v1/{path}", self.simulator.base_url))
            .bearer_auth("sk_test_x")
            .header("idempotency-key", key)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned())
            .send()
            .await
            .unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        let url = format!("{}/{path}", self.simulator.base_url);
        self.client.get(url).bearer_auth("sk_test_x").send().await.unwrap()
    }

    async fn control(&self, path: &str, body: Value) -> Response {
        let url = format!("{}/_control/{path}", self.simulator.base_url);
        let request = self.client.post(url).header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }
}

async fn body(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn check_error(answer: Response, status: u16, kind: &str, part: &str) {
    let found = answer.status().as_u16();
    let body = body(answer).await;
    assert_eq!((found, body["error"]["type"].as_str()), (status, Some(kind)), "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains(part), "{body}");
}

const PAID: &str = "amount=1000&currency=usd&confirm=true&payment_method=pm_card_visa";
const INVALID: &str = "invalid_request_error";

#[tokio::test]
async fn only_test_keys_are_let_in() {
    let caller = Caller::new().await;
    let url = format!("{}/v1/balance", caller.simulator.base_url);
    for key in ["", "pk_test_x", "sk_live_x", "sk_test_"] {
        let answer = caller.client.get(&url).bearer_auth(key).send().await.unwrap();
        check_error(answer, 401, INVALID, "simulator").await;
    }
    assert_eq!(caller.get("v1/balance").await.status(), 200);
}

#[tokio::test]
async fn a_key_answers_the_same_and_says_so() {
    let caller = Caller::new().await;
    let first = caller.post("payment_intents", "k", PAID).await;
    assert!(first.headers().get("idempotent-replayed").is_none());
    let first = body(first).await;
    let again = caller.post("payment_intents", "k", PAID).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(body(again).await, first);
    let other = caller.post("payment_intents", "k", &PAID.replace("1000", "999")).await;
    check_error(other, 400, "idempotency_error", "same parameters").await;
    assert_eq!(caller.simulator.book().payment_intents().len(), 1);
}

#[tokio::test]
async fn a_request_that_never_began_leaves_its_key_free() {
    let caller = Caller::new().await;
    let wrong = caller.post("payment_intents", "k", "currency=usd").await;
    check_error(wrong, 400, INVALID, "Missing required param: amount").await;
    assert_eq!(caller.post("payment_intents", "k", PAID).await.status(), 200);
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name() {
    let caller = Caller::new().await;
    for (form, part) in [
        ("amount=0&currency=usd", "Invalid amount"),
        ("amount=-5&currency=usd", "Invalid amount"),
        ("amount=x&currency=usd", "Invalid integer"),
        ("amount=99999999999999999999&currency=usd", "Invalid integer"),
        ("amount=100&currency=xyz", "Invalid currency"),
        ("amount=100&currency=usd&expand[]=status", "cannot be expanded"),
        ("amount=%zz", "encoded"),
    ] {
        check_error(caller.post("payment_intents", form, form).await, 400, INVALID, part).await;
    }
    let missing = caller.post("payment_intents", "pm", &PAID.replace("visa", "none")).await;
    check_error(missing, 404, INVALID, "No such PaymentMethod").await;
    check_error(caller.get("v1/rockets").await, 404, INVALID, "Unrecognized request URL").await;
    check_error(caller.get("v1/charges/pi_1").await, 404, INVALID, "No such charge").await;
}

#[tokio::test]
async fn a_customer_confirms_later() {
    let caller = Caller::new().await;
    let made = body(caller.post("payment_intents", "k1", "amount=1000&currency=eur").await).await;
    let path = format!("payment_intents/{}/confirm", made["id"].as_str().unwrap());
    let paid = body(caller.post(&path, "k2", "payment_method=pm_card_visa").await).await;
    assert_eq!((&paid["status"], &paid["amount_received"]), (&json!("succeeded"), &json!(1000)));
    let again = caller.post(&path, "k3", "payment_method=pm_card_visa").await;
    check_error(again, 400, INVALID, "status of succeeded").await;
}

#[tokio::test]
async fn a_cancelled_payment_takes_no_money() {
    let caller = Caller::new().await;
    let made = body(caller.post("payment_intents", "k1", "amount=1000&currency=eur").await).await;
    let path = format!("payment_intents/{}", made["id"].as_str().unwrap());
    let gone = body(caller.post(&format!("{path}/cancel"), "k2", "").await).await;
    assert_eq!(gone["status"], "canceled");
    let late = caller.post(&format!("{path}/confirm"), "k3", "payment_method=pm_card_visa").await;
    assert_eq!(late.status(), 400);
    assert!(caller.simulator.book().transactions().is_empty());
}

#[tokio::test]
async fn events_are_kept_and_filtered() {
    let caller = Caller::new().await;
    caller.post("payment_intents", "k", PAID).await;
    let all = body(caller.get("v1/events").await).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 3);
    let some = body(caller.get("v1/events?type=charge.succeeded").await).await;
    assert_eq!(some["data"].as_array().unwrap().len(), 1);
    let id = some["data"][0]["id"].as_str().unwrap();
    assert_eq!(body(caller.get(&format!("v1/events/{id}")).await).await, some["data"][0]);
}

#[tokio::test]
async fn faults_are_set_and_counted_over_http() {
    let caller = Caller::new().await;
    let set = caller.control("faults", json!({"server_error": {"next": 1}})).await;
    assert_eq!(set.status(), 200);
    check_error(caller.get("v1/balance").await, 500, "api_error", "unknown").await;
    assert_eq!(caller.get("v1/balance").await.status(), 200);
    let state = body(caller.get("_control/state").await).await;
    assert_eq!(state["counts"]["server_error"], 1);
    assert_eq!(state["faults"]["server_error"]["next"], 0);
    let unknown = caller.control("faults", json!({"earthquake": {"next": 1}})).await;
    assert!(unknown.status().is_client_error());
}

#[tokio::test]
async fn the_book_can_be_looked_into() {
    let caller = Caller::new().await;
    caller.post("payment_intents", "k", PAID).await;
    let book = body(caller.get("_control/book").await).await;
    assert_eq!(book["balances"]["usd"], 1_000 - 59);
    assert_eq!(book["book"]["transactions"][0]["fee"], 59);
}

#[tokio::test]
async fn with_a_journal_the_book_the_keys_and_what_is_to_come_outlive_the_process() {
    let path = std::env::temp_dir().join(format!("cairn-journal-{}", std::process::id()));
    let open = |settles_after| {
        let faults = Faults { refund_settles_after_millis: settles_after, ..Faults::default() };
        Caller::with(SimulatorConfig {
            faults,
            journal: Some(path.clone()),
            ..SimulatorConfig::default()
        })
    };
    let caller = open(600_000).await;
    let failing = PAID.replace("visa", "refundFail");
    let made = body(caller.post("payment_intents", "k1", &failing).await).await;
    let refund = format!("amount=400&payment_intent={}", made["id"].as_str().unwrap());
    assert_eq!(caller.post("refunds", "k2", &refund).await.status(), 200);
    let before = serde_json::to_value(caller.simulator.book()).unwrap();
    caller.simulator.shutdown().await;
    // The machine died in the middle of a line.
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"charge\": {\"id\"");
    std::fs::write(&path, text).unwrap();

    let caller = open(600_000).await;
    assert_eq!(serde_json::to_value(caller.simulator.book()).unwrap(), before);
    let again = caller.post("payment_intents", "k1", &failing).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    caller.simulator.shutdown().await;

    let caller = open(0).await;
    for _ in 0..1_000 {
        if caller.simulator.book().refunds()[0].status == "failed" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(caller.simulator.book().balances()["usd"], 1_000 - 59);
    caller.simulator.shutdown().await;
    std::fs::remove_file(&path).unwrap();
}
