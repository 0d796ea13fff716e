//! What each view shows of one story.
use cairn_compute::{AllocationCommand, Step};
use cairn_core::{HoldId, Timestamp};
use cairn_fleet::{Link, NodeCommand, Policy, Usage};
use cairn_identity::{ApiKey, ApiKeyCommand};
use cairn_ledger::{PlaceHold, WalletCommand};
use cairn_projections::all;
use cairn_projections::catalog::skus;
use cairn_projections::compute::{allocations, timeline};
use cairn_projections::fleet::nodes;
use cairn_projections::identity::{api_keys, uses};
use cairn_projections::ledger::{balances, statement};
use cairn_projections::operations::{audit, interventions};
use cairn_projections::payments::{payments, refunds};
use sqlx::PgPool;

use crate::story::{CURRENCY, SECRET, SMALL, UNIT, allocation, node, payment};
use crate::world::{World, organisation};

#[sqlx::test(migrations = "../migrations")]
async fn balances_agree_with_the_guarded_books(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.hold(organisation(2), 77, 3).await;
    world.caught_up(all()).await;
    let folded: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT 'wallet:paid:' || organisation_id || ':' || currency, posted_nanos, held_nanos
         FROM ledger_wallets ORDER BY 1",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let guarded: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT account, posted_nanos, held_nanos FROM ledger_balances ORDER BY 1")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(folded, guarded);
    let differing =
        "SELECT count(*) FROM ledger_holds g FULL JOIN ledger_wallet_holds v USING (hold_id)
        WHERE (g.reserved_nanos, g.captured_nanos, g.released_nanos, g.expires_at)
          IS DISTINCT FROM (v.reserved_nanos, v.captured_nanos, v.released_nanos, v.expires_at)";
    let differing: i64 = sqlx::query_scalar(differing).fetch_one(&world.pool).await.unwrap();
    assert_eq!((folded.len(), differing), (2, 0));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_balance_says_what_is_posted_held_available_and_owed(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.hold(organisation(2), 77, 3).await;
    let long_ago = Timestamp::from_secs(1_600_000_000);
    let expired = PlaceHold {
        hold_id: HoldId::from_bits(78),
        purpose: allocation(78).to_string(),
        project_id: None,
        amount_nanos: 4 * UNIT,
        expires_at: long_ago.plus_secs(60),
        at: long_ago,
    };
    world.wallet(organisation(2), WalletCommand::PlaceHold(expired)).await;
    world.caught_up(all()).await;
    let spent = balances::get(&world.pool, organisation(1), CURRENCY).await.unwrap().unwrap();
    assert_eq!((spent.posted_nanos, spent.held_nanos, spent.owed_nanos), (0, 0, 8 * UNIT));
    let other = balances::get(&world.pool, organisation(2), CURRENCY).await.unwrap().unwrap();
    assert_eq!((other.posted_nanos, other.held_nanos), (30 * UNIT, 3 * UNIT));
    assert_eq!(other.available_nanos, 27 * UNIT, "a hold whose time is over does not count");
    let holds = balances::open_holds(&world.pool, organisation(2), CURRENCY).await.unwrap();
    let remaining: Vec<_> = holds.iter().map(|hold| hold.remaining_nanos / UNIT).collect();
    assert_eq!(remaining, [3, 4]);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_statement_explains_the_balance_line_by_line(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.caught_up(all()).await;
    let page =
        statement::list(&world.pool, organisation(1), Some(CURRENCY), None, 50).await.unwrap();
    let told: Vec<_> = page
        .items
        .iter()
        .rev()
        .map(|line| {
            let units = |nanos: i64| nanos / UNIT;
            let (amount, owed) = (units(line.amount_nanos), units(line.owed_nanos));
            (line.kind.as_str(), amount, owed, units(line.balance_nanos), line.reference.clone())
        })
        .collect();
    let (paid, rented) = (payment(1).to_string(), allocation(1).to_string());
    assert_eq!(
        told,
        [
            ("top_up", 12, 0, 12, paid),
            ("usage", -2, 0, 10, rented.clone()),
            ("usage", -10, 0, 0, rented.clone()),
            ("overrun", 0, 8, 0, rented),
        ]
    );
    let page = statement::list(&world.pool, organisation(2), None, None, 50).await.unwrap();
    assert_eq!(page.items[0].kind, "refund_reserved");
    assert_eq!(page.items[0].balance_nanos, 30 * UNIT);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_allocation_shows_where_to_log_in_and_what_it_cost(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.caught_up(all()).await;
    let row =
        allocations::get(&world.pool, None, &allocation(1).to_string()).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.needs_operator), ("released", false));
    assert_eq!(row.ssh_address.as_deref(), Some("10.0.0.1"));
    assert_eq!((row.ssh_port, row.login.as_deref()), (Some(22), Some("t20000")));
    assert_eq!(row.steps_done, ["uid", "home", "user", "limits", "access", "prove"]);
    assert_eq!((row.active_seconds, row.charged_seconds), (20, 20));
    assert_eq!((row.charged_nanos, row.owed_nanos), (20 * UNIT, 8 * UNIT));
    assert_eq!(row.release_reason.as_deref(), Some("customer"));
    assert!(row.activated_at < row.release_requested_at && row.ended_at.is_some());
    let failed = allocations::get(&world.pool, None, &allocation(2).to_string()).await.unwrap();
    let failed = failed.unwrap();
    assert_eq!((failed.status.as_str(), failed.failed_step.as_deref()), ("failed", Some("home")));
    assert_eq!(failed.failure_code.as_deref(), Some("disk_full"));
    assert_eq!((failed.active_seconds, failed.charged_nanos), (0, 0));
    let filter = allocations::Filter {
        status: Some("failed".to_owned()),
        node_id: Some(node(1).to_string()),
        ..allocations::Filter::default()
    };
    assert_eq!(allocations::list(&world.pool, filter, None, 10).await.unwrap().items, [failed]);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_allocation_that_is_stuck_says_so_until_it_is_not(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.top_up(organisation(2), 60, 20).await;
    world.begin(organisation(2), 5).await;
    let at = world.now();
    let (code, message) = ("x".to_owned(), "y".to_owned());
    let fail = AllocationCommand::FailProvisioning { step: Step::User, code, message, at };
    world.on_allocation(5, fail).await;
    let call = AllocationCommand::CallOperator {
        doing: "undo".to_owned(),
        message: "node offline".to_owned(),
        at,
    };
    world.on_allocation(5, call).await;
    world.caught_up(all()).await;
    let id = allocation(5).to_string();
    let stuck = allocations::get(&world.pool, None, &id).await.unwrap().unwrap();
    assert_eq!((stuck.status.as_str(), stuck.needs_operator), ("compensating", true));
    world.on_allocation(5, AllocationCommand::ConfirmFailed { at }).await;
    world.caught_up(all()).await;
    let freed = allocations::get(&world.pool, None, &id).await.unwrap().unwrap();
    assert_eq!((freed.status.as_str(), freed.needs_operator), ("failed", false));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_timeline_tells_every_step_in_order(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.caught_up(all()).await;
    let id = allocation(1).to_string();
    let told = timeline::list(&world.pool, Some(organisation(1)), &id).await.unwrap();
    let entries: Vec<_> = told.iter().map(|entry| entry.entry.as_str()).collect();
    let steps = ["step_completed"; 6];
    let expected = [
        &["requested", "reserved", "provisioning_started"][..],
        &steps,
        &["activated", "release_requested", "teardown_verified", "released"],
    ];
    assert_eq!(entries, expected.concat());
    assert_eq!(told[4].step.as_deref(), Some("home"));
    assert_eq!(told[4].detail.as_deref(), Some("home is so"));
    assert!(told.iter().all(|entry| entry.actor == "tester"));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn candidates_are_schedulable_online_and_have_room(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 1..=4 {
        world.enrol(number).await;
    }
    let at = world.now();
    let (policy, reason) = (Policy::Cordoned, "disk noise".to_owned());
    world.on_node(2, NodeCommand::SetPolicy { policy, reason, at }).await;
    world.on_node(3, NodeCommand::ObserveLink { link: Link::Offline, at }).await;
    let allocation_id = allocation(9);
    world.on_node(1, NodeCommand::Reserve { allocation_id, resources: SMALL, at }).await;
    world.caught_up(all()).await;
    let candidates = async |resources| nodes::candidates(&world.pool, resources, 10).await.unwrap();
    assert_eq!(candidates(SMALL).await, [node(4).to_string(), node(1).to_string()]);
    assert_eq!(candidates(SMALL.plus(SMALL)).await, [node(4).to_string()]);
    assert!(candidates(SMALL.plus(SMALL).plus(SMALL)).await.is_empty());
    let reason = "still there".to_owned();
    world.on_node(1, NodeCommand::QuarantineCapacity { allocation_id, reason, at }).await;
    world.caught_up(all()).await;
    let row = nodes::get(&world.pool, &node(1).to_string()).await.unwrap().unwrap();
    assert_eq!((row.cpu_millis, row.reserved_cpu_millis, row.allocations), (2_000, 1_000, 1));
    let held = nodes::reservations(&world.pool, &node(1).to_string()).await.unwrap();
    assert_eq!((held[0].status.as_str(), held[0].uid), ("quarantined", 20_000));
    let cordoned =
        nodes::Filter { policy: Some("cordoned".to_owned()), ..nodes::Filter::default() };
    let cordoned = nodes::list(&world.pool, cordoned, None, 10).await.unwrap().items;
    assert_eq!(cordoned[0].reason.as_deref(), Some("disk noise"));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_degraded_node_is_shown_with_what_is_in_use_and_is_no_candidate(pool: PgPool) {
    let world = World::new(pool).await;
    world.enrol(1).await;
    let observe = async |memory_permille, at: Timestamp| {
        let usage = Usage { memory_permille, ..Usage::default() };
        world.on_node(1, NodeCommand::ObserveUsage { usage, at }).await;
        world.caught_up(all()).await;
        let row = nodes::get(&world.pool, &node(1).to_string()).await.unwrap().unwrap();
        let candidates = nodes::candidates(&world.pool, SMALL, 10).await.unwrap().len();
        (row.health, row.reason, candidates)
    };
    let at = world.now();
    assert_eq!(observe(950, at).await, ("ok".to_owned(), None, 1), "once is not enough");
    let reason = |memory| Some(format!("in use: cpu 0 ‰, memory {memory} ‰, disk 0 ‰"));
    assert_eq!(observe(960, at.plus_secs(30)).await, ("degraded".to_owned(), reason(960), 0));
    observe(10, at.plus_secs(60)).await;
    assert_eq!(observe(20, at.plus_secs(360)).await, ("ok".to_owned(), reason(20), 1));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_invitation_that_expired_is_shown_so_and_may_be_renewed(pool: PgPool) {
    let world = World::new(pool).await;
    let at = world.now();
    let invite = |token: &str| NodeCommand::Invite {
        node_id: node(2),
        name: "second".to_owned(),
        token_sha256: token.to_owned(),
        expires_at: at,
        at,
    };
    world.on_node(2, invite("one")).await;
    world.on_node(2, NodeCommand::ExpireInvitation { at }).await;
    world.caught_up(all()).await;
    let row = nodes::get(&world.pool, &node(2).to_string()).await.unwrap().unwrap();
    assert_eq!(row.lifecycle, "expired");
    assert_eq!(row.reason.as_deref(), Some("nobody enrolled in time"));
    assert!(nodes::by_token_sha256(&world.pool, "one").await.unwrap().is_none());
    world.on_node(2, invite("two")).await;
    world.caught_up(all()).await;
    let found = nodes::by_token_sha256(&world.pool, "two").await.unwrap().unwrap();
    assert_eq!((found.lifecycle.as_str(), found.reason), ("invited", None));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_token_finds_its_node_until_it_is_used(pool: PgPool) {
    let world = World::new(pool).await;
    world.enrol(1).await;
    let invite = NodeCommand::Invite {
        node_id: node(2),
        name: "second".to_owned(),
        token_sha256: "secret".to_owned(),
        expires_at: world.now(),
        at: world.now(),
    };
    world.on_node(2, invite).await;
    world.caught_up(all()).await;
    let found = nodes::by_token_sha256(&world.pool, "secret").await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.lifecycle.as_str()), ("second", "invited"));
    assert!(nodes::by_token_sha256(&world.pool, "token-1").await.unwrap().is_none());
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn payments_and_refunds_show_where_the_money_is(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.caught_up(all()).await;
    let paid = payments::by_provider_id(&world.pool, "pi_1").await.unwrap().unwrap();
    assert_eq!((paid.status.as_str(), paid.charge_id.as_deref()), ("succeeded", Some("ch_1")));
    assert_eq!((paid.amount_nanos, paid.fee_nanos), (12 * UNIT, Some(590_000_000)));
    assert_eq!(paid.failure_code, None, "success clears an earlier failed attempt");
    let refund = refunds::by_provider_id(&world.pool, "re_2").await.unwrap().unwrap();
    assert_eq!((refund.status.as_str(), refund.amount_nanos), ("succeeded", 20 * UNIT));
    let filter = refunds::Filter { payment_id: Some(payment(2).to_string()), organisation: None };
    assert_eq!(refunds::list(&world.pool, filter, None, 5).await.unwrap().items, [refund]);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_sku_shows_the_price_that_is_effective_now(pool: PgPool) {
    let world = World::new(pool).await;
    world.sell("small").await;
    let tomorrow = cairn_catalog::SkuCommand::SetPrice {
        currency: CURRENCY,
        nanos_per_hour: 99 * UNIT,
        tiers: cairn_core::Tiers::NONE,
        effective_at: Timestamp::from_secs(4_000_000_000),
        at: world.now(),
    };
    world.run::<cairn_catalog::Sku>("small", tomorrow).await;
    world.sell("old").await;
    let retire = cairn_catalog::SkuCommand::Retire { at: world.now() };
    world.run::<cairn_catalog::Sku>("old", retire).await;
    world.caught_up(all()).await;
    let sku = skus::get(&world.pool, "small").await.unwrap().unwrap();
    assert_eq!(sku.prices.len(), 1);
    assert_eq!((sku.prices[0].version, sku.prices[0].nanos_per_hour), (2, 3_600_000_000));
    assert_eq!(skus::list(&world.pool, false, None, 10).await.unwrap().items, [sku]);
    assert_eq!(skus::list(&world.pool, true, None, 10).await.unwrap().items.len(), 2);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_revoked_key_opens_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    world.key(organisation(1), 1, SECRET).await;
    world.caught_up(all()).await;
    let key = api_keys::find_by_sha256(&world.pool, SECRET).await.unwrap().unwrap();
    assert_eq!((key.role.as_str(), key.organisation_id), ("owner", organisation(1).to_string()));
    assert!(key.expires_at.is_none() && key.last_used_at.is_none());
    uses::note(&world.pool, &key.key_id).await.unwrap();
    let expires_at = world.now().plus_secs(60);
    let expire = ApiKeyCommand::SetExpiry { expires_at, successor: None, at: world.now() };
    world.run::<ApiKey>(&key.key_id, expire).await;
    world.caught_up(all()).await;
    let used = api_keys::get(&world.pool, None, &key.key_id).await.unwrap().unwrap();
    assert_eq!(used.expires_at.map(Timestamp::from), Some(expires_at));
    assert!(used.last_used_at.is_some());
    let reason = "lost".to_owned();
    let revoke = ApiKeyCommand::Revoke { reason, at: world.now() };
    world.run::<ApiKey>(&key.key_id, revoke).await;
    world.caught_up(all()).await;
    assert!(api_keys::find_by_sha256(&world.pool, SECRET).await.unwrap().is_none());
    let kept = api_keys::get(&world.pool, Some(organisation(1)), &key.key_id).await.unwrap();
    assert_eq!(kept.unwrap().revoked_reason.as_deref(), Some("lost"));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_audit_trail_answers_who_what_when_and_why(pool: PgPool) {
    let world = World::new(pool).await;
    let head = world.everything().await;
    world.caught_up(all()).await;
    let find = async |filter| audit::list(&world.pool, filter, None, 500).await.unwrap().items;
    let id = allocation(1).to_string();
    let about = audit::Filter { aggregate_id: Some(id), ..audit::Filter::default() };
    let about = find(about).await;
    assert_eq!(about.len(), 13);
    let last = about.first().unwrap();
    assert_eq!((last.event_type.as_str(), last.actor.as_str()), ("allocation.released", "tester"));
    assert_eq!(last.origin.as_deref(), Some("127.0.0.1"));
    let correlation_id = Some("for sku".to_owned());
    let caused = find(audit::Filter { correlation_id, ..audit::Filter::default() }).await;
    assert_eq!(caused.len(), 3);
    let actor = Some("nobody".to_owned());
    assert!(find(audit::Filter { actor, ..audit::Filter::default() }).await.is_empty());
    let until = Some(last.recorded_at.0);
    let earlier = find(audit::Filter { until, ..audit::Filter::default() }).await;
    let from = until;
    let later = find(audit::Filter { from, ..audit::Filter::default() }).await;
    let both = i64::try_from(earlier.len() + later.len()).unwrap();
    assert_eq!(both, head, "what nobody here knows is in the trail too");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_intervention_waits_until_somebody_answers(pool: PgPool) {
    let world = World::new(pool).await;
    world.call("intent-1").await;
    world.call("intent-2").await;
    world.resolve("intent-1").await;
    world.caught_up(all()).await;
    let waiting = interventions::list(&world.pool, Some("waiting"), None, 10).await.unwrap().items;
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].intent_id.as_str(), waiting[0].calls), ("intent-2", 1));
    let answered = interventions::get(&world.pool, "intent-1").await.unwrap().unwrap();
    assert_eq!((answered.status.as_str(), answered.verb.as_deref()), ("resolved", Some("retry")));
    assert_eq!(answered.resolved_by.as_deref(), Some("tester"));
    world.call("intent-1").await;
    world.caught_up(all()).await;
    let again = interventions::get(&world.pool, "intent-1").await.unwrap().unwrap();
    assert_eq!((again.status.as_str(), again.calls), ("waiting", 2));
    world.close().await;
}
