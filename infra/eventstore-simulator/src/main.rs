//! The simulator as a process of its own. What was written is gone when it ends.
use std::net::SocketAddr;

use cairn_eventstore_simulator::Simulator;
use clap::Parser;

/// Speaks the part of EventStoreDB's gRPC protocol that Cairn uses, from memory.
#[derive(Parser)]
#[command(name = "cairn-eventstore-simulator", version)]
struct Options {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:2113")]
    listen: SocketAddr,
    /// Of so many appends one is lost, before or after it is written; 0: none
    #[arg(long, default_value_t = 0)]
    hang_up_every: u64,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let simulator = Simulator::start(options.listen).await?;
    simulator.faults.hang_up_now_and_then(options.hang_up_every);
    #[allow(clippy::print_stdout, reason = "its only output: where to find it")]
    {
        println!("{}", simulator.url());
    }
    tokio::signal::ctrl_c().await?;
    simulator.stop().await;
    Ok(())
}
