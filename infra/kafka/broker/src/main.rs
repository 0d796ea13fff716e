//! Tansu's command line as a program: a broker that other clients than its own can talk to.

#[tokio::main]
async fn main() -> Result<(), tansu_cli::Error> {
    tansu_cli::Cli::main().await.map(drop)
}
