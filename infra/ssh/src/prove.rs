//! The last step: the control plane logs in as the tenant, with a session certificate, and looks around.
use std::time::Duration;

use cairn_commands::ports::{FailureKind, IntentKey, NodeTarget, PortError, StepReport, Tenant};
use cairn_node::{Answer, Observed, Operation};

use crate::client::{self, Errand, Failure, Output};
use crate::nodes::{SshNodes, authority_failed, request, unexpected};

/// A connection may break for its own reasons; a node that cuts off this many logins in a row refuses them.
const TRIES: u32 = 3;
const LOOK: &str = "id && cat /proc/self/cgroup";

pub async fn prove(
    nodes: &SshNodes,
    node: &NodeTarget,
    tenant: &Tenant,
) -> Result<StepReport, PortError> {
    let observed = inspect(nodes, node, tenant).await?;
    let unlimited = whole(node, &observed)?;
    let output = log_in(nodes, node, tenant).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = said.lines().next().unwrap_or_default().to_owned();
    let expected = format!("uid={}({})", tenant.uid, tenant.login);
    if output.status != 0 || !id.starts_with(&expected) {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let message = format!("{}: expected {expected}, found '{id}' {complaint}", node.node_id);
        return Err(PortError::permanent("not_the_tenant", message));
    }
    let allocation = tenant.allocation_id.to_string();
    if !unlimited && !is_limited(said.lines().skip(1), &allocation) {
        let message = format!("{}: the session runs outside its cgroup", node.node_id);
        return Err(PortError::permanent("session_not_limited", message));
    }
    Ok(StepReport { observed: id })
}

/// Whether a process is in the group in every hierarchy that limits it, by its `/proc/self/cgroup`. With version 1 each controller has a
/// hierarchy of its own, and a process may be in the group in some of them only.
fn is_limited<'a>(lines: impl Iterator<Item = &'a str>, group: &str) -> bool {
    let mut limited = [false; 3];
    let mut unified = false;
    let mut of_version_1 = 0;
    for line in lines {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let inside = path.rsplit('/').next() == Some(group);
        unified |= controllers.is_empty() && inside;
        for (at, wanted) in ["cpu", "memory", "pids"].into_iter().enumerate() {
            if controllers.split(',').any(|controller| controller == wanted) {
                of_version_1 += 1;
                limited[at] |= inside;
            }
        }
    }
    if of_version_1 == limited.len() { limited.iter().all(|inside| *inside) } else { unified }
}

async fn inspect(
    nodes: &SshNodes,
    node: &NodeTarget,
    tenant: &Tenant,
) -> Result<Observed, PortError> {
    let key = IntentKey { id: String::new(), generation: 0 };
    match nodes.ask(node, &request(Operation::Inspect, tenant, &key)).await? {
        Answer::Inspected(observed) => Ok(observed),
        other => Err(unexpected(node, &other)),
    }
}

/// All that was built is still there; answers whether its owner lets it go without limits.
fn whole(node: &NodeTarget, observed: &Observed) -> Result<bool, PortError> {
    let parts = [
        ("uid", &observed.uid),
        ("home", &observed.home),
        ("user", &observed.user),
        ("limits", &observed.limits),
        ("access", &observed.access),
    ];
    if let Some((part, _)) = parts.iter().find(|(_, state)| state.is_none()) {
        let message = format!("{}: step {part} does not hold any more", node.node_id);
        return Err(PortError::permanent("step_lost", message));
    }
    Ok(observed.limits.as_deref().is_some_and(|limits| limits.ends_with("not limited")))
}

async fn log_in(nodes: &SshNodes, node: &NodeTarget, tenant: &Tenant) -> Result<Output, PortError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let session = format!("{:032x}", nodes.ids.next());
        let (sources, now) = (nodes.sources(), nodes.clock.now());
        let minted = nodes.authority.mint_session(tenant.allocation_id, &session, sources, now);
        let credential = minted.map_err(|error| authority_failed(&error))?;
        let (account, input) = (tenant.login.as_str(), Vec::new());
        let errand = Errand { account, credential, command: LOOK, input };
        match client::run(node, errand, nodes.patience()).await {
            Ok(output) => return Ok(output),
            Err(Failure::NotAdmitted(_)) if tries < TRIES => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(failure) => {
                return Err(failure.into_port(node, (FailureKind::Permanent, "login_refused")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_limited;

    fn is(text: &str) -> bool {
        is_limited(text.lines(), "alloc_1")
    }

    #[test]
    fn of_version_2_the_one_group_counts() {
        assert!(is("0::/cairn/alloc_1"));
        assert!(!is("0::/cairn/alloc_2") && !is("0::/alloc_1/inner") && !is("0::/xalloc_1"));
        assert!(!is(""));
    }

    #[test]
    fn of_version_1_every_controller_that_limits_must_be_in_it() {
        let all = "4:pids:/cairn/alloc_1\n3:memory:/cairn/alloc_1\n2:cpu,cpuacct:/cairn/alloc_1";
        assert!(is(&format!("{all}\n1:name=systemd:/\n0::/")));
        for controller in ["pids", "memory", "cpu,cpuacct"] {
            let inside = format!(":{controller}:/cairn/alloc_1");
            let outside = all.replace(&inside, &format!(":{controller}:/"));
            assert_ne!(outside, all);
            assert!(!is(&outside), "{controller}");
            assert!(!is(&format!("{outside}\n0::/cairn/alloc_1")), "{controller}");
        }
    }
}
