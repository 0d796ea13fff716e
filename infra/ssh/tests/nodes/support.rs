//! A control plane just large enough to enrol a node, and a customer with a key.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use cairn_commands::ports::{Clock, IdSource, IntentKey, NodePort, NodeTarget, PortError, Tenant};
use cairn_compute::Step;
use cairn_core::{AllocationId, NodeId, Resources, Timestamp};
use cairn_ssh::{
    Applicant, CertificateAuthority, Credential, EnrolRequest, SignedEnrolment, SshConfig, SshNodes,
};
use cairn_testbed::{Invitation, NamespaceNode, Relay, Said};
use tempfile::TempDir;

pub struct RealClock;

impl Clock for RealClock {
    #[allow(clippy::disallowed_methods, reason = "certificates are judged by real clocks")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }
}

pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl IdSource for Counter {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// An enrolled node and everybody around it.
pub struct World {
    pub node: NamespaceNode,
    pub target: NodeTarget,
    pub authority: Arc<CertificateAuthority>,
    pub nodes: SshNodes,
    pub runtime: tokio::runtime::Runtime,
    pub files: TempDir,
    customer_key: String,
}

pub fn now() -> Timestamp {
    RealClock.now()
}

/// `None`, with the reason on stderr, where there can be no node.
pub fn world(name: &str) -> Option<World> {
    if !cairn_testbed::available_or_skip() {
        return None;
    }
    let files = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::open(&files.path().join("authority")).unwrap();
    let node = NamespaceNode::start(name).unwrap();
    let node_id = NodeId::from_bits(7);
    let applicant = enrol(&node, &authority, node_id).unwrap();
    let authority = Arc::new(authority);
    let (clock, ids) = (Arc::new(RealClock), Arc::new(Counter::new()));
    let nodes = SshNodes::new(Arc::clone(&authority), clock, ids, SshConfig::default());
    let target = NodeTarget {
        node_id,
        address: applicant.address,
        port: applicant.port,
        host_keys: applicant.host_keys,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let customer_key = make_key(&files.path().join("customer"));
    Some(World { node, target, authority, nodes, runtime, files, customer_key })
}

/// Runs `cairn-node enrol` in the node against a control plane that answers one request.
pub fn enrol(
    node: &NamespaceNode,
    authority: &CertificateAuthority,
    node_id: NodeId,
) -> Result<Applicant, String> {
    let fingerprint = authority.fingerprint();
    enrol_as(node, authority, node_id, &fingerprint)
}

pub fn enrol_as(
    node: &NamespaceNode,
    authority: &CertificateAuthority,
    node_id: NodeId,
    fingerprint: &str,
) -> Result<Applicant, String> {
    let answer = |applicant: &Applicant| authority.admit(applicant, now()).unwrap().answer;
    enrol_with(node, answer, node_id, fingerprint)
}

/// As [`enrol_as`], with any answer.
pub fn enrol_with(
    node: &NamespaceNode,
    answer: impl Fn(&Applicant) -> SignedEnrolment + Send,
    node_id: NodeId,
    fingerprint: &str,
) -> Result<Applicant, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let door: Relay = node.relay_to(listener.local_addr().unwrap()).unwrap();
    let invitation = Invitation {
        url: format!("http://{}", door.address()),
        token: format!("{node_id}.5ec2e7"),
        authority: fingerprint.to_owned(),
    };
    std::thread::scope(|scope| {
        let served = scope.spawn(|| serve_once(&listener, answer));
        let enrolled = node.enrol(&invitation).map_err(|error| error.to_string());
        if enrolled.is_err() {
            // Wakes a server that nobody came to.
            let _woken = TcpStream::connect(listener.local_addr().unwrap());
        }
        let applicant = served.join().unwrap();
        enrolled.map(|_| applicant.unwrap())
    })
}

fn serve_once(
    listener: &TcpListener,
    answer: impl Fn(&Applicant) -> SignedEnrolment,
) -> Option<Applicant> {
    let (mut stream, peer) = listener.accept().unwrap();
    let request = read_request(&stream)?;
    let applicant = Applicant::try_from_request(&request, peer.ip()).unwrap();
    let body = serde_json::to_string(&answer(&applicant)).unwrap();
    let head = format!(
        "HTTP/1.1 201 Created\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    Some(applicant)
}

fn read_request(stream: &TcpStream) -> Option<EnrolRequest> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

pub fn make_key(path: &Path) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "customer", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
    let text = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

pub const ALLOCATION: AllocationId = AllocationId::from_bits(41);

impl World {
    pub fn tenant(&self) -> Tenant {
        Tenant {
            allocation_id: ALLOCATION,
            login: "t20000".to_owned(),
            uid: 20_000,
            resources: Resources {
                cpu_millis: 500,
                memory_bytes: 128 << 20,
                disk_bytes: 32 << 20,
                pids_max: 24,
            },
            ssh_public_key: self.customer_key.clone(),
        }
    }

    pub fn ensure(&self, step: Step, generation: u64) -> Result<String, PortError> {
        self.ensure_as(&self.tenant(), step, generation)
    }

    /// As [`World::ensure`], for a tenant of another size.
    pub fn ensure_as(
        &self,
        tenant: &Tenant,
        step: Step,
        generation: u64,
    ) -> Result<String, PortError> {
        let key = key(step.name(), generation);
        let call = self.nodes.ensure(&self.target, tenant, step, &key);
        self.runtime.block_on(call).map(|report| report.observed)
    }

    /// All steps; answers what the proof saw.
    pub fn provision(&self) -> String {
        let mut last = String::new();
        for step in Step::ALL {
            last = self.ensure(step, 1).unwrap_or_else(|error| panic!("{step:?}: {error}"));
        }
        last
    }

    /// Closes the login and ends everything; answers what the node saw then.
    pub fn suspend(&self, generation: u64) -> Result<String, PortError> {
        let (tenant, key) = (self.tenant(), key("suspend", generation));
        let call = self.nodes.suspend(&self.target, &tenant, &key);
        self.runtime.block_on(call).map(|report| report.observed)
    }

    pub fn teardown(&self, generation: u64) -> Vec<String> {
        let (tenant, key) = (self.tenant(), key("down", generation));
        let call = self.nodes.teardown(&self.target, &tenant, &key);
        self.runtime.block_on(call).unwrap().left
    }

    /// The customer's own `ssh`, which trusts the host authority and nothing else.
    pub fn ssh(&self, command: &str) -> Said {
        let identity = self.files.path().join("customer");
        self.ssh_with("t20000", &identity, &[], command)
    }

    /// `ssh` with a minted credential.
    pub fn ssh_as(&self, account: &str, credential: &Credential, command: &str) -> Said {
        let identity = self.files.path().join("minted");
        let certificate = self.files.path().join("minted-cert.pub");
        for path in [&identity, &certificate] {
            let _none = std::fs::remove_file(path);
        }
        write_private(&identity, &credential.private_key().unwrap());
        std::fs::write(&certificate, credential.certificate().unwrap()).unwrap();
        let option = format!("CertificateFile={}", certificate.display());
        self.ssh_with(account, &identity, &["-o", &option], command)
    }

    pub fn ssh_command(&self, account: &str, identity: &Path) -> Command {
        let known_hosts = self.files.path().join("known_hosts");
        std::fs::write(&known_hosts, self.authority.known_hosts_line().unwrap() + "\n").unwrap();
        let mut ssh = Command::new("ssh");
        ssh.arg("-F/dev/null").arg("-i").arg(identity);
        let known = format!("UserKnownHostsFile={}", known_hosts.display());
        for option in [
            &known,
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            "ConnectTimeout=10",
        ] {
            ssh.arg("-o").arg(option);
        }
        ssh.arg(format!("{account}@{}", self.target.address));
        ssh
    }

    fn ssh_with(&self, account: &str, identity: &Path, options: &[&str], command: &str) -> Said {
        let mut ssh = self.ssh_command(account, identity);
        let output = ssh.args(options).arg(command).output().unwrap();
        Said {
            success: output.status.success(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A script that makes a node believe that its host certificates end in so many days.
    pub fn certified_for_days(&self, days: i64) -> String {
        let until = now().plus_secs(days * 86_400).as_micros();
        let file = "/var/lib/cairn-node/control-plane.json";
        format!("sed -i 's/\"until_micros\":[0-9]*/\"until_micros\":{until}/' {file}")
    }

    /// Looks with other eyes than the helper's.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let script = "getent passwd t20000; getent group t20000; grep /home/ /proc/self/mountinfo
            find /home /tmp /var/tmp /dev/shm /etc/ssh/cairn /var/lib/cairn-node/homes -name '*t20000*' -o -uid 20000
            ls /var/lib/cairn-node/homes 2>/dev/null; pgrep -u 20000; true";
        assert_eq!(self.node.run(&["sh", "-c", script]).unwrap(), "");
        assert_eq!(self.node.cgroups(), Vec::<PathBuf>::new());
    }
}

pub fn key(what: &str, generation: u64) -> IntentKey {
    IntentKey { id: format!("{what}-{generation}"), generation }
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// An address where nobody listens.
pub fn nowhere() -> (IpAddr, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    (address.ip(), address.port())
}
