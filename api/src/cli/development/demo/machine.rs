//! The demo's node: a real Linux in namespaces where the machine allows it, one by script where not.
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cairn_commands::ports::{NodePort, PortError};
use cairn_compute::Step;
use cairn_ssh::{Call, ScriptedNodes, SourceAddress, When};
use cairn_testbed::{Invitation, NamespaceNode, TestbedError};
use serde_json::{Value, json};

use super::client::{Client, text};
use crate::cli::exit::CliError;

/// The step that the second rental fails at.
pub(super) const FAILING: Step = Step::Limits;
/// Lists what any tenant has left: accounts, keys, homes, processes.
const LOOK: &str = r#"
    awk -F: '$1 ~ /^t[0-9]+$/ && $5 != "squatter" {print "account " $1}' /etc/passwd
    ls -A /etc/ssh/cairn/keys 2>/dev/null | sed 's/^/key /'
    ls -A /home 2>/dev/null | sed 's/^/home /'
    ps -eo uid=,pid=,comm= | awk '$1 >= 20000 && $1 < 60000 {print "process " $2 " " $3}'
"#;

/// The node.
pub(super) enum Machine {
    /// Real.
    Namespace(NamespaceNode),
    /// Scripted, and why it is not real.
    Scripted(Arc<ScriptedNodes>, String),
}

impl From<TestbedError> for CliError {
    fn from(error: TestbedError) -> Self {
        Self::failure(error.to_string())
    }
}

impl Machine {
    /// A real node if this machine can run one.
    pub(super) fn start() -> Result<Self, CliError> {
        match cairn_testbed::is_available() {
            Ok(()) => Ok(Self::Namespace(NamespaceNode::start("demo")?)),
            Err(reason) => Ok(Self::Scripted(Arc::default(), reason.to_string())),
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "namespace",
            Self::Scripted(..) => "scripted",
        }
    }

    /// What it is, for people.
    pub(super) fn statement(&self) -> String {
        match self {
            Self::Namespace(node) => {
                format!("a real Linux node in namespaces, OpenSSH on {}", node.address())
            }
            Self::Scripted(_, reason) => {
                format!("a scripted node: no real one can run here, because {reason}")
            }
        }
    }

    /// Where it sees us come from.
    pub(super) fn source_addresses(&self) -> Vec<SourceAddress> {
        match self {
            Self::Namespace(node) => vec![node.host_address().into()],
            Self::Scripted(..) => Vec::new(),
        }
    }

    /// The way to it, unless it is the usual one.
    pub(super) fn port(&self) -> Option<Arc<dyn NodePort>> {
        match self {
            Self::Namespace(_) => None,
            Self::Scripted(nodes, _) => Some(Arc::clone(nodes) as Arc<dyn NodePort>),
        }
    }

    /// Runs the invitation's command on the node, as its owner would.
    pub(super) async fn enrol(
        &self,
        server: SocketAddr,
        invitation: &Value,
        anybody: &Client,
    ) -> Result<(), CliError> {
        let command = text(invitation, "/command");
        let argument = |name: &str| {
            let mut words = command.split(' ').skip_while(|word| *word != name);
            words.nth(1).unwrap_or_default().to_owned()
        };
        let (token, authority) = (argument("--token"), argument("--authority"));
        match self {
            Self::Namespace(node) => {
                let relay = node.relay_to(server)?;
                let url = format!("http://{}", relay.address());
                let invited = Invitation { url, token, authority };
                // The node's owner waits for the helper; the server runs on other threads.
                tokio::task::block_in_place(|| node.enrol(&invited))?;
                Ok(())
            }
            Self::Scripted(nodes, _) => {
                let facts = nodes.facts();
                let body = json!({
                    "token": token, "hostname": facts.hostname, "address": "scripted.invalid",
                    "port": 22, "host_keys": [paper_key()?],
                    "facts": {
                        "hostname": facts.hostname, "os": facts.os,
                        "helper_version": facts.helper_version, "cgroup": facts.cgroup,
                        "home_limit": "none", "clock_micros": 0, "total": facts.total, "missing": [],
                    },
                });
                anybody.post("/v1/nodes/enrol", &body).await.map(drop)
            }
        }
    }

    /// Makes [`FAILING`] fail from here on.
    pub(super) fn obstruct(&self) -> Result<(), CliError> {
        match self {
            Self::Namespace(node) => Ok(node.break_step(cairn_testbed::Step::Limits)?),
            Self::Scripted(nodes, _) => {
                let error = PortError::permanent("step_failed", "obstructed by the demo");
                nodes.fail(Call::Ensure(FAILING), When::Before, error, None);
                Ok(())
            }
        }
    }

    /// Takes the obstruction away.
    pub(super) fn mend(&self) -> Result<(), CliError> {
        match self {
            Self::Namespace(node) => Ok(node.mend(cairn_testbed::Step::Limits)?),
            Self::Scripted(nodes, _) => {
                nodes.mend();
                Ok(())
            }
        }
    }

    /// What tenants have left on it.
    pub(super) fn left(&self) -> Result<Vec<String>, CliError> {
        match self {
            Self::Namespace(node) => {
                let listed = node.run(&["sh", "-c", LOOK])?;
                let cgroups = node.cgroups();
                let cgroups = cgroups.iter().map(|path| format!("cgroup {}", path.display()));
                Ok(listed.lines().map(str::to_owned).chain(cgroups).collect())
            }
            Self::Scripted(nodes, _) => {
                let left = nodes.left();
                Ok(left.iter().map(|(id, step)| format!("{id}: {}", step.name())).collect())
            }
        }
    }
}

/// A key pair as the customer has one.
pub(super) fn make_key(directory: &Path) -> Result<String, CliError> {
    let path = directory.join("customer_ed25519");
    let quiet = ["-q", "-t", "ed25519", "-N", "", "-C", "customer@laptop", "-f"];
    run(Command::new("ssh-keygen").args(quiet).arg(&path))?;
    Ok(std::fs::read_to_string(path.with_extension("pub"))?)
}

/// A key of a host that is not there.
fn paper_key() -> Result<String, CliError> {
    let directory = tempfile::tempdir()?;
    make_key(directory.path())
}

/// Logs in with the customer's own key and the real `ssh`, trusting only the authority that the API named, and runs `id`.
pub(super) fn log_in(directory: &Path, access: &Value) -> Result<String, CliError> {
    let known_hosts = directory.join("known_hosts");
    std::fs::write(&known_hosts, format!("{}\n", text(access, "/known_hosts")))?;
    let port = access["port"].as_i64().unwrap_or(22).to_string();
    let destination = format!("{}@{}", text(access, "/login"), text(access, "/address"));
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-p", &port, "-i"]).arg(directory.join("customer_ed25519"));
    for option in ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"] {
        ssh.args(["-o", option]);
    }
    let known = format!("UserKnownHostsFile={}", known_hosts.display());
    ssh.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", &known]);
    let said = run(ssh.args([destination.as_str(), "id"]))?;
    Ok(said.trim().to_owned())
}

/// Runs a program that must succeed.
pub(super) fn run(command: &mut Command) -> Result<String, CliError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let said = command
        .output()
        .map_err(|error| CliError::failure(format!("{program} cannot be started: {error}")))?;
    if said.status.success() {
        return Ok(String::from_utf8_lossy(&said.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&said.stderr);
    Err(CliError::failure(format!("{program} failed: {}", why.trim())))
}
