//! `cairn doctor`: looks whether everything that Cairn needs is there and well.
use std::process::{Command, Stdio};
use std::time::Duration;

use cairn_commands::notify::shown;
use cairn_core::Timestamp;
use cairn_event_log::Rights;
use cairn_neighbours::{Standing, State};
use cairn_sealer::Sealer;
use serde::Serialize;

use super::development::namespaces;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::outside::OutsideError;

/// What was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    /// Whether Cairn can do without it.
    optional: bool,
    detail: String,
}

fn finding(check: &'static str, found: Result<String, String>, optional: bool) -> Finding {
    let ok = found.is_ok();
    Finding { check, ok, optional, detail: found.unwrap_or_else(|cause| cause) }
}

pub(super) async fn run(config: &Config, output: Output) -> Result<(), CliError> {
    let mut findings = vec![
        finding("postgresql server", postgres(config), false),
        finding("ssh client", program("ssh", "-V"), true),
        finding("stripe", stripe(config), true),
        finding("beancount", program("bean-check", "--version"), true),
        finding("hledger", program("hledger", "--version"), true),
    ];
    findings.extend(namespaces().map(|found| finding("namespace nodes", found, true)));
    let looked = Session::run(config, async |parts| Ok(platform(&parts, config).await)).await;
    match looked {
        Ok(more) => findings.extend(more),
        Err(error) => {
            let not_begun = error.code == "no_data";
            findings.push(finding("database", Err(error.to_string()), not_begun));
        }
    }
    output.rows(&findings, &["check", "ok", "optional", "detail"])?;
    let bad: Vec<_> = findings.iter().filter(|f| !f.ok && !f.optional).map(|f| f.check).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(CliError::new(Exit::Failure, "unwell", bad.join(", ")))
}

fn postgres(config: &Config) -> Result<String, String> {
    if config.database_url.is_some() {
        return Ok("DATABASE_URL names a server".to_owned());
    }
    let found = cairn_cluster::find_binaries();
    found.map(|path| path.display().to_string()).map_err(|error| error.to_string())
}

fn program(name: &str, flag: &str) -> Result<String, String> {
    let said = Command::new(name).arg(flag).stdin(Stdio::null()).output();
    let said = said.map_err(|_| format!("{name} is not installed"))?;
    let text = if said.stdout.is_empty() { said.stderr } else { said.stdout };
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn stripe(config: &Config) -> Result<String, String> {
    match &config.stripe {
        Some(stripe) if stripe.webhook_secrets.is_empty() => {
            Err("STRIPE_WEBHOOK_SECRET is not set: webhooks are refused".to_owned())
        }
        Some(_) => Ok("a key and a webhook secret are set".to_owned()),
        None => Err(OutsideError::NoStripe.to_string()),
    }
}

async fn platform(parts: &SessionParts, config: &Config) -> Vec<Finding> {
    let rights = Rights::of(parts.pool()).await.map_err(|error| error.to_string());
    let mut findings = vec![
        finding("rights", rights.clone().and_then(|found| sound(&found)), false),
        finding("log", log(parts).await, false),
        finding("seal", seal(parts, config).await, false),
        finding("archive", archive(parts, config).await, false),
        finding("projections", projections(parts).await, false),
        finding("processes", processes(parts).await, false),
        finding("webhooks", webhooks(parts).await, false),
    ];
    findings.extend(neighbours(parts).await);
    // The private cluster is its user's own, who could do anything with it.
    if config.database_url.is_some() {
        findings.insert(1, finding("login", rights.and_then(|found| own_login(&found)), true));
    }
    if let Some(carrier) = carrier(parts).await {
        findings.insert(1, finding("carrier", carrier, false));
    }
    if let Some(kafka) = &config.kafka {
        findings.push(finding("relay", relay(parts, &kafka.topic).await, false));
    }
    findings
}

/// Whether the roles that Cairn acts as may do no more than they need.
fn sound(rights: &Rights) -> Result<String, String> {
    match &*rights.excess {
        [] => {
            Ok("no role of Cairn's may more than it needs, and the rows of customers are guarded"
                .to_owned())
        }
        excess => Err(excess.join("; ")),
    }
}

/// Whether a server that is taken over could change the schema.
fn own_login(rights: &Rights) -> Result<String, String> {
    let login = &rights.login;
    if rights.login_is_owner {
        return Err(format!(
            "{login} owns the schema: give servers a login of their own (docs/guides/operators.md)"
        ));
    }
    Ok(format!("{login} owns nothing"))
}

/// How the copy of the log stands, when a cluster carries it.
async fn carrier(parts: &SessionParts) -> Option<Result<String, String>> {
    let status = match parts.commands.executor.log().carrier_status().await {
        Ok(status) => status?,
        Err(error) => return Some(Err(error.to_string())),
    };
    let behind = status.behind.unwrap_or_default();
    let leader = status.leader.as_deref().unwrap_or("nobody");
    let stands = format!("log {}, {leader} copies, {behind} events behind", status.carrier);
    if !status.parked.is_empty() {
        let parked = status.parked.iter().map(|parked| {
            let (kind, id, by) = (&parked.aggregate_type, &parked.aggregate_id, &parked.refused_by);
            format!("{kind} {id} before its event {} by {by}: {}", parked.sequence, parked.message)
        });
        let parked: Vec<_> = parked.collect();
        return Some(Err(format!("{stands}; parked: {}", parked.join("; "))));
    }
    Some(match status.last_error {
        Some(why) => Err(format!("{stands}: {why}")),
        None => Ok(stands),
    })
}

async fn relay(parts: &SessionParts, topic: &str) -> Result<String, String> {
    let log = parts.commands.executor.log();
    let status = cairn_commands::relay::status(log, topic).await.map_err(|e| e.to_string())?;
    let lag = status.lag_events;
    match (status.leader, status.last_error) {
        // Commands do not relay, servers do.
        (None, _) => Err(format!(
            "nobody leads: {topic} is {lag} events behind and stays so until a server runs with these brokers"
        )),
        (Some(leader), Some(why)) => Err(format!("{leader} leads, {lag} events behind: {why}")),
        (Some(leader), None) => Ok(format!("{leader} leads, {topic} is {lag} events behind")),
    }
}

/// How it goes with webhooks to customers. A server sends them; without one what is owed waits.
async fn webhooks(parts: &SessionParts) -> Result<String, String> {
    let head = parts.commands.executor.log().head().await.map_err(|e| e.to_string())?;
    let now = parts.commands.clock.now();
    let health = shown::health(parts.pool(), now).await.map_err(|e| e.to_string())?;
    let behind = head - health.position.unwrap_or(0);
    let stands = format!("{behind} events behind, {} endpoints fail", health.failing);
    let patience = Duration::from_secs(300);
    let waits = |since: Timestamp| now.as_micros().saturating_sub(since.as_micros());
    match health.due_since {
        Some(since) if u128::from(waits(since).unsigned_abs()) > patience.as_micros() => {
            Err(format!("{stands}; messages wait since {since}: does a server run?"))
        }
        Some(_) | None => Ok(stands),
    }
}

/// Whoever is called outside, as the servers that run tell. A node that is away is the fleet's matter, and Cairn goes on without it.
async fn neighbours(parts: &SessionParts) -> Vec<Finding> {
    let told = match cairn_commands::neighbours::told(parts.pool()).await {
        Ok(told) => told,
        Err(error) => return vec![finding("neighbours", Err(error.to_string()), false)],
    };
    let away: Vec<_> = told
        .iter()
        .flat_map(|told| told.standings.iter().map(move |standing| (&told.process, standing)))
        .filter(|(_, standing)| standing.state != State::Closed)
        .collect();
    if away.is_empty() {
        let servers: Vec<_> = told.iter().map(|told| told.process.as_str()).collect();
        let says = match servers.as_slice() {
            [] => "no server runs that could tell".to_owned(),
            servers => format!("all are called, by {}", servers.join(", ")),
        };
        return vec![finding("neighbours", Ok(says), false)];
    }
    let says = away.into_iter().map(|(process, standing)| {
        let Standing { neighbour, name, state, since, last_error } = standing;
        let named = if name.is_empty() { neighbour } else { name };
        let why = last_error.as_deref().unwrap_or("no answer");
        let says = format!("{named} is {} in {process} since {since}: {why}", state.name());
        finding("neighbours", Err(says), !name.is_empty())
    });
    says.collect()
}

async fn log(parts: &SessionParts) -> Result<String, String> {
    let head = parts.commands.executor.log().head().await.map_err(|e| e.to_string())?;
    Ok(format!("{head} events"))
}

/// How far the log is sealed, and whether table and published file agree. A server seals; without one nothing new is, and that
/// is no fault.
async fn seal(parts: &SessionParts, config: &Config) -> Result<String, String> {
    let standing = cairn_sealer::standing(parts.pool()).await.map_err(|error| error.to_string())?;
    let sealer = Sealer::new(parts.commands.executor.log().clone(), config.seal.clone());
    let published = sealer.published_blocks().await.map_err(|error| error.to_string())?;
    let (position, lag) = (standing.sealed_position, standing.lag());
    Ok(format!("sealed up to {position}, {lag} events are not yet; {published} blocks published"))
}

/// How much is archived, and whether the last of it can be read. No archive is no fault, unless something is there.
async fn archive(parts: &SessionParts, config: &Config) -> Result<String, String> {
    let Some(archiver) = super::archive::archiver(parts, config) else {
        return match cairn_archive::archived(parts.pool()).await.map_err(|e| e.to_string())? {
            0 => Ok("none is configured, and none is needed".to_owned()),
            events => Err(format!("{events} events are in one: set CAIRN_ARCHIVE_URL")),
        };
    };
    let (events, last) = archiver.last().await.map_err(|error| error.to_string())?;
    match last {
        None => Ok(format!("nothing is in {} yet", archiver.url())),
        Some(Ok(())) => Ok(format!("{events} events are in {}", archiver.url())),
        Some(Err(finding)) => Err(format!(
            "segment {} cannot be read: {}: {}",
            finding.segment, finding.object, finding.detail
        )),
    }
}

async fn projections(parts: &SessionParts) -> Result<String, String> {
    parts.catch_up(&parts.projector.names()).await.map_err(|error| error.to_string())?;
    let all = parts.projector.status().await.map_err(|error| error.to_string())?;
    let parked: Vec<_> = all.iter().filter(|p| p.parked_events > 0).map(|p| &*p.name).collect();
    if parked.is_empty() {
        return Ok(format!("{} up to date, nothing parked", all.len()));
    }
    Err(format!("events are parked in {}", parked.join(", ")))
}

async fn processes(parts: &SessionParts) -> Result<String, String> {
    let waiting = cairn_commands::processes::operator::waiting(parts.pool()).await;
    match waiting.map_err(|error| error.to_string())? {
        0 => Ok("nothing waits for an operator".to_owned()),
        stuck => Err(format!("{stuck} intents wait: see `cairn process list`")),
    }
}
