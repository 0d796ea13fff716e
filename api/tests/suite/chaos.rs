//! A storm: `cargo xtask chaos --kills N --seed S`. Faults by chance, under load, until so many kills have struck; then everything
//! that was wished is counted.
//!
//! | fault | what it hits |
//! |---|---|
//! | `kill_server` | SIGKILL to the server |
//! | `kill_database` | SIGKILL to PostgreSQL and all its processes at one moment; the server brings it up again |
//! | `stall_server` | the server stands still for up to 1.5 s, with requests on their way |
//! | `stall_database` | the sessions of the server stand still, whatever locks they hold |
//! | `hang_up` | clients who leave after a few milliseconds |
//!
//! A fault counts only when it bit: requests were on their way, and for a stall the log stood still.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a proof tells its figures")]
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::house::{Eyes, House};
use crate::load::{self, Load, Tally, Wish};
use crate::reader::Reader;
use crate::settled::{self, settle};
use crate::support::{Caller, Whim};

const FAULTS: [&str; 5] =
    ["kill_server", "kill_database", "stall_server", "stall_database", "hang_up"];
/// After so many faults everything that is under way may come to its end, so that backlogs do not grow.
const BREATH: usize = 10;

/// A number that the one who calls the storm chose.
#[allow(clippy::disallowed_methods, reason = "how a programme is told what to do")]
pub fn told(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask chaos"]
async fn a_storm_loses_and_doubles_nothing() {
    let (kills, seed) = (told("CAIRN_CHAOS_KILLS", 20), told("CAIRN_CHAOS_SEED", 1));
    eprintln!("seed {seed}");
    let mut storm = Storm::gather(seed).await;
    let reader = Reader::start(&storm.house).await;
    while storm.kills() < kills {
        storm.strike().await;
        if storm.round.is_multiple_of(BREATH) {
            storm.breathe().await;
            eprintln!("{} kills of {kills}: {:?}", storm.kills(), storm.bit);
        }
    }
    let Storm { house, customer, wishes, tally, bit, .. } = storm;
    for fault in FAULTS {
        assert!(bit.contains_key(fault), "no {fault} bit: {bit:?}");
    }
    let seen = reader.end().await;
    let said = json!({
        "seed": seed, "kills": kills, "faults_that_bit": bit, "acknowledged": tally.acknowledged,
        "refused": tally.refused, "in_doubt": tally.in_doubt, "of_those_committed": tally.committed,
        "lost": 0, "doubled": 0, "events_read": seen.events, "reader_reconnected": seen.reconnected,
    });
    seen.compare(&house).await;
    settle(house, &customer, &wishes, &tally).await;
    println!("{said}");
}

struct Storm {
    house: House,
    customer: Caller,
    whim: Whim,
    wishes: Vec<Wish>,
    tally: Tally,
    /// How often each fault bit.
    bit: BTreeMap<&'static str, u64>,
    round: usize,
}

impl Storm {
    async fn gather(seed: u64) -> Self {
        let mut house = House::build().await;
        house.open().await;
        load::open_shop(&house.caller("platform_operator").await).await;
        let customer = house.caller("owner").await;
        let (wishes, tally, bit) = (vec![], Tally::default(), BTreeMap::new());
        Self { house, customer, whim: Whim(seed), wishes, tally, bit, round: 0 }
    }

    fn kills(&self) -> u64 {
        FAULTS[..2].iter().filter_map(|fault| self.bit.get(fault)).sum()
    }

    /// One fault under load, and every wish of its round asked again.
    async fn strike(&mut self) {
        self.round += 1;
        let fault = FAULTS[usize::try_from(self.whim.next(5)).unwrap()];
        let enough = usize::try_from(1 + self.whim.next(48)).unwrap();
        let mut caller = self.house.moved(&self.customer);
        if fault == "hang_up" {
            let patience = Duration::from_micros(1_000 + self.whim.next(15_000));
            caller.http = reqwest::Client::builder().timeout(patience).build().unwrap();
        }
        let load = Load::start(&caller, self.round);
        if fault != "hang_up" {
            load.until_answered(enough).await;
        }
        eprintln!("round {}: {fault}", self.round);
        let bit = match fault {
            "kill_server" => {
                let hit = load.under_way();
                self.house.kill().await;
                hit > 0
            }
            "kill_database" => kill_database(&self.house, &load).await,
            "stall_server" => {
                let pids = vec![self.house.pid()];
                self.stall(&pids, &load).await
            }
            "stall_database" => {
                let pids = Eyes::open(&self.house.cluster().await).await.sessions().await;
                self.stall(&pids, &load).await
            }
            _ => load.until_unanswered(8).await,
        };
        let mut wished = load.end().await;
        if !self.house.is_open() {
            self.house.open().await;
        }
        load::ask_again(&self.house.moved(&self.customer), &mut wished, &mut self.tally).await;
        self.wishes.extend(wished);
        *self.bit.entry(fault).or_default() += u64::from(bit);
    }

    /// Stops processes for a while. Bites when requests waited and the log stood still.
    async fn stall(&mut self, pids: &[u32], load: &Load) -> bool {
        let span = Duration::from_millis(200 + self.whim.next(1_300));
        let eyes = Eyes::open(&self.house.cluster().await).await;
        signal("STOP", pids).await;
        // What was already in the server's hands may still land.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = eyes.count(settled::HEAD).await;
        tokio::time::sleep(span).await;
        let after = eyes.count(settled::HEAD).await;
        let waiting = load.under_way();
        signal("CONT", pids).await;
        eyes.close().await;
        waiting > 0 && before == after
    }

    async fn breathe(&self) {
        let eyes = Eyes::open(&self.house.cluster().await).await;
        settled::until_ended(&eyes, self.wishes.len()).await;
        eyes.close().await;
    }
}

async fn kill_database(house: &House, load: &Load) -> bool {
    let mut cluster = house.cluster().await;
    let hit = load.under_way();
    let killed = tokio::task::spawn_blocking(move || {
        let before = cluster.pid();
        cluster.kill_tree();
        before.is_some()
    });
    killed.await.unwrap() && hit > 0
}

async fn signal(name: &str, pids: &[u32]) {
    let mut kill = tokio::process::Command::new("kill");
    kill.args(["-s", name]).args(pids.iter().map(u32::to_string));
    // A session may have ended meanwhile.
    let _sent = kill.output().await.unwrap();
}

#[test]
fn the_same_seed_gives_the_same_storm() {
    let draw = |seed| -> Vec<u64> {
        let mut whim = Whim(seed);
        (0..50).map(|_| whim.next(5)).collect()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert!((0..5).all(|fault| draw(7).contains(&fault)), "every fault has its turn");
}
