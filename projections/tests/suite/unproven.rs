//! Time that nobody proved: whose it was, between which instants it lies, and why.
use cairn_compute::{AllocationCommand, ReleaseReason, Step, SuspensionReason};
use cairn_core::Timestamp;
use cairn_finance::{BreakCase, BreakCommand, BreakType, Disagreement, Means};
use cairn_fleet::{Beat, Comparison, Link, NodeCommand};
use cairn_projections::all;
use cairn_projections::compute::unproven::{Filter, Unproven, list};
use sqlx::PgPool;

use crate::story::{allocation, node};
use crate::world::{World, organisation};

/// A rental that is active from here on.
async fn active(world: &World, number: u128, since: Timestamp) {
    world.top_up(organisation(number), number, 100).await;
    world.begin(organisation(number), number).await;
    for step in Step::ALL {
        let (observed, at) = (String::new(), since);
        world.on_allocation(number, AllocationCommand::CompleteStep { step, observed, at }).await;
    }
    let activate = AllocationCommand::Activate { proof: String::new(), at: since };
    world.on_allocation(number, activate).await;
}

/// The last one first: from, through, seconds, why.
fn told(rows: &[Unproven], since: Timestamp) -> Vec<(i64, i64, i64, &str)> {
    let after = |at: Timestamp| at.secs_since(since);
    let mut told = vec![];
    for Unproven { from_at, through_at, seconds, why, .. } in rows {
        let through_at = through_at.expect("it is over");
        told.push((after(from_at.0), after(through_at.0), *seconds, why.as_str()));
    }
    told
}

/// Two rentals of a node that is silent, twice: what ends in it, what goes on, and what stood still for a while.
async fn silences(world: &World, since: Timestamp) {
    let at = |secs| since.plus_secs(secs);
    let link = |link, secs| NodeCommand::ObserveLink { link, at: at(secs) };
    let meter = |through, unproven_seconds| AllocationCommand::Meter {
        through: at(through),
        unproven_seconds,
        late_seconds: 0,
        at: at(through),
    };
    active(world, 1, since).await;
    active(world, 2, since).await;
    for observed in [link(Link::Suspect, 60), link(Link::Offline, 150)] {
        world.on_node(1, observed).await;
    }
    // The second one ends within the outage.
    let release =
        AllocationCommand::RequestRelease { reason: ReleaseReason::Customer, at: at(200) };
    world.on_allocation(2, release).await;
    world.on_allocation(2, meter(200, 140)).await;
    world.on_node(1, link(Link::Online, 300)).await;
    let (comparison, compared_at) = (Comparison::default(), at(301));
    world.on_node(1, NodeCommand::RecordInventory { comparison, at: compared_at }).await;
    world.on_allocation(1, meter(30, 0)).await;
    world.on_allocation(1, meter(360, 240)).await;
    world.on_allocation(1, meter(400, 240)).await;
    // A short silence is none. Nobody knows of one after the suspension, and the meter stood still until then.
    for observed in [link(Link::Suspect, 410), link(Link::Online, 420)] {
        world.on_node(1, observed).await;
    }
    let reason = SuspensionReason::FundsExhausted;
    for command in [
        AllocationCommand::RequestSuspension { reason, at: at(430) },
        meter(430, 240),
        AllocationCommand::ConfirmSuspended { evidence: String::new(), at: at(431) },
        AllocationCommand::RequestResume { at: at(990) },
        AllocationCommand::ConfirmResumed { proof: String::new(), at: at(1_000) },
        meter(1_060, 250),
    ] {
        world.on_allocation(1, command).await;
    }
    world.on_node(1, NodeCommand::Quarantine { reason: "key".to_owned(), at: at(1_100) }).await;
    let release =
        AllocationCommand::RequestRelease { reason: ReleaseReason::Customer, at: at(1_200) };
    world.on_allocation(1, release).await;
    world.on_allocation(1, meter(1_200, 350)).await;
    world.caught_up(all()).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_proved_is_listed_where_it_lies(pool: PgPool) {
    let world = World::new(pool).await;
    world.enrol(1).await;
    let since = world.now();
    let at = |secs| since.plus_secs(secs);
    silences(&world, since).await;

    let ask = async |filter, after, limit| {
        list(&world.pool, (filter, at(2_000)), after, limit).await.unwrap()
    };
    let all = ask(Filter::default(), None, 50).await.items;
    let of_first = [
        (1_100, 1_200, 100, "quarantine"),
        (1_000, 1_060, 10, "silence"),
        (60, 300, 240, "outage"),
    ];
    assert_eq!(told(&all[..3], since), of_first);
    assert_eq!(told(&all[3..], since), [(60, 200, 140, "outage")]);
    assert_eq!(all[3].allocation_id, allocation(2).to_string());
    assert_eq!(all[3].organisation_id, organisation(2).to_string());
    assert_eq!(all[3].node_id, Some(node(1).to_string()));
    assert_eq!((all[3].age_seconds(at(260)), all[3].age_seconds(at(0))), (60, 0));

    let one = Filter { organisation: Some(organisation(1)), ..Filter::default() };
    assert_eq!(told(&ask(one, None, 50).await.items, since), of_first);
    let elsewhere = Filter { node: Some(node(2)), ..Filter::default() };
    assert_eq!(ask(elsewhere, None, 50).await.items, []);
    let between = Filter { since: Some(at(300)), until: Some(at(1_100)), ..Filter::default() };
    assert_eq!(told(&ask(between, None, 50).await.items, since), [of_first[1]]);
    let first = ask(Filter::default(), None, 3).await;
    let rest = ask(Filter::default(), first.next.clone(), 3).await;
    assert_eq!((first.items, rest.items, rest.next), (all[..3].to_vec(), all[3..].to_vec(), None));
    world.close().await;
}

/// A case of what the second rental did not pay for of the first outage.
fn case(used_until: Timestamp) -> Disagreement {
    Disagreement {
        break_type: BreakType::UsageLate,
        transaction_id: None,
        source_id: None,
        reference: Some(format!("usage/{}:1", allocation(2))),
        currency: "USD".to_owned(),
        provider_nanos: None,
        books_nanos: None,
        difference_nanos: 140,
        occurred_at: used_until,
        message: "an outage was proven too late".to_owned(),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_proven_too_late_is_in_review_until_it_is_settled(pool: PgPool) {
    let world = World::new(pool).await;
    world.enrol(1).await;
    let since = world.now();
    let at = |secs| since.plus_secs(secs);
    silences(&world, since).await;
    let outcomes = async || -> Vec<(i64, String)> {
        world.caught_up(all()).await;
        let page = list(&world.pool, (Filter::default(), at(2_000)), None, 50).await.unwrap();
        page.items.into_iter().map(|row| (row.seconds, row.outcome)).collect()
    };
    let with = |last: &str| {
        let told = [(100, "forgiven"), (10, "forgiven"), (240, "forgiven"), (140, last)];
        told.map(|(seconds, outcome)| (seconds, outcome.to_owned()))
    };
    let item = case(at(200));
    let id = item.id().to_string();
    world.run::<BreakCase>(&id, BreakCommand::Find { item, at: at(1_300) }).await;
    assert_eq!(outcomes().await, with("in_review"));
    for (limit_nanos, wanted) in [(139, "in_review"), (140, "forgiven")] {
        let (by, cause, actor) = (Means::Explain, "our fault".to_owned(), "ada".to_owned());
        let waive = BreakCommand::Resolve { by, cause, actor, limit_nanos, at: at(1_400) };
        world.run::<BreakCase>(&id, waive).await;
        assert_eq!(outcomes().await, with(wanted), "up to {limit_nanos}");
    }
    world.close().await;
}

/// One outage is proven late, and the next one lasts. The first rental pays for the one but for a pause; the second one ended in it, and was
/// settled before it was proven.
async fn proven_late(world: &World, since: Timestamp) {
    let at = |secs| since.plus_secs(secs);
    let link = |link, secs| NodeCommand::ObserveLink { link, at: at(secs) };
    let beat = |sequence, secs| NodeCommand::ObserveBeat {
        beat: Beat { boot_id: "boot-1".to_owned(), sequence, clock_at: at(secs) },
        at: at(secs),
    };
    let meter = |through, unproven_seconds, late_seconds| AllocationCommand::Meter {
        through: at(through),
        unproven_seconds,
        late_seconds,
        at: at(through),
    };
    active(world, 1, since).await;
    active(world, 2, since).await;
    let release =
        AllocationCommand::RequestRelease { reason: ReleaseReason::Customer, at: at(200) };
    let compare = NodeCommand::RecordInventory { comparison: Comparison::default(), at: at(301) };
    for observed in [
        beat(1_000, 10),
        link(Link::Suspect, 60),
        link(Link::Offline, 150),
        beat(251_000, 300),
        link(Link::Online, 300),
        compare,
        link(Link::Suspect, 500),
        link(Link::Offline, 600),
    ] {
        world.on_node(1, observed).await;
    }
    for command in [meter(60, 0, 0), meter(400, 40, 200)] {
        world.on_allocation(1, command).await;
    }
    let (since, until, paused_seconds) = (at(60), at(300), 40);
    let prove = AllocationCommand::ProveLate { since, until, paused_seconds, at: until };
    for command in [meter(60, 0, 0), release, meter(200, 140, 0), prove] {
        world.on_allocation(2, command).await;
    }
    world.caught_up(all()).await;
}

/// Whose, from, through, seconds, whether it is proven, and what became of it.
type ToldApart = (String, i64, Option<i64>, i64, bool, String);

fn told_apart(rows: &[Unproven], since: Timestamp) -> Vec<ToldApart> {
    let after = |at: Timestamp| at.secs_since(since);
    let row = |row: &Unproven| {
        let through = row.through_at.map(|at| after(at.0));
        let (whose, proven) = (row.allocation_id.clone(), row.proven_at.is_some());
        (whose, after(row.from_at.0), through, row.seconds, proven, row.outcome.clone())
    };
    rows.iter().map(row).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_proven_late_and_what_lasts_is_told_apart(pool: PgPool) {
    let world = World::new(pool).await;
    world.enrol(1).await;
    let since = world.now();
    let at = |secs| since.plus_secs(secs);
    proven_late(&world, since).await;

    let ask = async |after, limit| {
        list(&world.pool, (Filter::default(), at(700)), after, limit).await.unwrap()
    };
    let [one, two] = [1, 2].map(|number| allocation(number).to_string());
    let over = |whose: &str, seconds, outcome: &str| {
        let through = if whose == two { 200 } else { 300 };
        (whose.to_owned(), 60, Some(through), seconds, true, outcome.to_owned())
    };
    let lasts =
        |whose: &str, seconds| (whose.to_owned(), 500, None, seconds, false, "open".to_owned());
    let wanted = [
        lasts(&one, 200),
        over(&two, 100, "charged"),
        over(&two, 40, "forgiven"),
        over(&one, 200, "charged"),
        over(&one, 40, "forgiven"),
    ];
    let all = ask(None, 50).await.items;
    assert_eq!(told_apart(&all, since), wanted);
    assert_eq!((all[0].age_seconds(at(700)), &all[0].noted_at), (0, &None));
    let (mut paged, mut next) = (vec![], None);
    loop {
        let page = ask(next, 1).await;
        paged.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(paged, all, "each page begins where the one before ended");
    world.close().await;
}
