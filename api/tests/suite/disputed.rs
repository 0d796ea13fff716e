//! Usage that nobody proved: listed for those who run the nodes and those who keep the books, and for nobody else.
use std::time::Duration;

use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::{NodeId, OrganisationId, Timestamp};
use cairn_fleet::{Beat, Link, Node, NodeCommand};
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::support::{Caller, MASTER_KEY, PATIENCE, SSH_KEY, Stage};

const PATH: &str = "/v1/usage/disputed";
const REJECTED: &str = "/v1/usage/rejected";

/// A rental, its node, and since when it is active.
struct Rented {
    allocation_id: String,
    node_id: String,
    since: Timestamp,
}

impl Rented {
    fn at(&self, seconds: i64) -> Timestamp {
        self.since.plus_secs(seconds)
    }

    /// Its node is out of reach for so long, and the meter passes that.
    async fn outage(&self, stage: &Stage, (from, through): (i64, i64), unproven_seconds: i64) {
        let executor = &stage.commands.executor;
        for (link, at) in
            [(Link::Suspect, from), (Link::Offline, through - 1), (Link::Online, through)]
        {
            let observe = NodeCommand::ObserveLink { link, at: self.at(at) };
            let context = stage.context();
            executor.execute::<Node>(&self.node_id, observe, &context, Value::Null).await.unwrap();
        }
        let (through, at) = (self.at(through + 10), self.at(through + 10));
        let meter = AllocationCommand::Meter { through, unproven_seconds, late_seconds: 0, at };
        let (id, context) = (&self.allocation_id, stage.context());
        executor.execute::<Allocation>(id, meter, &context, Value::Null).await.unwrap();
    }
}

fn seconds(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["seconds"].as_i64().unwrap()).collect()
}

/// Filters and pages find what they name, and say what is wrong with them.
async fn asked_for_some(owner: &Caller, finance: &Caller, (node, until): (&str, Timestamp)) {
    let nobody = OrganisationId::from_bits(7);
    for (query, wanted) in [
        (format!("organisation_id={}&node_id={node}", owner.organisation_id), vec![100, 140]),
        (format!("organisation_id={nobody}"), vec![]),
        (format!("until={until}"), vec![140]),
        (format!("since={until}"), vec![100]),
    ] {
        let found = finance.get(&format!("{PATH}?{query}")).await;
        assert_eq!(seconds(&found.body), wanted, "{query}: {}", found.body);
    }
    let first = finance.get(&format!("{PATH}?limit=1")).await;
    let cursor = first.text("/next_cursor");
    let rest = finance.get(&format!("{PATH}?limit=1&cursor={cursor}")).await;
    assert_eq!((seconds(&first.body), seconds(&rest.body)), (vec![100], vec![140]));
    assert!(rest.body.get("next_cursor").is_none(), "{}", rest.body);
    for (query, named) in [
        ("organisation_id=x".to_owned(), "organisation_id"),
        ("node_id=x".to_owned(), "node_id"),
        ("since=yesterday".to_owned(), "since"),
        (format!("since={until}&until={until}"), "until"),
    ] {
        let wrong = finance.get(&format!("{PATH}?{query}")).await;
        assert_eq!((wrong.status, wrong.code()), (400, "query_invalid"), "{query}");
        assert!(wrong.text("/detail").contains(named), "{query}: {}", wrong.body);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_proved_is_shown_to_those_who_answer_for_it(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    // Nobody looks and no meter ticks meanwhile: the test does.
    let stage = Stage::set_among(options.clone(), |parts| {
        parts.runner.settings.watch_seconds = 3_600;
        parts.runner.settings.tick_seconds = 3_600;
    })
    .await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let path = owner.post("/v1/allocations", &wish).await.header("location").to_owned();
    let rental = owner.until(&path, |rental| rental["status"] == "active").await;
    let said = |name: &str| rental[name].as_str().unwrap().to_owned();
    let seen = operator.get(&path).await;
    let rented = Rented {
        allocation_id: said("allocation_id"),
        node_id: seen.text("/node_id"),
        since: said("activated_at").parse().unwrap(),
    };
    rented.outage(&stage, (60, 200), 140).await;
    rented.outage(&stage, (300, 400), 240).await;

    for role in [Role::Owner, Role::Finance, Role::PlatformSupport, Role::PlatformEngineer] {
        let refused = stage.caller_of(role, owner.organisation_id).await.get(PATH).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{role:?}");
    }
    let finance = stage.caller(Role::PlatformFinance).await;
    let page = finance.until(PATH, |page| page["items"].as_array().unwrap().len() == 2).await;
    assert_eq!(seconds(&page), [100, 140], "{page}");
    let last = &page["items"][0];
    assert_eq!(last["allocation_id"], rented.allocation_id);
    assert_eq!(last["organisation_id"], owner.organisation_id.to_string());
    assert_eq!(last["node_id"], rented.node_id);
    assert_eq!(last["why"], "outage");
    assert_eq!(last["from"], rented.at(300).to_string());
    assert_eq!(last["through"], rented.at(400).to_string());
    assert_eq!(last["until"], last["through"]);
    assert_eq!((&last["outcome"], &last["proven_at"]), (&json!("forgiven"), &Value::Null));
    assert_eq!(operator.get(PATH).await.status, 200);

    let (node, until) = (&rented.node_id, rented.at(250));
    asked_for_some(&owner, &finance, (node, until)).await;

    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let listed = shell.json(&format!("finance usage disputed --node {node} --from {until}")).await;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["seconds"]), (1, &json!(100)));
    let wrong = shell.run(&format!("finance usage disputed --from {until} --until {until}")).await;
    assert!(wrong.talk().contains("--until"), "{}", wrong.talk());
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_node_says_that_cannot_be_true_is_listed_and_makes_it_silent(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_among(options.clone(), |parts| {
        parts.runner.settings.watch_seconds = 1;
    })
    .await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let nodes = operator.get("/v1/nodes").await.body;
    let node = nodes["items"][0]["node_id"].as_str().unwrap().to_owned();
    let said = |sequence| {
        let clock_at = stage.commands.clock.now();
        stage.nodes.beat(Some(Beat { boot_id: "boot-1".to_owned(), sequence, clock_at }));
    };
    let kept = async || -> i64 {
        let query = "SELECT count(*) FROM events WHERE event_type = 'node.beat_kept'";
        let pool = stage.commands.executor.log().pool();
        sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
    };
    said(60_000);
    let first = async {
        while kept().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, first).await.expect("no beat is kept");
    said(50_000);
    let page = operator.until(REJECTED, |page| !page["items"].as_array().unwrap().is_empty()).await;
    let found = &page["items"][0];
    assert_eq!((&found["node_id"], &found["reason"]), (&json!(node), &json!("goes_backward")));
    assert_eq!((&found["boot_id"], &found["sequence"]), (&json!("boot-1"), &json!(50_000)));
    operator.until(&format!("/v1/nodes/{node}"), |node| node["link"] == "suspect").await;

    let finance = stage.caller(Role::PlatformFinance).await;
    let of_node = finance.get(&format!("{REJECTED}?node_id={node}")).await;
    assert_eq!(of_node.body["items"].as_array().unwrap().len(), 1, "one of a run");
    let elsewhere = finance.get(&format!("{REJECTED}?node_id={}", NodeId::from_bits(7))).await;
    assert_eq!(elsewhere.body["items"], json!([]));
    assert_eq!(finance.get(&format!("{REJECTED}?node_id=x")).await.code(), "query_invalid");
    assert_eq!(stage.caller(Role::Owner).await.get(REJECTED).await.code(), "forbidden");
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let listed = shell.json(&format!("finance usage rejected --node {node}")).await;
    assert_eq!(listed[0]["reason"], "goes_backward");

    said(70_000);
    operator.until(&format!("/v1/nodes/{node}"), |node| node["link"] == "online").await;
    stage.strike().await;
}
