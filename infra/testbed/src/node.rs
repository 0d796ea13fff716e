//! A node: started, spoken to, stopped.
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{TestbedError, io};
use crate::relay::Relay;
use crate::slot::Slot;
use crate::tool::{self, Said};
use crate::{availability::is_available, cgroups, helper};

const INIT: &str = include_str!("init.sh");
/// Where the helper is inside a node.
const HELPER: &str = "/var/lib/cairn-node/bin/cairn-node";
const SSH_PORT: u16 = 22;

/// How to start a node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Host name.
    pub name: String,
    /// The `cairn-node` binary to put into it.
    pub helper: PathBuf,
}

/// What an enrolment command says.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Invitation {
    /// Base URL of the control plane, as the node reaches it (see [`NamespaceNode::relay_to`]).
    pub url: String,
    pub token: String,
    /// Fingerprint of the host authority, `SHA256:…`.
    pub authority: String,
}

/// A running node; stopped, with nothing left of it, when dropped.
pub struct NamespaceNode {
    name: String,
    slot: Slot,
    child: Child,
    /// The node's first process, as this machine numbers it.
    init: u32,
    stopped: bool,
}

impl NamespaceNode {
    /// Starts a node with the helper that belongs to the running program.
    ///
    /// # Errors
    /// When this machine cannot run one; see [`is_available`].
    pub fn start(name: &str) -> Result<Self, TestbedError> {
        let helper = helper::helper_binary()?;
        Self::start_with(NodeConfig { name: name.to_owned(), helper })
    }

    /// Starts a node.
    ///
    /// # Errors
    /// When this machine cannot run one; see [`is_available`].
    pub fn start_with(config: NodeConfig) -> Result<Self, TestbedError> {
        is_available()?;
        let slot = Slot::take()?;
        let child = connect(&slot).and_then(|()| spawn(&slot, &config));
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                slot.clean();
                return Err(error);
            }
        };
        let mut node = Self { name: config.name, slot, child, init: 0, stopped: false };
        node.wait_until_ready()?;
        Ok(node)
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its SSH server listens, reachable from this machine only.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.slot.node_address().into()
    }

    /// Where this machine's connections come from, as the node sees them.
    #[must_use]
    pub fn host_address(&self) -> IpAddr {
        self.slot.host_address().into()
    }

    /// The port of its SSH server.
    #[must_use]
    pub const fn port(&self) -> u16 {
        SSH_PORT
    }

    /// Its public host keys, `type base64`.
    ///
    /// # Errors
    /// When the node is gone.
    pub fn host_keys(&self) -> Result<Vec<String>, TestbedError> {
        let text = self.run(&["sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"])?;
        let two = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Ok(text.lines().map(two).collect())
    }

    /// Runs a program inside, as root.
    ///
    /// # Errors
    /// When it cannot be started. A failure of the program itself is in the answer.
    pub fn exec(&self, argv: &[&str]) -> Result<Said, TestbedError> {
        self.exec_with(argv, b"")
    }

    /// As [`Self::exec`], with something to read.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn exec_with(&self, argv: &[&str], input: &[u8]) -> Result<Said, TestbedError> {
        tool::ask(&mut self.command(argv), input)
    }

    /// The command that runs a program inside, to be started by the caller.
    #[must_use]
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let namespaces = ["--mount", "--pid", "--uts", "--ipc", "--net", "--"];
        command.args(["--target", &self.init.to_string()]).args(namespaces).args(argv);
        command
    }

    /// Runs a program inside that must succeed; answers what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, argv: &[&str]) -> Result<String, TestbedError> {
        let said = self.exec(argv)?;
        if said.success {
            return Ok(said.stdout);
        }
        Err(TestbedError::Failed { program: argv.join(" "), message: said.stderr })
    }

    /// Runs the helper inside.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn helper(&self, arguments: &[&str], input: &[u8]) -> Result<Said, TestbedError> {
        self.exec_with(&[&[HELPER], arguments].concat(), input)
    }

    /// The helper's path inside.
    #[must_use]
    pub const fn helper_path(&self) -> &'static str {
        HELPER
    }

    /// Puts the node under a control plane, as its owner would.
    ///
    /// # Errors
    /// When the enrolment is refused or fails.
    pub fn enrol(&self, invitation: &Invitation) -> Result<String, TestbedError> {
        let address = self.address().to_string();
        let Invitation { url, token, authority } = invitation;
        let who = ["enrol", "--allow-plain-http", "--url", url];
        let how = ["--token", token, "--authority", authority, "--address", &address];
        let said = self.helper(&[&who[..], &how].concat(), b"")?;
        if said.success {
            return self.wait_for_sshd().map(|()| said.stdout);
        }
        let program = "cairn-node enrol".to_owned();
        Err(TestbedError::Failed { program, message: said.stderr })
    }

    /// Opens a door from the node to an address of this machine, for example a control plane on loopback.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn relay_to(&self, target: SocketAddr) -> Result<Relay, TestbedError> {
        Relay::open(self.slot.host_address(), target)
    }

    /// Replaces the host keys, as a reinstalled machine or an impostor would have others.
    ///
    /// # Errors
    /// When the node is gone.
    pub fn change_host_keys(&self) -> Result<(), TestbedError> {
        let script = "set -e
            for type in ed25519 ecdsa; do
                rm -f /etc/ssh/ssh_host_${type}_key /etc/ssh/ssh_host_${type}_key.pub
                ssh-keygen -q -t $type -N '' -f /etc/ssh/ssh_host_${type}_key
            done
            sed -i '/^HostCertificate/d' /etc/ssh/sshd_config.d/*.conf || true";
        self.run(&["sh", "-c", script])?;
        self.restart_sshd()
    }

    /// Stops and starts the SSH server, leaving open sessions.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_sshd(&self) -> Result<(), TestbedError> {
        let script = "pid=$(cat /run/sshd.pid)
            kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.01; done
            exec /usr/sbin/sshd -E /run/sshd.log";
        self.run(&["sh", "-c", script])?;
        self.wait_for_sshd()
    }

    /// What the SSH server has logged.
    ///
    /// # Errors
    /// When the node is gone.
    pub fn sshd_log(&self) -> Result<String, TestbedError> {
        self.run(&["cat", "/run/sshd.log"])
    }

    pub(crate) fn cgroup_name(&self) -> String {
        self.slot.cgroup()
    }

    /// What the node has in this machine's cgroup hierarchies: one entry per allocation and hierarchy.
    #[must_use]
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let children = |directory: PathBuf| fs::read_dir(directory).into_iter().flatten().flatten();
        let entries = cgroups::named(&self.slot.cgroup()).into_iter().flat_map(children);
        entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
    }

    /// Ends every process of the node and removes all of it.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.stopped {
            self.stopped = true;
            let _gone = self.child.kill();
            let _reaped = self.child.wait();
            self.slot.clean();
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), TestbedError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let pid = self.child.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        while self.init == 0 {
            let text = fs::read_to_string(&children).unwrap_or_default();
            let first = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
            self.init = first.unwrap_or_default();
            self.check_alive(deadline)?;
        }
        let address = SocketAddr::new(self.address(), SSH_PORT);
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            self.check_alive(deadline)?;
        }
        Ok(())
    }

    fn check_alive(&mut self, deadline: Instant) -> Result<(), TestbedError> {
        let ended = self.child.try_wait().map_err(io("looking after the node"))?;
        if ended.is_some() || Instant::now() >= deadline {
            let log = fs::read_to_string(self.slot.directory().join("log")).unwrap_or_default();
            return Err(TestbedError::NotReady(log));
        }
        std::thread::sleep(Duration::from_millis(10));
        Ok(())
    }

    fn wait_for_sshd(&self) -> Result<(), TestbedError> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let address = SocketAddr::new(self.address(), SSH_PORT);
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            if Instant::now() >= deadline {
                return Err(TestbedError::NotReady(self.sshd_log().unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for NamespaceNode {
    fn drop(&mut self) {
        self.end();
    }
}

/// The network: one end on this machine, one in the node.
fn connect(slot: &Slot) -> Result<(), TestbedError> {
    let (network, link) = (slot.network(), slot.link());
    let (host, node) = (slot.host_address(), slot.node_address());
    let (host_net, node_net) = (format!("{host}/30"), format!("{node}/30"));
    tool::run(&["ip", "netns", "add", &network])?;
    let pair = ["ip", "link", "add", &link, "type", "veth", "peer", "name", "eth0"];
    tool::run(&[&pair[..], &["netns", &network]].concat())?;
    tool::run(&["ip", "addr", "add", &host_net, "dev", &link])?;
    tool::run(&["ip", "link", "set", &link, "up"])?;
    tool::run(&["ip", "-n", &network, "link", "set", "lo", "up"])?;
    tool::run(&["ip", "-n", &network, "addr", "add", &node_net, "dev", "eth0"])?;
    tool::run(&["ip", "-n", &network, "link", "set", "eth0", "up"])?;
    let route = ["ip", "-n", &network, "route", "add", "default", "via"];
    tool::run(&[&route[..], &[&host.to_string()]].concat())?;
    Ok(())
}

fn spawn(slot: &Slot, config: &NodeConfig) -> Result<Child, TestbedError> {
    let directory = slot.directory();
    let scratch = directory.join("scratch");
    fs::create_dir_all(&scratch).map_err(io("making the node's directory"))?;
    let log = File::create(directory.join("log")).map_err(io("making the node's log"))?;
    let errors = log.try_clone().map_err(io("making the node's log"))?;
    let address = slot.node_address().to_string();
    Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", slot.network()))
        .args(["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"])
        .args(["sh", "-c", INIT, "cairn-testbed-init"])
        .arg(&scratch)
        .arg(&config.name)
        .arg(&config.helper)
        .args([&address, &slot.cgroup()])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(io("starting the node"))
}
