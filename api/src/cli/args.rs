//! The grammar of the command line.
use std::path::PathBuf;
use std::time::Duration;

use cairn_core::{
    AllocationId, ApiKeyId, Currency, NodeId, OrganisationId, Tier, money::parse_nanos,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use super::archive_args::ArchiveCommand;
pub use super::args_replay::{DiffArgs, ExportArgs, ReplayCommand, WhatIfArgs};
pub use super::audit_args::{AuditArgs, AuditCommand, ProofArgs, TrailArgs, VerifyArgs};
use super::config_args::ConfigCommand;
use super::development::DevelopmentCommand;
use super::discounts::DiscountsCommand;
use super::finance::args::FinanceCommand;
use super::flags::FlagsCommand;
pub use super::login::args::OwnCommand;
use super::output::Format;
pub use super::people::PeopleCommand;
pub use super::privacy_args::{EraseArgs, PrivacyCommand};
use super::projections_args::{ProjectionsCommand, span};
use super::projects::ProjectsCommand;
use super::webhooks_args::WebhooksCommand;
use crate::http::compute::without_comment;

/// Rents out compute and never loses count.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 not found, \
    5 unavailable, 6 in doubt, 7 differs.\nWithout DATABASE_URL a private PostgreSQL cluster under \
    .cairn/ is used, and started when nobody runs it.")]
pub struct Cli {
    /// How to print data.
    #[arg(long, value_enum, global = true, default_value_t = Format::Table)]
    pub output: Format,
    /// Makes a command that changes something happen at most once: repeat it with the same key after an answer was lost or in doubt.
    #[arg(long, global = true, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// The file with settings; else `CAIRN_CONFIG`, `cairn.toml` or `/etc/cairn/cairn.toml`.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, over what file and environment say; may be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the server: HTTP, projections and process managers.
    Serve(ServeArgs),
    /// Changes the database's schema.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// API keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// People's accounts: their sessions, and the way back in.
    #[command(subcommand)]
    People(PeopleCommand),
    /// Nodes.
    #[command(subcommand)]
    Nodes(NodesCommand),
    /// What is for sale.
    #[command(subcommand)]
    Skus(SkusCommand),
    /// What organisations pay less than the catalogue says.
    #[command(subcommand)]
    Discounts(DiscountsCommand),
    /// What organisations sort their rentals into.
    #[command(subcommand)]
    Projects(ProjectsCommand),
    /// Rentals.
    #[command(subcommand)]
    Allocations(AllocationsCommand),
    /// What an organisation has: posted, held and available.
    Balance(BalanceArgs),
    /// The books.
    #[command(subcommand)]
    Finance(FinanceCommand),
    /// State from events.
    #[command(subcommand)]
    Replay(ReplayCommand),
    /// Read models.
    #[command(subcommand)]
    Projections(ProjectionsCommand),
    /// Public events on their way to Kafka.
    #[command(subcommand)]
    Relay(RelayCommand),
    /// Webhooks to customers: who is told, and what came of it.
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Feature flags: what is on, and for whom.
    #[command(subcommand)]
    Flags(FlagsCommand),
    /// Process managers: what runs and what is stuck.
    #[command(subcommand)]
    Process(ProcessCommand),
    /// The bulk of old events, in an object store.
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// The audit trail, and the seal that shows it is whole.
    Audit(AuditArgs),
    /// Personal data: who can still be read, and the erasure of who wants to be forgotten.
    #[command(subcommand)]
    Privacy(PrivacyCommand),
    /// What the settings are, and whether they are right.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Who may do what.
    #[command(subcommand)]
    Access(AccessCommand),
    /// `login`, `logout`, `whoami`.
    #[command(flatten)]
    Own(OwnCommand),
    /// Looks whether everything that Cairn needs is there and well.
    Doctor,
    /// `dev` and `demo`.
    #[command(flatten)]
    Development(DevelopmentCommand),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Starts the Stripe simulator when no Stripe key is set.
    #[arg(long, hide = !cfg!(feature = "development"))]
    pub dev: bool,
}

/// `migrate`
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum MigrateCommand {
    /// Brings the schema up to date.
    Up,
    /// Takes back the newest migration. Loses the data it holds.
    Down {
        /// Also when anything has happened. What the migration's tables hold is lost.
        #[arg(long)]
        destroy: bool,
    },
    /// Shows every migration and whether it is applied.
    Status,
}

/// `access`
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Prints the table of roles and operations that every request is held against.
    Matrix,
}

/// A role on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum RoleArg {
    /// A customer: everything of its own organisation.
    Owner,
    /// A customer: everything but what makes owners.
    Admin,
    /// A customer: the money of its own organisation.
    Finance,
    /// A customer: the machines of its own organisation.
    Developer,
    /// A customer: reads its own organisation.
    Viewer,
    /// Platform: nodes, SKUs, processes, every allocation.
    PlatformOperator,
    /// Platform: the books; reads only.
    PlatformFinance,
    /// Platform: looks into organisations that allow it.
    PlatformSupport,
    /// Platform: nodes, allocations and processes; reads only.
    PlatformEngineer,
}

/// `keys`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Makes a key and shows it once.
    Create {
        /// What its holder may do.
        #[arg(long, value_enum)]
        role: RoleArg,
        /// How people tell it apart.
        #[arg(long)]
        name: String,
        /// The organisation it is bound to; a new one when absent.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// For how long it works: 90s, 30m, 24h or 7d; until it is revoked when absent.
        #[arg(long, value_parser = span)]
        expires_in: Option<Duration>,
    },
    /// Makes a key that takes the place of another, and lets the old one work on for a while.
    Rotate {
        /// The old key's id (`key_…`).
        key_id: ApiKeyId,
        /// For how long both work: 90s, 30m, 24h or 7d; 0s ends the old key now.
        #[arg(long, default_value = "24h", value_parser = span)]
        overlap: Duration,
        /// For how long the new key works; until it is revoked when absent.
        #[arg(long, value_parser = span)]
        expires_in: Option<Duration>,
    },
    /// Ends a key.
    Revoke {
        /// The key's id (`key_…`).
        key_id: ApiKeyId,
        /// Why, for the audit trail.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
    /// Shows all keys, never their secrets.
    List,
}

/// `nodes`
#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// Makes an invitation and prints the one-line command to run on the node.
    Enrol {
        /// Name of the node.
        #[arg(long)]
        name: String,
        /// How the node reaches this server, for example `https://cairn.example`.
        #[arg(long)]
        url: Option<String>,
    },
    /// Shows all nodes.
    List,
    /// Holds what a node has, or what every node in use has, against what the log says. Changes nothing.
    Drift {
        /// Only this node.
        node_id: Option<NodeId>,
    },
    /// Takes no new allocations from now on.
    Cordon(PolicyArgs),
    /// Takes new allocations again.
    Uncordon(PolicyArgs),
    /// Takes no new allocations and shall become empty.
    Drain(PolicyArgs),
    /// Ends a node for good; it must be empty.
    Retire(PolicyArgs),
}

/// A node and a reason.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// The node's id (`node_…`).
    pub node_id: NodeId,
    /// Why, for the audit trail.
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

/// `skus`
#[derive(Debug, Subcommand)]
pub enum SkusCommand {
    /// Defines a SKU; its resources never change.
    Define {
        /// Its id, for example `small`.
        sku_id: String,
        /// Thousandths of a CPU core.
        #[arg(long)]
        cpu_millis: u32,
        /// Memory in MiB.
        #[arg(long)]
        memory_mib: u32,
        /// Disk in MiB.
        #[arg(long)]
        disk_mib: u32,
        /// Processes and threads at once.
        #[arg(long, default_value_t = 256)]
        pids: u32,
    },
    /// Sets a price for rentals that begin from now on.
    Price {
        /// Its id.
        sku_id: String,
        /// Currency.
        #[arg(long)]
        currency: Currency,
        /// Price of 3,600 seconds, for example `0.36`.
        #[arg(long, value_parser = nanos)]
        per_hour: i64,
        /// From so many hours of use on another price, for example `730=0.30`; again for each tier.
        #[arg(long = "tier", value_name = "HOURS=PRICE", value_parser = tier)]
        tiers: Vec<Tier>,
    },
    /// Sets a price of additional disk, for rentals that begin or are resized from now on.
    DiskPrice {
        /// Its id.
        sku_id: String,
        /// Currency.
        #[arg(long)]
        currency: Currency,
        /// Price of one GiB for 3,600 seconds, for example `0.0001`.
        #[arg(long, value_parser = nanos)]
        per_gib_hour: i64,
        /// The most that one rental may have; 0 sells it no longer.
        #[arg(long)]
        gib_max: u32,
    },
    /// Sells it no longer; running rentals keep it.
    Retire {
        /// Its id.
        sku_id: String,
    },
    /// Shows what is for sale.
    List,
}

/// `allocations`
#[derive(Debug, Subcommand)]
pub enum AllocationsCommand {
    /// Rents.
    Request {
        /// Who rents.
        #[arg(long)]
        organisation: OrganisationId,
        /// What.
        #[arg(long)]
        sku: String,
        /// GiB beside the disk of the SKU.
        #[arg(long, default_value_t = 0)]
        additional_disk_gib: u32,
        /// Paid in.
        #[arg(long)]
        currency: Currency,
        /// File with the customer's public SSH key.
        #[arg(long, value_name = "FILE", value_parser = public_key)]
        ssh_key: String,
        /// A node asked for by id.
        #[arg(long)]
        node: Option<NodeId>,
    },
    /// Shows allocations.
    List {
        /// Of one organisation only.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Shows one allocation and its steps.
    Show {
        /// Its id (`alloc_…`).
        allocation_id: AllocationId,
    },
    /// Goes on as another SKU, or with more disk, as an operator: it is stopped for it briefly and keeps its data.
    Resize {
        /// Its id (`alloc_…`).
        allocation_id: AllocationId,
        /// What it shall be; what it is when absent.
        #[arg(long, required_unless_present = "additional_disk_gib")]
        sku: Option<String>,
        /// GiB that it shall have beside the disk of the SKU, all of them; as many as it has when absent.
        #[arg(long)]
        additional_disk_gib: Option<u32>,
    },
    /// Takes metered seconds back as an operator: what they cost is given back.
    Correct {
        /// Its id (`alloc_…`).
        allocation_id: AllocationId,
        /// How many seconds less.
        #[arg(long)]
        seconds: i64,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Ends a rental as an operator.
    Release {
        /// Its id (`alloc_…`).
        allocation_id: AllocationId,
    },
}

/// `balance`
#[derive(Debug, Args)]
pub struct BalanceArgs {
    /// Whose.
    #[arg(long)]
    pub organisation: OrganisationId,
}

/// `relay`
#[derive(Debug, Subcommand)]
pub enum RelayCommand {
    /// How far it has come, who leads, and why it does not get on.
    Status,
    /// Reads the topic and compares it with the log: what is missing, changed or out of order.
    Verify {
        /// First position; the log's first when absent.
        #[arg(long)]
        from: Option<i64>,
        /// Last position; where the relay has come to when absent.
        #[arg(long)]
        to: Option<i64>,
    },
}

/// `process`
#[derive(Debug, Subcommand)]
pub enum ProcessCommand {
    /// Shows processes, those that wait for an operator first.
    List {
        /// Only in this status.
        #[arg(long, value_enum)]
        status: Option<StatusArg>,
    },
    /// Shows one process with its intents.
    Show {
        /// Name of the process manager, for example `rent_node`.
        process: String,
        /// What it is about, for example an allocation's id.
        key: String,
    },
    /// Tries a stuck intent again.
    Retry(IntentArgs),
    /// Takes a stuck intent as done.
    Skip(IntentArgs),
    /// Ends the process of a stuck intent.
    Abandon(IntentArgs),
}

/// A status of processes on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StatusArg {
    /// Waits for its beginning.
    Waiting,
    /// Under way.
    Running,
    /// Has reached its end.
    Done,
    /// Has taken back what it did.
    Unwound,
    /// Was ended by an operator.
    Abandoned,
    /// Waits for a person.
    NeedsOperator,
}

/// An intent and a reason.
#[derive(Debug, Args)]
pub struct IntentArgs {
    /// The intent's id, as `process show` prints it.
    pub intent_id: String,
    /// Why, for the audit trail.
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

/// The key in a file: its first line, without the comment.
fn public_key(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read it: {error}"))?;
    Ok(without_comment(&text))
}

/// `key=value`
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.to_owned()));
    pair.ok_or_else(|| "say it as KEY=VALUE".to_owned())
}

/// Something said.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let said = text.trim();
    if said.is_empty() { Err("say why".to_owned()) } else { Ok(said.to_owned()) }
}

fn tier(text: &str) -> Result<Tier, String> {
    let (hours, price) = text.split_once('=').ok_or("it is HOURS=PRICE, for example 730=0.30")?;
    let hours: u32 = hours.parse().map_err(|_| format!("'{hours}' is no number of hours"))?;
    Ok(Tier { from_seconds: i64::from(hours) * 3_600, nanos_per_hour: nanos(price)? })
}

pub(super) fn nanos(text: &str) -> Result<i64, String> {
    parse_nanos(text).map_err(|error| error.to_string())
}
