//! `cairn login`, `cairn logout`, `cairn whoami`: a key for whoever sits at this machine, by way of a browser (RFC 8628).
//!
//! The key is kept and never shown. It works for 30 days at most, and stands for its person while they are what they were.
pub mod args;
mod credentials;

use std::time::{Duration, Instant};

use cairn_commands::ports::Clock as _;
use cairn_core::Timestamp;
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use self::args::{LoginArgs, OwnCommand};
use self::credentials::{Credentials, Keep};
use super::exit::{CliError, Exit};
use super::output::Output;
use crate::config::{Config, Sources};
use crate::system::SystemClock;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where the kernel says what this machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What the server gives a program that asks to be let in.
#[derive(Deserialize)]
struct Codes {
    device_code: String,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    interval: u64,
}

/// What it gives one that was let in.
#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: i64,
    scope: String,
    key_id: String,
    user_id: String,
    organisation_id: String,
    role: String,
}

pub(super) async fn run(
    config: &Config,
    sources: &Sources,
    command: OwnCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        OwnCommand::Login(args) => login(config, sources, args, output).await,
        OwnCommand::Logout => logout(sources, output).await,
        OwnCommand::Whoami => whoami(sources, output).await,
    }
}

async fn login(
    config: &Config,
    sources: &Sources,
    args: LoginArgs,
    output: Output,
) -> Result<(), CliError> {
    let keep = Keep::of(sources)?;
    let before = keep.read()?;
    let known = before.as_ref().map(|known| known.server.clone());
    let server = Server::named(&args.server.or(known).unwrap_or_else(|| own_address(config)))?;
    let name = args.name.unwrap_or_else(|| format!("{}@{}", config.user, host_name()));
    let seconds = args.expires_in.map(|span| span.as_secs());
    let wish = json!({ "name": name, "scopes": args.scopes, "expires_in_seconds": seconds });
    let codes: Codes = serde_json::from_value(server.post("/v1/device/code", &wish).await?)?;
    output.say(&format!(
        "Open {} where you are signed in, and enter the code\n\n    {}\n\nIt works for {} minutes. Waiting…",
        codes.verification_uri,
        codes.user_code,
        codes.expires_in / 60
    ));
    let token = token(&server, &codes).await?;
    let expires_at = SystemClock.now().plus_secs(token.expires_in);
    let credentials = kept(&server, token, expires_at);
    keep.write(&credentials)?;
    if let Some(before) = before {
        let given_up = Server::named(&before.server)?.surrender(&before.key).await;
        if let Err(error) = given_up {
            output
                .say(&format!("warning: {}, the key before, still works: {error}", before.key_id));
        }
    }
    output.say(&format!("Logged in. The key is in {}.", keep.path()));
    output.one(&shown(&credentials))
}

/// Asks until somebody has decided, or it is too late.
async fn token(server: &Server, codes: &Codes) -> Result<Token, CliError> {
    let (mut interval, begun) = (codes.interval.max(1), Instant::now());
    while begun.elapsed() < Duration::from_secs(codes.expires_in) {
        tokio::time::sleep(Duration::from_secs(interval)).await;
        let asked = json!({ "device_code": codes.device_code });
        match server.post("/v1/device/token", &asked).await {
            Ok(found) => return Ok(serde_json::from_value(found)?),
            Err(error) if error.code == "authorization_pending" => {}
            Err(error) if error.code == "slow_down" => interval += 5,
            // Somebody stands at the browser meanwhile; a server that is away for a moment is asked again.
            Err(error) if error.exit == Exit::Unavailable => interval += 5,
            Err(error) => return Err(error),
        }
    }
    let message = "nobody decided in time: log in again";
    Err(CliError::new(Exit::Refused, "expired_token", message))
}

fn kept(server: &Server, token: Token, expires_at: Timestamp) -> Credentials {
    Credentials {
        server: server.base.clone(),
        key: token.access_token,
        key_id: token.key_id,
        user_id: token.user_id,
        organisation_id: token.organisation_id,
        role: token.role,
        scopes: token.scope.split_whitespace().map(str::to_owned).collect(),
        expires_at: expires_at.to_string(),
    }
}

/// All but the key.
fn shown(credentials: &Credentials) -> Value {
    let Credentials { server, key_id, user_id, organisation_id, role, scopes, expires_at, .. } =
        credentials;
    json!({
        "server": server, "key_id": key_id, "user_id": user_id, "organisation_id": organisation_id,
        "role": role, "scopes": scopes, "expires_at": expires_at,
    })
}

async fn logout(sources: &Sources, output: Output) -> Result<(), CliError> {
    let keep = Keep::of(sources)?;
    let Some(known) = keep.read()? else {
        output.say("Nobody is logged in here.");
        return output.one(&json!({ "revoked": null }));
    };
    // The key goes first: without it nobody could end it here any more.
    Server::named(&known.server)?.surrender(&known.key).await?;
    keep.remove()?;
    output
        .say(&format!("Logged out of {}; {} opens nothing any more.", known.server, known.key_id));
    output.one(&json!({ "revoked": known.key_id }))
}

async fn whoami(sources: &Sources, output: Output) -> Result<(), CliError> {
    let nobody =
        || CliError::new(Exit::Refused, "not_logged_in", "nobody is logged in here: cairn login");
    let known = Keep::of(sources)?.read()?.ok_or_else(nobody)?;
    let server = Server::named(&known.server)?;
    let asked = server.http.get(server.at("/v1/whoami")).bearer_auth(&known.key);
    server.send(asked).await?;
    output.one(&shown(&known))
}

/// A server that is asked as anybody asks it.
struct Server {
    http: Client,
    base: String,
}

impl Server {
    /// By its address. Codes and keys go to it, so without TLS it must be this machine.
    fn named(address: &str) -> Result<Self, CliError> {
        let wrong =
            || CliError::usage(format!("'{address}' is no address such as https://cairn.example"));
        let url: Url = address.parse().map_err(|_| wrong())?;
        let host = url.host_str().ok_or_else(wrong)?;
        let is_here = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            "http" => return Err(CliError::usage(format!("keys go to {host} over https only"))),
            _ => return Err(wrong()),
        }
        let http = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|error| CliError::failure(error.to_string()))?;
        Ok(Self { http, base: address.trim_end_matches('/').to_owned() })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(self.http.post(self.at(path)).json(body)).await
    }

    /// Ends a key.
    async fn surrender(&self, key: &str) -> Result<(), CliError> {
        self.post("/v1/key-surrenders", &json!({ "key": key })).await.map(drop)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, CliError> {
        let away = |error: reqwest::Error| {
            // Its address stands in the message; what was sent does not.
            let message = format!("{} cannot be reached: {}", self.base, root(&error));
            CliError::new(Exit::Unavailable, "server_unavailable", message)
        };
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|_| {
            let message = format!("{} answered {status}, and not as Cairn does", self.base);
            CliError::new(Exit::Failure, "no_cairn", message)
        })?;
        if status.is_success() {
            return Ok(body);
        }
        let said = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let exit = match status.as_u16() {
            404 => Exit::NotFound,
            429 | 500.. => Exit::Unavailable,
            _ => Exit::Refused,
        };
        Err(CliError::new(exit, &said("code"), said("detail")))
    }
}

/// What is at the bottom of an error: why nobody answered.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Where a server on this machine listens, if its settings are these.
fn own_address(config: &Config) -> String {
    let listens = config.listen.first().map(|address| format!("http://{address}"));
    config.public_url.clone().or(listens).unwrap_or_default()
}

fn host_name() -> String {
    let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "terminal".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn keys_go_over_tls_or_nowhere() {
        let may = |address: &str| Server::named(address).is_ok();
        for address in [
            "https://cairn.example",
            "http://127.0.0.1:8080",
            "http://[::1]:80/",
            "http://localhost",
        ] {
            assert!(may(address), "{address}");
        }
        for address in [
            "http://cairn.example",
            "http://127.0.0.1.evil.example",
            "ftp://x",
            "cairn.example",
            "",
        ] {
            assert!(!may(address), "{address}");
        }
    }
}
