//! What a customer pays for while things go wrong: only for time that the node proves, and for all of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::finance::breaks::{self, Resolve};
use cairn_commands::processes::{Settings, operator};
use cairn_compute::{Allocation, AllocationStatus};
use cairn_core::{AllocationId, Tier, Tiers};
use cairn_finance::{BreakCase, Means, Status};
use cairn_fleet::{Beat, LateUsage, Link, Node};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory, PER_HOUR, usd};
use support::stories::{ask_for_release, correct, in_review, release, rent, top_up, wallet};

type Options = PgConnectOptions;

/// A rental that is watched and metered as in production.
struct Rental {
    harness: Harness,
    memory: Arc<Memory>,
    organisation: cairn_core::OrganisationId,
    id: AllocationId,
}

impl Rental {
    async fn begin(db: Options, tick_seconds: i64) -> Self {
        Self::begin_with(db, Settings { tick_seconds, ..Settings::default() }).await
    }

    async fn begin_with(db: Options, settings: Settings) -> Self {
        let memory = Memory::new();
        let settings = Settings { provider_seconds: 600, ..settings };
        let mut harness = Harness::start_with(db, Arc::clone(&memory) as _, settings).await;
        let organisation = harness.organisation();
        top_up(&mut harness, organisation, 20).await;
        let id = rent(&mut harness, organisation).await;
        Self { harness, memory, organisation, id }
    }

    async fn allocation(&self) -> Allocation {
        self.harness.load(&self.id.to_string()).await
    }

    async fn link(&self) -> Link {
        self.harness.load::<Node>(&self.harness.node_id.to_string()).await.link
    }

    async fn charged(&self) -> i64 {
        let wallet = wallet(&self.harness, self.organisation).await;
        wallet.holds.values().map(|hold| hold.charged_nanos()).sum()
    }

    /// The node is silent for so long, at least until it counts as offline.
    async fn outage(&mut self, seconds: i64) {
        self.memory.nodes.set_silent("memory", true);
        self.harness.run_for(seconds).await;
        assert_eq!(self.link().await, Link::Offline, "the fault bit");
        self.memory.nodes.set_silent("memory", false);
        self.harness.run_for(40).await;
        assert_eq!(self.link().await, Link::Online);
    }

    /// Ends it; answers the seconds from proof to release, the seconds that are not billed, and checks the charge.
    async fn end(mut self) -> (i64, i64) {
        release(&mut self.harness, self.id).await;
        self.account().await
    }

    async fn account(&self) -> (i64, i64) {
        let allocation = self.allocation().await;
        assert_eq!(allocation.status, AllocationStatus::Released);
        let (from, to) = (allocation.activated_at.unwrap(), allocation.released_at.unwrap());
        let seconds = to.secs_since(from);
        let active: i64 = sqlx::query_scalar(
            "SELECT (payload->>'active_seconds')::bigint FROM events
             WHERE event_type = 'allocation.released' AND aggregate_id = $1",
        )
        .bind(self.id.to_string())
        .fetch_one(self.harness.pool())
        .await
        .unwrap();
        let unbilled = allocation.unproven_seconds + allocation.corrected_seconds;
        assert_eq!(active, seconds - unbilled);
        assert_eq!(self.charged().await, active * PER_HOUR / 3_600, "charged is rate times active");
        (seconds, allocation.unproven_seconds)
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_outage_in_the_middle_of_a_rental_is_not_charged(_: PgPoolOptions, db: Options) {
    let mut rental = Rental::begin(db, 60).await;
    rental.harness.run_for(400).await;
    let before = rental.charged().await;
    assert!(before > 200 * PER_HOUR / 3_600, "it is charged while it runs");
    rental.memory.nodes.set_silent("memory", true);
    rental.harness.run_for(200).await;
    let last_proof = rental.charged().await;
    rental.harness.run_for(300).await;
    assert_eq!(rental.charged().await, last_proof, "the meter stands still");
    rental.outage(100).await;
    rental.harness.run_for(300).await;
    assert!(rental.charged().await > last_proof, "and goes on");
    let (seconds, unproven) = rental.end().await;
    // Silent for 600 s; a look of every 30 s came last before it and first after it.
    assert!((600..=660).contains(&unproven), "{unproven} of {seconds} s are unproven");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_short_silence_is_charged_once_it_is_over(_: PgPoolOptions, db: Options) {
    let mut rental = Rental::begin(db, 60).await;
    rental.harness.run_for(200).await;
    rental.memory.nodes.set_silent("memory", true);
    rental.harness.run_for(45).await;
    assert_eq!(rental.link().await, Link::Suspect, "the fault bit");
    rental.memory.nodes.set_silent("memory", false);
    rental.harness.run_for(300).await;
    assert_eq!(rental.end().await.1, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_sign_of_life_that_cannot_be_true_proves_nothing(_: PgPoolOptions, db: Options) {
    let mut rental = Rental::begin(db, 60).await;
    let said = |sequence, clock_at| Some(Beat { boot_id: "boot-1".to_owned(), sequence, clock_at });
    let noted = async |rental: &Rental| -> (i64, i64) {
        let kept = "count(*) FILTER (WHERE event_type = 'node.beat_kept')";
        let rejected = "count(*) FILTER (WHERE payload->>'fault' = 'goes_backward')";
        let both = format!("SELECT {kept}, {rejected} FROM events WHERE aggregate_type = 'node'");
        sqlx::query_as(&both).fetch_one(rental.harness.pool()).await.unwrap()
    };
    rental.memory.nodes.beat(said(600_000, rental.harness.clock_now()));
    rental.harness.run_for(200).await;
    assert_eq!(noted(&rental).await, (1, 0), "one of many looks");

    // It is up for less than it was, and has not been down.
    rental.memory.nodes.beat(said(500_000, rental.harness.clock_now()));
    rental.harness.run_for(300).await;
    assert_eq!((rental.link().await, noted(&rental).await), (Link::Offline, (1, 1)), "it bit");
    let charged = rental.charged().await;
    rental.harness.run_for(200).await;
    assert_eq!((rental.charged().await, noted(&rental).await), (charged, (1, 1)));

    rental.memory.nodes.beat(said(1_300_000, rental.harness.clock_now()));
    rental.harness.run_for(60).await;
    assert_eq!((rental.link().await, noted(&rental).await), (Link::Online, (2, 1)));
    rental.harness.run_for(90).await;
    let (seconds, unproven) = rental.end().await;
    assert!((500..=560).contains(&unproven), "{unproven} of {seconds} s are unproven");
}

/// An outage after which the node names a boot and for how long it stood still; what is unproven of the rental, and what the log says of the outage.
async fn outage_told(
    db: Options,
    late_usage: LateUsage,
    (boot, paused_seconds): (&str, i64),
) -> (i64, Option<(i64, i64)>) {
    let mut rental = Rental::begin_with(db, Settings { late_usage, ..Settings::default() }).await;
    let said = |boot_id: &str, seconds: i64, clock_at| {
        let sequence = u64::try_from(seconds * 1_000).unwrap();
        Some(Beat { boot_id: boot_id.to_owned(), sequence, clock_at })
    };
    rental.memory.nodes.beat(said("boot-1", 600, rental.harness.clock_now()));
    rental.harness.run_for(200).await;
    let node: Node = rental.harness.load(&rental.harness.node_id.to_string()).await;
    let kept_at = node.beat_at.expect("a beat is kept");
    rental.memory.nodes.set_silent("memory", true);
    rental.harness.run_for(400).await;
    assert_eq!(rental.link().await, Link::Offline, "the fault bit");
    // It looks at the node within these 40 s: it is up for no less than that.
    let now = rental.harness.clock_now();
    let up_seconds = 640 + now.secs_since(kept_at) - paused_seconds;
    rental.memory.nodes.beat(said(boot, up_seconds, now));
    rental.memory.nodes.set_silent("memory", false);
    rental.harness.run_for(40).await;
    assert_eq!(rental.link().await, Link::Online);
    rental.harness.run_for(200).await;
    let outage =
        "extract(epoch FROM (payload->>'until')::timestamptz - (payload->>'since')::timestamptz)";
    let query = format!(
        "SELECT ceil({outage})::bigint, (payload->>'paused_seconds')::bigint FROM events WHERE event_type = 'node.outage_proven'"
    );
    let proven = sqlx::query_as(&query).fetch_optional(rental.harness.pool()).await.unwrap();
    let cases = in_review(&rental.harness).await.len();
    assert_eq!(cases, usize::from(late_usage == TOO_LATE), "a case of a rental that stands");
    (rental.end().await.1, proven)
}

const CHARGE: LateUsage = LateUsage::Charge { cutoff_seconds: 3_600 };

#[sqlx::test(migrations = "../migrations")]
async fn an_outage_that_is_proven_late_is_charged_where_that_is_wished(
    _: PgPoolOptions,
    db: Options,
) {
    let (unproven, proven) = outage_told(db, CHARGE, ("boot-1", 0)).await;
    let (seconds, paused) = proven.expect("it is proven");
    assert!(seconds > 300, "{seconds}");
    assert_eq!((unproven, paused), (0, 0));
}

/// A rental is released and settled while its node is away, and then the node proves the outage, while an effect fails. The rental then, and as
/// it was settled.
async fn settled_then_proven(
    db: Options,
    late_usage: LateUsage,
    (effect, mode): (&'static str, Mode),
) -> (Rental, Allocation) {
    let settings = Settings { late_usage, ..Settings::default() };
    let mut rental = Rental::begin_with(db, settings).await;
    let said = |seconds: i64, clock_at| {
        let sequence = u64::try_from(seconds * 1_000).unwrap();
        Some(Beat { boot_id: "boot-1".to_owned(), sequence, clock_at })
    };
    let begun_at = rental.harness.clock_now();
    rental.memory.nodes.beat(said(600, begun_at));
    rental.harness.run_for(200).await;
    rental.memory.nodes.set_silent("memory", true);
    rental.harness.run_for(300).await;
    ask_for_release(&rental.harness, rental.id).await;
    rental.harness.run_for(1_000).await;
    let before = rental.allocation().await;
    assert!((250..400).contains(&before.unproven_seconds), "{}", before.unproven_seconds);
    assert_eq!(wallet(&rental.harness, rental.organisation).await.held_nanos, 0, "settled");

    let now = rental.harness.clock_now();
    rental.memory.nodes.beat(said(700 + now.secs_since(begun_at), now));
    rental.harness.faults.arm(effect, mode);
    rental.memory.nodes.set_silent("memory", false);
    rental.harness.run_for(300).await;
    assert!(rental.harness.faults.hits(effect) > 0, "{mode:?} did not bite");
    (rental, before)
}

/// It pays for all of it.
async fn settled_before_it_was_proven(db: Options, mode: Mode) {
    let (rental, before) = settled_then_proven(db, CHARGE, ("charge_late", mode)).await;
    let after = rental.allocation().await;
    assert_eq!(after.status, AllocationStatus::Released);
    assert!(after.unproven_seconds <= 1, "{} s are unproven", after.unproven_seconds);
    assert_eq!(after.late_seconds, before.unproven_seconds - after.unproven_seconds);
    let (wallet, charged) =
        (wallet(&rental.harness, rental.organisation).await, rental.charged().await);
    assert_eq!(charged, after.metered_seconds() * PER_HOUR / 3_600, "rate times metered");
    assert_eq!((wallet.posted_nanos, wallet.held_nanos), (usd(20).nanos - charged, 0));
    let entries: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT (payload->>'seconds')::bigint, (payload->'journal'->>'occurred_at')::timestamptz <= $2::text::timestamptz
         FROM events WHERE event_type = 'wallet.usage_captured'
           AND position > (SELECT position FROM events WHERE event_type = 'allocation.late_usage_proven' AND aggregate_id = $1)",
    )
    .bind(rental.id.to_string())
    .bind(after.released_at.unwrap().to_string())
    .fetch_all(rental.harness.pool())
    .await
    .unwrap();
    assert_eq!(entries, [(after.metered_seconds(), true)], "once, and of when it was used");
}

#[sqlx::test(migrations = "../migrations")]
async fn who_was_settled_before_an_outage_was_proven_pays_for_it_then(
    _: PgPoolOptions,
    db: Options,
) {
    settled_before_it_was_proven(db, Mode::Twice).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_worker_that_dies_between_the_proof_and_the_charge_charges_it_once(
    _: PgPoolOptions,
    db: Options,
) {
    settled_before_it_was_proven(db, Mode::KillBetween).await;
}

const TOO_LATE: LateUsage = LateUsage::Charge { cutoff_seconds: 60 };

/// It pays for none of it by itself, and there is one case of what it would be.
async fn reviewed(db: Options, mode: Mode) {
    let (mut rental, before) = settled_then_proven(db, TOO_LATE, ("review_late", mode)).await;
    let after = rental.allocation().await;
    let paid = |rental: &Allocation| (rental.unproven_seconds, rental.late_seconds);
    assert_eq!(paid(&after), paid(&before));
    let cases = in_review(&rental.harness).await;
    let [(id, whose, nanos)] = &cases[..] else { panic!("one case: {cases:?}") };
    assert_eq!(*whose, format!("usage/{}", rental.id));
    let seconds = before.unproven_seconds - 1..=before.unproven_seconds;
    assert!(seconds.contains(&(nanos * 3_600 / PER_HOUR)), "{nanos} for {seconds:?} s");

    let (charged, break_id) = (rental.charged().await, id.parse().unwrap());
    let (by, cause, limit_nanos) = (Means::Explain, "our fault".to_owned(), *nanos);
    let waive = Resolve { break_id, by, cause, limit_nanos };
    let harness = &mut rental.harness;
    breaks::resolve(&harness.commands, &harness.context(), waive).await.unwrap();
    assert_eq!(harness.load::<BreakCase>(id).await.status, Status::Explained);
    harness.run_for(200).await;
    assert_eq!(in_review(harness).await, cases);
    assert_eq!(rental.charged().await, charged);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_proven_too_late_is_in_review_and_may_be_waived(_: PgPoolOptions, db: Options) {
    reviewed(db, Mode::Twice).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_worker_that_dies_after_a_case_was_opened_opens_no_other(_: PgPoolOptions, db: Options) {
    reviewed(db, Mode::KillAfter).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_node_stood_still_of_an_outage_is_never_charged(_: PgPoolOptions, db: Options) {
    let (unproven, proven) = outage_told(db, CHARGE, ("boot-1", 150)).await;
    let (_, paused) = proven.expect("it is proven");
    assert!((100..=150).contains(&paused), "{paused}");
    assert_eq!(unproven, paused);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_outage_that_is_proven_late_is_forgiven_otherwise(_: PgPoolOptions, db: Options) {
    let (unproven, proven) = outage_told(db, LateUsage::Forgive, ("boot-1", 0)).await;
    assert_eq!(proven, Some((unproven, 0)), "the evidence is kept all the same");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_that_stands_does_not_pay_for_what_is_in_review(_: PgPoolOptions, db: Options) {
    let (unproven, proven) = outage_told(db, TOO_LATE, ("boot-1", 0)).await;
    assert_eq!(proven, Some((unproven, 0)));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_outage_in_which_the_node_was_booted_is_not_charged(_: PgPoolOptions, db: Options) {
    let (unproven, proven) = outage_told(db, CHARGE, ("boot-2", 0)).await;
    assert_eq!(proven, None);
    assert!(unproven > 300, "{unproven}");
}

#[sqlx::test(migrations = "../migrations")]
async fn the_interval_of_the_tick_does_not_change_the_charge(_: PgPoolOptions, db: Options) {
    let mut rental = Rental::begin(db, 7).await;
    rental.harness.run_for(400).await;
    rental.outage(300).await;
    rental.harness.run_for(90).await;
    let allocation = rental.allocation().await;
    let node: Node = rental.harness.load(&rental.harness.node_id.to_string()).await;
    let (from, now) = (allocation.activated_at.unwrap(), rental.harness.clock_now());
    let (seconds, unproven) = rental.end().await;
    // As if it had been read once, at the end.
    assert_eq!(seconds, now.secs_since(from));
    let proven = node.proven_by_end(from, now, LateUsage::Forgive);
    assert_eq!(unproven, proven.unproven_seconds);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_that_crosses_a_tier_is_charged_as_if_at_once(_: PgPoolOptions, db: Options) {
    let memory = Memory::new();
    let settings = Settings { tick_seconds: 7, ..Settings::default() };
    let ahead = settings.runway_seconds + settings.tick_lag_seconds;
    let mut harness = Harness::start_with(db, Arc::clone(&memory) as _, settings).await;
    // The second tier is no divisor of an hour: were each tick rounded, they would add up to something else.
    let second = Tier { from_seconds: 200, nanos_per_hour: 7 * PER_HOUR + 1_234_567 };
    harness.price(PER_HOUR + 777, Tiers::try_new(&[second]).unwrap()).await;
    let organisation = harness.organisation();
    top_up(&mut harness, organisation, 200).await;
    let id = rent(&mut harness, organisation).await;
    harness.run_for(500).await;
    let running: Allocation = harness.load(&id.to_string()).await;
    let (tariff, used) = (running.price.unwrap().tariff(), running.seconds_at_this_price());
    assert!(used > 200, "it came to the second tier: {used}");
    let hold = wallet(&harness, organisation).await.holds.into_values().next().unwrap();
    assert_eq!(Ok(hold.remaining_nanos()), tariff.ahead(used, ahead), "by the tier in force");
    release(&mut harness, id).await;
    let rental = Rental { harness, memory, organisation, id };
    let ended = rental.allocation().await;
    let seconds = ended.metered_seconds();
    assert!(seconds > used);
    assert_eq!(Ok(rental.charged().await), tariff.total(seconds));
    let (before, after) = (PER_HOUR + 777, second.nanos_per_hour);
    let exact = i128::from(before) * 200 + i128::from(after) * i128::from(seconds - 200);
    let off = i128::from(rental.charged().await) * 3_600 - exact;
    assert!(off.abs() <= 1_800, "rounded once: {off} of 3,600");
}

#[sqlx::test(migrations = "../migrations")]
async fn who_releases_while_the_node_is_offline_pays_up_to_its_last_proof_and_is_torn_down_later(
    _: PgPoolOptions,
    db: Options,
) {
    let mut rental = Rental::begin(db, 60).await;
    rental.harness.run_for(200).await;
    rental.memory.nodes.set_silent("memory", true);
    rental.harness.run_for(300).await;
    assert_eq!(rental.link().await, Link::Offline, "the fault bit");
    ask_for_release(&rental.harness, rental.id).await;
    rental.harness.run_for(1_000).await;
    let allocation = rental.allocation().await;
    assert!(allocation.needs_operator);
    assert_eq!(allocation.status, AllocationStatus::Releasing);
    let settled = wallet(&rental.harness, rental.organisation).await;
    assert_eq!(settled.held_nanos, 0, "the money does not wait for the node");
    assert_eq!(rental.charged().await, allocation.metered_seconds() * PER_HOUR / 3_600);
    assert!((250..400).contains(&allocation.unproven_seconds), "{}", allocation.unproven_seconds);
    assert_eq!(operator::waiting(rental.harness.pool()).await.unwrap(), 1);
    rental.memory.nodes.set_silent("memory", false);
    rental.harness.run_for(120).await;
    assert_eq!(rental.allocation().await.status, AllocationStatus::Released, "nobody had to ask");
    assert_eq!(rental.memory.nodes.left(&rental.id.to_string()), Vec::<String>::new());
    assert_eq!(operator::waiting(rental.harness.pool()).await.unwrap(), 0);
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FILTER (WHERE event_type = 'process.needs_operator')
              - count(*) FILTER (WHERE event_type = 'process.intervened') FROM events",
    )
    .fetch_one(rental.harness.pool())
    .await
    .unwrap();
    assert_eq!(open, 0, "the call is closed in the log too");
    rental.account().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_meter_that_was_stuck_goes_on_by_itself_and_its_hold_is_kept(
    _: PgPoolOptions,
    db: Options,
) {
    let mut rental = Rental::begin(db, 60).await;
    rental.harness.run_for(300).await;
    rental.harness.faults.arm("capture_usage", Mode::Permanent);
    rental.harness.run_for(7_200).await;
    assert!(rental.harness.faults.hits("capture_usage") > 0);
    assert_eq!(operator::waiting(rental.harness.pool()).await.unwrap(), 1, "one call, not many");
    let held = wallet(&rental.harness, rental.organisation).await.held_nanos;
    assert!(held > usd(3).nanos, "what is owed is not given back: {held}");
    rental.harness.faults.mend();
    rental.harness.run_for(200).await;
    assert_eq!(operator::waiting(rental.harness.pool()).await.unwrap(), 0);
    assert!(rental.charged().await > usd(7).nanos);
    rental.end().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn workers_that_were_away_longer_than_the_hold_still_charge_it(
    _: PgPoolOptions,
    db: Options,
) {
    let mut rental = Rental::begin(db, 60).await;
    rental.harness.run_for(300).await;
    rental.harness.stop_runner().await;
    rental.harness.clock.advance_secs(8 * 3_600);
    rental.harness.start_runner();
    rental.harness.run_for(300).await;
    let (seconds, unproven) = rental.end().await;
    assert!(seconds > 8 * 3_600);
    assert_eq!(unproven, 0, "the node answered before and after");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_that_died_while_the_workers_were_away_is_charged_up_to_their_last_look(
    _: PgPoolOptions,
    db: Options,
) {
    let mut rental = Rental::begin(db, 60).await;
    rental.harness.run_for(300).await;
    rental.harness.stop_runner().await;
    rental.memory.nodes.set_silent("memory", true);
    rental.harness.clock.advance_secs(8 * 3_600);
    rental.harness.start_runner();
    rental.harness.run_for(300).await;
    assert_eq!(rental.link().await, Link::Offline, "the fault bit");
    let metered = rental.allocation().await.metered_seconds();
    assert!((200..=300).contains(&metered), "{metered} s are charged");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_corrected_while_it_runs_is_given_back_and_the_meter_goes_on(
    _: PgPoolOptions,
    db: Options,
) {
    let mut rental = Rental::begin(db, 60).await;
    rental.harness.run_for(400).await;
    let before = rental.allocation().await.metered_seconds();
    correct(&rental.harness, rental.id, 200).await.unwrap();
    let beyond = correct(&rental.harness, rental.id, before - 199).await;
    assert!(beyond.unwrap_err().to_string().contains("metered"), "no more than is metered");
    rental.harness.run_for(1).await;
    let (allocation, charged) = (rental.allocation().await, rental.charged().await);
    assert_eq!(charged, allocation.metered_seconds() * PER_HOUR / 3_600);
    let wallet = wallet(&rental.harness, rental.organisation).await;
    assert_eq!(wallet.posted_nanos, usd(20).nanos - charged, "it is in the wallet again");
    rental.harness.run_for(400).await;
    assert!(rental.charged().await > charged, "and is charged on");
    let id = rental.id;
    release(&mut rental.harness, id).await;
    let (seconds, unproven) = rental.account().await;
    assert_eq!((unproven, rental.allocation().await.metered_seconds()), (0, seconds - 200));
    // Once more, after all of it is over.
    let charged = rental.charged().await;
    correct(&rental.harness, id, 100).await.unwrap();
    rental.harness.run_for(1).await;
    assert_eq!(rental.charged().await, charged - 100 * PER_HOUR / 3_600);
}
