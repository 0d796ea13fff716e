//! A world whose node is real; the payment provider stays in memory.
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_commands::ports::{NodePort, PaymentPort};
use cairn_compute::Allocation;
use cairn_core::{Money, NodeId};
use cairn_ssh::{CertificateAuthority, SshConfig, SshNodes};
use cairn_testbed::{NamespaceNode, Step};
use tempfile::TempDir;

use crate::nodes::{RealClock, enrol};
use crate::support::clock::CountingIds;
use crate::support::harness::{Host, World};
use crate::support::provider::MemoryProvider;

/// One namespace node and the adapter that reaches it.
pub struct RealNode {
    node: Mutex<Option<Arc<NamespaceNode>>>,
    authority: Arc<CertificateAuthority>,
    adapter: Arc<SshNodes>,
    provider: Arc<MemoryProvider>,
    public_key: String,
    files: TempDir,
}

impl RealNode {
    /// `None`, with the reason on stderr, where there can be no node.
    pub async fn start(name: &str) -> Option<Arc<Self>> {
        if !cairn_testbed::available_or_skip() {
            return None;
        }
        let name = name.to_owned();
        let started = tokio::task::spawn_blocking(move || {
            let files = tempfile::tempdir().unwrap();
            let authority = CertificateAuthority::open(&files.path().join("authority")).unwrap();
            let node = NamespaceNode::start(&name).unwrap();
            let public_key = crate::nodes::make_key(&files.path().join("customer"));
            (files, Arc::new(authority), node, public_key)
        });
        let (files, authority, node, public_key) = started.await.unwrap();
        let (clock, ids) = (Arc::new(RealClock), Arc::new(CountingIds::default()));
        let adapter = SshNodes::new(Arc::clone(&authority), clock, ids, SshConfig::default());
        Some(Arc::new(Self {
            node: Mutex::new(Some(Arc::new(node))),
            authority,
            adapter: Arc::new(adapter),
            provider: MemoryProvider::new(),
            public_key,
            files,
        }))
    }

    fn node(&self) -> Arc<NamespaceNode> {
        Arc::clone(self.node.lock().unwrap().as_ref().unwrap())
    }

    /// The machine has other host keys from now on.
    pub async fn change_host_keys(&self) {
        let node = self.node();
        tokio::task::spawn_blocking(move || node.change_host_keys().unwrap()).await.unwrap();
    }

    /// Logins of the control plane that its SSH server has let in.
    pub async fn control_logins(&self) -> usize {
        let node = self.node();
        let log = tokio::task::spawn_blocking(move || node.sshd_log().unwrap()).await.unwrap();
        log.lines().filter(|line| line.contains("Accepted publickey for cairn-control")).count()
    }

    /// Runs a shell script on the node, as root.
    pub async fn run(&self, script: String) -> String {
        let node = self.node();
        tokio::task::spawn_blocking(move || node.run(&["sh", "-c", &script]).unwrap())
            .await
            .unwrap()
    }

    /// Takes the node away.
    pub async fn stop(&self) {
        let node = self.node.lock().unwrap().take();
        tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
    }
}

#[async_trait]
impl World for RealNode {
    fn nodes(&self) -> Arc<dyn NodePort> {
        Arc::clone(&self.adapter) as Arc<dyn NodePort>
    }

    fn payments(&self) -> Arc<dyn PaymentPort> {
        Arc::clone(&self.provider) as Arc<dyn PaymentPort>
    }

    async fn host(&self, node_id: NodeId) -> Host {
        let (node, authority) = (self.node(), Arc::clone(&self.authority));
        let enrolled =
            tokio::task::spawn_blocking(move || enrol(&node, &authority, node_id).unwrap());
        let applicant = enrolled.await.unwrap();
        Host {
            address: applicant.address,
            port: applicant.port,
            host_keys: applicant.host_keys,
            facts: applicant.facts,
        }
    }

    /// Looks with other eyes than the helper's.
    async fn left(&self, allocation: &Allocation) -> Vec<String> {
        let Some(placement) = allocation.placement else { return vec![] };
        let (node, uid) = (self.node(), placement.uid);
        let look = format!(
            "getent passwd t{uid}; getent group t{uid}; grep /home/t{uid} /proc/self/mountinfo
             find /home /tmp /var/tmp /dev/shm /etc/ssh/cairn /var/lib/cairn-node/homes -name '*t{uid}*' -o -uid {uid}
             pgrep -u {uid}; true"
        );
        let looked = tokio::task::spawn_blocking(move || {
            let mut left = node.run(&["sh", "-c", &look]).unwrap();
            for cgroup in node.cgroups() {
                left.push_str(&format!("{}\n", cgroup.display()));
            }
            left
        });
        looked.await.unwrap().lines().map(str::to_owned).collect()
    }

    fn cards(&self) -> (Vec<Money>, Vec<Money>) {
        (self.provider.payments(), self.provider.refunds())
    }

    fn refund_fails(&self) -> Option<String> {
        None
    }

    async fn set_broken(&self, name: &str, broken: bool) {
        let step = name.strip_prefix("ensure_").unwrap();
        let step = Step::ALL.into_iter().find(|known| known.name() == step).unwrap();
        let node = self.node();
        let changed = tokio::task::spawn_blocking(move || match broken {
            true => node.break_step(step).unwrap(),
            false => node.mend(step).unwrap(),
        });
        changed.await.unwrap();
    }

    fn public_key(&self) -> String {
        let _keeps = &self.files;
        self.public_key.clone()
    }
}
