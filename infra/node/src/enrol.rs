//! Enrolment, run by the node's owner: presents the one-time token and this machine's host keys, checks that the answer
//! comes from the control plane named in the command, and installs the keys it brings.
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use cairn_node::{
    ENROL_NAMESPACE, EnrolRequest, EnrolResponse, Kind, SignedEnrolment, node_of_token,
};
use clap::Args;
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::config::Config;
use crate::fault::{Fault, Outcome, While};
use crate::steps::access;
use crate::{facts, install, system};

/// What the invitation says.
#[derive(Args)]
pub struct Enrol {
    /// Where the control plane is, for example <https://cairn.example.org>.
    #[arg(long)]
    url: String,
    /// One-time token.
    #[arg(long)]
    token: String,
    /// Fingerprint of the control plane's host authority (SHA256:…): an answer by anybody else is refused.
    #[arg(long)]
    authority: String,
    /// Address the control plane shall connect to; by default the one it sees.
    #[arg(long)]
    address: Option<String>,
    /// Trust only these certificate authorities (PEM) for https.
    #[arg(long)]
    tls_authorities: Option<PathBuf>,
    /// Allow http, to a loopback or benchmark address only.
    #[arg(long)]
    allow_plain_http: bool,
}

impl Enrol {
    /// Enrols this machine.
    pub fn run(&self) -> Outcome<()> {
        check_url(&self.url, self.allow_plain_http)?;
        let config = Config::load()?;
        let sshd = install::Sshd::look()?;
        let body = self.request(&config, &sshd)?;
        let signed = self.post(&body).inspect_err(|refused| {
            // A definite no is no lost answer: the next try may say something else.
            if refused.kind == Kind::Permanent {
                let _told = system::remove_file(&pending(&config));
            }
        })?;
        let response = self.verify(&config, &signed)?;
        install::install(&config, &sshd, &response)?;
        system::remove_file(&pending(&config))?;
        crate::say(&format!("enrolled as {}", response.node_id));
        Ok(())
    }

    /// The same words post the same document: a repeat after a lost answer is a repeat, not a second try.
    fn request(&self, config: &Config, sshd: &install::Sshd) -> Outcome<String> {
        system::make_directory(&config.state_dir, 0o700)?;
        if let Some(text) = system::read(&pending(config))? {
            let known: Option<EnrolRequest> = serde_json::from_str(&text).ok();
            let same =
                |known: &EnrolRequest| known.token == self.token && known.address == self.address;
            if known.as_ref().is_some_and(same) {
                return Ok(text);
            }
        }
        let facts = facts::gather(config)?;
        let request = EnrolRequest {
            token: self.token.clone(),
            hostname: facts.hostname.clone(),
            address: self.address.clone(),
            port: sshd.port,
            host_keys: sshd.public_keys()?,
            facts,
        };
        let text = serde_json::to_string(&request)
            .map_err(|error| Fault::permanent("request_invalid", error.to_string()))?;
        system::write_atomically(&pending(config), text.as_bytes(), 0o600)?;
        Ok(text)
    }

    fn agent(&self) -> Outcome<Agent> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &self.tls_authorities {
            let pem = fs::read(path).doing(format_args!("reading {}", path.display()))?;
            let found = parse_pem(&pem).filter_map(Result::ok);
            let certificates: Vec<_> = found
                .filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                })
                .collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls.build());
        Ok(config.build().new_agent())
    }

    fn post(&self, body: &str) -> Outcome<SignedEnrolment> {
        let url = format!("{}/v1/nodes/enrol", self.url.trim_end_matches('/'));
        let unreachable = |error: ureq::Error| {
            Fault::transient("control_plane_unreachable", format!("{url}: {error}"))
        };
        let mut response = self
            .agent()?
            .post(&url)
            .header("content-type", "application/json")
            .header("idempotency-key", format!("enrol-{}", sha256(&self.token)))
            .send(body)
            .map_err(unreachable)?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        if !status.is_success() {
            let message = format!("the control plane answers {status}: {text}");
            let code = "enrolment_refused";
            return Err(if is_definite(status.as_u16(), &text) {
                Fault::permanent(code, message)
            } else {
                Fault::transient(code, message)
            });
        }
        serde_json::from_str(&text)
            .map_err(|error| Fault::permanent("answer_invalid", error.to_string()))
    }

    /// The answer is signed by the authority in the command and is for this token.
    fn verify(&self, config: &Config, signed: &SignedEnrolment) -> Outcome<EnrolResponse> {
        let untrusted = |message: &str| Fault::permanent("answer_untrusted", message);
        let response: EnrolResponse = serde_json::from_str(&signed.answer)
            .map_err(|error| Fault::permanent("answer_invalid", error.to_string()))?;
        for key in
            [&response.host_authority, &response.control_authority, &response.tenant_authority]
        {
            if !is_key_line(key) {
                return Err(untrusted("an authority is not one line of a public key"));
            }
        }
        let authority = config.state_dir.join("authority.pub");
        let line = format!("{}\n", response.host_authority);
        system::write_atomically(&authority, line.as_bytes(), 0o600)?;
        let shown = system::run(&["ssh-keygen".as_ref(), "-lf".as_ref(), authority.as_os_str()])?;
        if shown.split_whitespace().nth(1) != Some(self.authority.as_str()) {
            return Err(untrusted("the answer is not from the authority named in the command"));
        }
        check_signature(config, &response.host_authority, signed)?;
        if response.token_sha256 != sha256(&self.token)
            || response.node_id != node_of_token(&self.token)
        {
            return Err(untrusted("the answer is for another enrolment"));
        }
        Ok(response)
    }
}

/// Exactly one `type base64 [comment]`: what ssh-keygen takes the fingerprint of is all that sshd will read.
fn is_key_line(text: &str) -> bool {
    let mut words = text.splitn(3, ' ');
    let key = words.next().zip(words.next());
    let comment = words.next().unwrap_or_default();
    let printable = comment.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    printable && key.is_some_and(|(kind, body)| access::is_public_key(&format!("{kind} {body}")))
}

/// Whether the same words would be refused again. The control plane says so; else the status does.
fn is_definite(status: u16, body: &str) -> bool {
    let said: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let retryable = said.as_ref().and_then(|said| said.get("retryable")?.as_bool());
    (400..500).contains(&status) && !retryable.unwrap_or(matches!(status, 408 | 409 | 425 | 429))
}

fn pending(config: &Config) -> PathBuf {
    config.state_dir.join("enrolment.json")
}

fn check_signature(config: &Config, authority: &str, signed: &SignedEnrolment) -> Outcome<()> {
    let [signers, signature, answer] =
        ["signers", "signature", "answer"].map(|name| config.state_dir.join(name));
    system::write_atomically(&signers, format!("cairn {authority}\n").as_bytes(), 0o600)?;
    system::write_atomically(&signature, signed.signature.as_bytes(), 0o600)?;
    system::write_atomically(&answer, signed.answer.as_bytes(), 0o600)?;
    let input = File::open(&answer).doing("reading the answer")?;
    let mut argv: Vec<&std::ffi::OsStr> = vec!["ssh-keygen".as_ref(), "-Y".as_ref()];
    argv.extend(["verify", "-I", "cairn", "-n", ENROL_NAMESPACE, "-f"].map(std::ffi::OsStr::new));
    argv.extend([signers.as_os_str(), "-s".as_ref(), signature.as_os_str()]);
    let said = system::ask_from(&argv, input.into())?;
    for path in [&signers, &signature, &answer] {
        system::remove_file(path)?;
    }
    if said.success {
        Ok(())
    } else {
        Err(Fault::permanent("answer_untrusted", "the signature of the answer is not good"))
    }
}

fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

/// https anywhere; http only where nobody can listen, and only when asked for.
fn check_url(url: &str, allow_plain: bool) -> Outcome<()> {
    let refused = |message: &str| Err(Fault::permanent("url_refused", message));
    let Ok(uri) = url.parse::<Uri>() else {
        return refused("not a URL");
    };
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if !allow_plain => refused("http needs --allow-plain-http"),
        Some("http") => match uri.host().unwrap_or_default().parse::<IpAddr>() {
            Ok(address) if is_private_wire(address) => Ok(()),
            _ => refused(
                "http is only for loopback (127.0.0.0/8) and benchmark (198.18.0.0/15) addresses",
            ),
        },
        _ => refused("neither https nor http"),
    }
}

fn is_private_wire(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || matches!(v4.octets(), [198, 18 | 19, _, _]),
        IpAddr::V6(v6) => v6.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_url, is_definite, is_key_line};

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB6NDJ3IX4iL9qqcEXRqPrgAwn0kQ0IJc6cj4vG6OQZ1";

    #[test]
    fn an_authority_is_one_key_on_one_line() {
        assert!(is_key_line(KEY) && is_key_line(&format!("{KEY} cairn host_ca")));
        for second in ["\n", "\r", "\n\n", " comment\n", "\u{2028}", "\0"] {
            assert!(!is_key_line(&format!("{KEY}{second}{KEY}")), "{second:?}");
        }
        assert!(!is_key_line(&format!("{KEY}\n")));
        assert!(!is_key_line(&format!("cert-authority {KEY}")));
        assert!(!is_key_line(&format!("namespaces=\"x\" {KEY}")));
        assert!(!is_key_line("ssh-ed25519") && !is_key_line(""));
    }

    #[test]
    fn only_a_definite_no_is_not_asked_again() {
        assert!(is_definite(422, "{\"code\":\"node_address_invalid\",\"retryable\":false}"));
        assert!(is_definite(400, "not of Cairn"));
        assert!(!is_definite(409, "{\"retryable\":true}"));
        assert!(!is_definite(429, "") && !is_definite(503, "{\"retryable\":false}"));
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear() {
        assert!(check_url("https://cairn.example.org", false).is_ok());
        assert!(check_url("http://127.0.0.1:8080", true).is_ok());
        assert!(check_url("http://198.18.0.1:8080", true).is_ok());
        assert!(check_url("http://127.0.0.1:8080", false).is_err());
        assert!(check_url("http://192.0.2.1", true).is_err());
        assert!(check_url("http://localhost.example.org", true).is_err());
        assert!(check_url("ftp://127.0.0.1", true).is_err());
    }
}
