//! A rental goes on as another SKU, or with more disk: its node has room for both sizes, stops it, gives it the new size and proves its login; or it stays what it was.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::{ExecuteError, Executed, Expected, catalog, compute};
use cairn_compute::{Allocation, AllocationStatus};
use cairn_core::{AllocationId, Currency, Money, OrganisationId, Resources, Tiers};
use cairn_fleet::Node;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory, PER_HOUR, SKU, resources};
use support::stories::{ask_for_release, rent, top_up, wallet};

type Options = PgConnectOptions;

const LARGE: &str = "large";

fn large() -> Resources {
    Resources { cpu_millis: 2_000, memory_bytes: 256 << 20, ..resources() }
}

struct Story {
    harness: Harness,
    memory: Arc<Memory>,
    organisation: OrganisationId,
    id: AllocationId,
}

impl Story {
    async fn begin(db: Options, units: i64) -> Self {
        let memory = Memory::new();
        let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
        let organisation = harness.organisation();
        top_up(&mut harness, organisation, units).await;
        let id = rent(&mut harness, organisation).await;
        let story = Self { harness, memory, organisation, id };
        story.sell(LARGE, large(), 4 * PER_HOUR).await;
        story
    }

    /// One that begins with so many GiB beside the disk of its SKU, at 7 nanos each per second.
    async fn begin_with_disk(db: Options, gib: u32) -> Self {
        let memory = Memory::new();
        let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
        let organisation = harness.organisation();
        sell_disk(&harness, SKU, 7 * 3_600).await;
        top_up(&mut harness, organisation, 100).await;
        let wish = compute::RequestAllocation {
            organisation_id: organisation,
            sku_id: SKU.to_owned(),
            additional_disk_gib: gib,
            currency: Currency::USD,
            ssh_public_key: harness.world.public_key(),
            project_id: None,
            node_id: None,
        };
        let asked = compute::request_allocation(&harness.commands, &harness.context(), wish).await;
        let key = asked.unwrap().aggregate_id;
        harness.until("the rental is ready", |s| s.ended("rent_node", &key)).await;
        Self { harness, memory, organisation, id: key.parse().unwrap() }
    }

    async fn sell(&self, sku_id: &str, resources: Resources, nanos_per_hour: i64) {
        let (commands, sku_id) = (&self.harness.commands, sku_id.to_owned());
        let sku = catalog::DefineSku { sku_id: sku_id.clone(), resources };
        catalog::define_sku(commands, &self.harness.context(), sku).await.unwrap();
        let per_hour = Money::new(nanos_per_hour, Currency::USD);
        let (tiers, effective_at, expected) = (Tiers::NONE, None, Expected::Anything);
        let price = catalog::SetPrice { sku_id, per_hour, tiers, effective_at, expected };
        catalog::set_price(commands, &self.harness.context(), price).await.unwrap();
    }

    async fn ask(&self, sku_id: &str) -> Result<Executed, ExecuteError> {
        self.ask_for(Some(sku_id), None).await
    }

    async fn ask_for(
        &self,
        sku_id: Option<&str>,
        additional_disk_gib: Option<u32>,
    ) -> Result<Executed, ExecuteError> {
        let wish = compute::ResizeAllocation {
            organisation_id: Some(self.organisation),
            allocation_id: self.id,
            sku_id: sku_id.map(str::to_owned),
            additional_disk_gib,
            expected: Expected::Anything,
        };
        compute::resize_allocation(&self.harness.commands, &self.harness.context(), wish).await
    }

    /// Asks, and goes on until that is over.
    async fn resize(&mut self, sku_id: &str) {
        self.ask(sku_id).await.unwrap();
        self.over().await;
    }

    /// The same with so many GiB beside the disk of the SKU that it is.
    async fn grow(&mut self, gib: u32) {
        self.ask_for(None, Some(gib)).await.unwrap();
        self.over().await;
    }

    async fn over(&mut self) {
        let key = self.id.to_string();
        let over = |s: &support::harness::Snapshot| {
            s.ended("resize_tenant", &key) && s.status("suspend_tenant", &key) != Some("running")
        };
        self.harness.until("the change of size is over", over).await;
    }

    async fn rental(&self) -> Allocation {
        self.harness.load(&self.id.to_string()).await
    }

    /// What its node has set aside for it, and what it has there.
    async fn sizes(&self) -> (Resources, Resources) {
        let node: Node = self.harness.load(&self.harness.node_id.to_string()).await;
        let there = self.memory.nodes.tenant(&self.id.to_string()).unwrap();
        (node.reservations[&self.id.to_string()].resources, there.resources)
    }

    async fn is(&self, sku_id: &str, size: Resources) {
        let rental = self.rental().await;
        assert_eq!((rental.status, rental.sku_id.as_str()), (AllocationStatus::Active, sku_id));
        assert_eq!((rental.resources, rental.resize), (size, None));
        assert_eq!(self.sizes().await, (size, size));
        let there = self.memory.nodes.left(&self.id.to_string());
        assert_eq!(there.len(), 5, "{there:?}: also the login");
    }

    /// What was charged is what was metered in each size, to the second.
    async fn agrees(&self) {
        let wallet = wallet(&self.harness, self.organisation).await;
        let charged: i64 = wallet.holds.values().map(cairn_ledger::Hold::charged_nanos).sum();
        assert_eq!(Ok(charged), self.rental().await.total_nanos());
    }

    async fn told(&self) -> Vec<String> {
        let told = "SELECT split_part(event_type, '.', 2) FROM events WHERE aggregate_id = $1
                    AND (event_type ~ 'resiz|suspen|resum') ORDER BY position";
        let told = sqlx::query_scalar(told).bind(self.id.to_string());
        told.fetch_all(self.harness.pool()).await.unwrap()
    }

    async fn failures(&self) -> Vec<String> {
        let codes = "SELECT payload->>'code' FROM events WHERE event_type = 'allocation.resize_failed' ORDER BY position";
        sqlx::query_scalar(codes).fetch_all(self.harness.pool()).await.unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_goes_on_in_another_size_and_each_second_costs_what_it_did(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db, 100).await;
    story.harness.run_for(600).await;
    story.resize(LARGE).await;
    story.is(LARGE, large()).await;
    let way = [
        "resize_requested",
        "resize_reserved",
        "suspension_requested",
        "suspended",
        "resume_requested",
        "resized",
        "resumed",
        "resize_settled",
    ];
    assert_eq!(story.told().await, way);
    story.harness.run_for(900).await;
    let rental = story.rental().await;
    let small = rental.segments[0].seconds;
    assert_eq!(rental.segments[0].sku_id.as_deref(), Some(SKU));
    let (in_small, in_large) = (small * PER_HOUR, rental.seconds_at_this_price() * 4 * PER_HOUR);
    assert_eq!(rental.total_nanos(), Ok((in_small + in_large) / 3_600));
    assert!(small >= 600 && rental.seconds_at_this_price() >= 800, "{rental:?}");
    story.agrees().await;

    ask_for_release(&story.harness, story.id).await;
    let key = story.id.to_string();
    story.harness.until("it is released", |s| s.ended("release_node", &key)).await;
    story.agrees().await;
    let node: Node = story.harness.load(&story.harness.node_id.to_string()).await;
    assert!(node.reservations.is_empty());
    assert_eq!(wallet(&story.harness, story.organisation).await.held_nanos, 0);
}

async fn sell_disk(harness: &Harness, sku_id: &str, nanos_per_gib_hour: i64) {
    let price = catalog::SetDiskPrice {
        sku_id: sku_id.to_owned(),
        per_gib_hour: Money::new(nanos_per_gib_hour, Currency::USD),
        gib_max: 500,
        effective_at: None,
        expected: Expected::Anything,
    };
    catalog::set_disk_price(&harness.commands, &harness.context(), price).await.unwrap();
}

fn with_disk(gib: u64) -> Resources {
    Resources { disk_bytes: resources().disk_bytes + (gib << 30), ..resources() }
}

fn code(refused: Result<Executed, ExecuteError>) -> String {
    match refused {
        Err(ExecuteError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn disk_is_had_with_a_rental_and_for_one_that_runs_and_each_second_costs_what_it_did(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin_with_disk(db, 2).await;
    story.is(SKU, with_disk(2)).await;
    story.harness.run_for(300).await;
    // Another price of the SKU, which it is not moved to, and another one of disk.
    story.harness.price(9 * PER_HOUR, Tiers::NONE).await;
    sell_disk(&story.harness, SKU, 11 * 3_600).await;
    story.grow(3).await;
    story.is(SKU, with_disk(3)).await;
    story.harness.run_for(300).await;
    let rental = story.rental().await;
    let (two, three) = (rental.segments[0].seconds, rental.seconds_at_this_price());
    assert!(two >= 300 && three >= 200, "{rental:?}");
    let of_second = PER_HOUR / 3_600;
    let by_hand = two * (of_second + 2 * 7) + three * (of_second + 3 * 11);
    assert_eq!(rental.total_nanos(), Ok(by_hand));
    story.agrees().await;
    // There is no more than that on its node: it goes on as it is.
    story.grow(200).await;
    assert_eq!(story.failures().await, ["no_capacity"]);
    story.is(SKU, with_disk(3)).await;

    ask_for_release(&story.harness, story.id).await;
    let key = story.id.to_string();
    story.harness.until("it is released", |s| s.ended("release_node", &key)).await;
    story.agrees().await;
    let node: Node = story.harness.load(&story.harness.node_id.to_string()).await;
    assert!(node.reservations.is_empty());
    assert_eq!(wallet(&story.harness, story.organisation).await.held_nanos, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn disk_is_sold_with_the_sku_that_sells_it_and_only_grows(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin_with_disk(db, 2).await;
    let roomy = Resources { disk_bytes: with_disk(3).disk_bytes, ..large() };
    story.sell(LARGE, roomy, 4 * PER_HOUR).await;
    for (sku_id, gib, refused) in [
        (None, Some(2), "resize_unchanged"),
        (Some(SKU), None, "resize_unchanged"),
        (None, Some(1), "disk_shrinks"),
        (None, Some(501), "disk_beyond_limit"),
        (Some(LARGE), None, "disk_not_sold"),
    ] {
        assert_eq!(code(story.ask_for(sku_id, gib).await), refused, "{sku_id:?} {gib:?}");
    }
    let reprice = async |story: &Story, price_version| {
        let wish = compute::RepriceAllocation {
            organisation_id: Some(story.organisation),
            allocation_id: story.id,
            price_version,
            expected: Expected::Anything,
        };
        let context = story.harness.context();
        compute::reprice_allocation(&story.harness.commands, &context, wish).await
    };
    sell_disk(&story.harness, SKU, 13 * 3_600).await;
    reprice(&story, 1).await.unwrap();
    let disk = story.rental().await.price.unwrap().disk.unwrap();
    assert_eq!((disk.version, disk.gib, disk.nanos_per_gib_hour), (2, 2, 13 * 3_600));
    // The disk of the other SKU is larger than both together.
    story.ask_for(Some(LARGE), Some(0)).await.unwrap();
    story.over().await;
    story.is(LARGE, roomy).await;
    let price = story.rental().await.price.unwrap();
    assert_eq!((price.nanos_per_hour, price.disk), (4 * PER_HOUR, None));
    story.harness.run_for(100).await;
    story.agrees().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_cannot_be_had_stops_nothing(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db, 20).await;
    let huge = Resources { memory_bytes: 1 << 60, ..large() };
    story.sell("huge", huge, PER_HOUR).await;
    story.sell("dear", large(), 100 * PER_HOUR).await;
    let flat = Resources { disk_bytes: resources().disk_bytes - 1, ..large() };
    story.sell("flat", flat, PER_HOUR).await;
    assert_eq!(code(story.ask(SKU).await), "resize_unchanged");
    assert_eq!(code(story.ask("flat").await), "disk_shrinks");
    assert_eq!(code(story.ask("none").await), "unknown_sku");
    story.resize("huge").await;
    story.resize("dear").await;
    assert_eq!(story.failures().await, ["no_capacity", "insufficient_funds"]);
    story.is(SKU, resources()).await;
    let stopped = story.told().await.iter().any(|told| told == "suspension_requested");
    assert!(!stopped, "it ran on all the time");
    story.ask(LARGE).await.unwrap();
    assert_eq!(code(story.ask("dear").await), "resize_under_way");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_that_cannot_give_the_disk_gives_what_there_was(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db, 100).await;
    story.harness.faults.arm("ensure_home", Mode::Permanent);
    story.resize(LARGE).await;
    assert_eq!(story.harness.faults.hits("ensure_home"), 1);
    assert_eq!(story.failures().await, ["injected_failure"]);
    story.is(SKU, resources()).await;
    story.harness.run_for(600).await;
    story.agrees().await;
    assert_eq!(story.rental().await.segments, [], "nothing was charged at another price");
    story.harness.faults.mend();
    story.resize(LARGE).await;
    story.is(LARGE, large()).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn whatever_goes_wrong_on_the_way_it_ends_in_one_size_and_is_charged_once(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db, 1_000).await;
    let cells = [
        ("reserve_resize", Mode::KillBefore),
        ("reserve_resize", Mode::KillAfter),
        ("reserve_resize", Mode::Twice),
        ("suspend_tenant", Mode::KillBetween),
        ("ensure_home", Mode::KillBetween),
        ("ensure_home", Mode::Twice),
        ("ensure_limits", Mode::KillBetween),
        ("resume_tenant", Mode::KillAfter),
        ("settle_resize", Mode::KillBefore),
        ("settle_resize", Mode::KillAfter),
        ("settle_resize", Mode::Twice),
    ];
    for (turn, (name, mode)) in cells.into_iter().enumerate() {
        story.harness.faults.arm(name, mode);
        let (sku_id, size) = [(LARGE, large()), (SKU, resources())][turn % 2];
        story.resize(sku_id).await;
        assert!(story.harness.faults.hits(name) > 0, "{name} {mode:?} did not bite");
        story.harness.faults.clear();
        story.is(sku_id, size).await;
        story.harness.run_for(100).await;
        story.agrees().await;
    }
    assert_eq!(story.failures().await, Vec::<String>::new());
    assert_eq!(story.rental().await.segments.len(), cells.len());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_release_in_the_middle_wins_and_leaves_nothing(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db, 100).await;
    story.harness.faults.arm("suspend_tenant", Mode::Forever);
    story.ask(LARGE).await.unwrap();
    let key = story.id.to_string();
    story.harness.until("it is to stop", |s| s.status("suspend_tenant", &key).is_some()).await;
    assert!(story.harness.faults.hits("suspend_tenant") > 0);
    assert_eq!(story.sizes().await, (large(), resources()), "its node has room for both");
    ask_for_release(&story.harness, story.id).await;
    story.harness.until("it is released", |s| s.ended("release_node", &key)).await;
    let rental = story.rental().await;
    assert_eq!((rental.status, rental.sku_id.as_str()), (AllocationStatus::Released, SKU));
    let node: Node = story.harness.load(&story.harness.node_id.to_string()).await;
    assert!(node.reservations.is_empty());
    assert_eq!(story.memory.nodes.left(&key), Vec::<String>::new());
    story.agrees().await;
}
