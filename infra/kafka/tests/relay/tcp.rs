//! The relay against a broker that is a program of its own, over TCP: `cargo xtask broker`.
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cairn_commands::ports::TopicPort as _;

use super::world::{PARTITIONS, TOPIC, World, assert_valid, messages, topic, until};

/// Longer than a client waits for an answer before it takes the broker for gone.
const STALL_MIN: Duration = Duration::from_secs(11);

/// A broker that keeps its topics in memory; ends with its owner.
struct Broker {
    process: Child,
    port: u16,
}

impl Broker {
    /// Starts it and makes the topic.
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let here = format!("tcp://127.0.0.1:{port}");
        let listen = ["broker", "--listener-url", &here, "--advertised-listener-url", &here];
        let process = program().args(listen).spawn().unwrap();
        let broker = Self { process, port };
        let partitions = PARTITIONS.to_string();
        until(async || {
            let create = ["topic", "create", TOPIC, "--partitions", &partitions, "--broker", &here];
            program().args(create).status().unwrap().success()
        })
        .await;
        broker
    }

    fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops its time, or lets it go on.
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success(), "{name}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[allow(clippy::disallowed_methods, reason = "how a programme is told what to use")]
fn program() -> Command {
    let path = std::env::var_os("CAIRN_BROKER").expect("CAIRN_BROKER: see cargo xtask broker");
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[ignore = "needs a broker: cargo xtask broker"]
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn over_tcp_nothing_is_lost_to_a_broker_whose_time_stops(pool: sqlx::PgPool) {
    let (world, broker) = (World::new(pool).await, Broker::start().await);
    let topic = topic(&broker.servers());
    world.happen(7, 50).await;
    let relay = world.relay(topic.clone(), World::config("a"));
    let report = world.all_arrived(&topic).await;
    assert_eq!((report.public, report.private, report.repeated), (50, 10, 0));
    let all = messages(&topic).await;
    assert_valid(&all);
    let partitions: std::collections::HashSet<_> = all.iter().map(|sent| sent.partition).collect();
    assert!(partitions.len() > 1, "keys are spread");

    let before = world.status().await.position;
    broker.signal("-STOP");
    world.happen(7, 30).await;
    tokio::time::sleep(STALL_MIN).await;
    until(async || topic.health().errors > 0).await;
    assert_eq!(world.status().await.position, before, "nothing is taken as sent");
    broker.signal("-CONT");
    let report = world.all_arrived(&topic).await;
    assert_eq!(report.public, 80);
    eprintln!("public 80, missing {}, repeated {}", report.missing.count, report.repeated);
    relay.stop().await;

    // Its memory goes with it: the comparison has to see that.
    drop(broker);
    let empty = Broker::start().await;
    let report = world.compare(&super::world::topic(&empty.servers())).await;
    assert_eq!((report.missing.count, report.agrees()), (80, false), "{report:?}");
    world.close().await;
}
