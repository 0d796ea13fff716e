//! Nodes of this control plane: its certificate authorities under the data directory, and the way over SSH.
use std::sync::Arc;

use cairn_commands::ports::{NodePort, PortError};
use cairn_core::Resources;
use cairn_ssh::{AuthorityError, CertificateAuthority, SshConfig, SshNodes};

use crate::config::Config;
use crate::http::fleet::Enrolments;
use crate::system::{RandomIds, SystemClock};

/// Kept back on every node for the machine itself.
const RESERVE: Resources =
    Resources { cpu_millis: 100, memory_bytes: 256 << 20, disk_bytes: 512 << 20, pids_max: 256 };

/// What nodes are reached and let in by.
pub struct Nodes {
    /// Over SSH.
    pub port: Arc<dyn NodePort>,
    /// Who signs them in.
    pub enrolments: Enrolments,
}

/// Opens the authorities under `<data>/keys` (made on first use, for their owner only) and the way to nodes.
///
/// # Errors
/// When the keys cannot be read, or others could read them.
pub fn open(config: &Config) -> Result<Nodes, PortError> {
    let authority =
        CertificateAuthority::open(&config.data.join("keys")).map_err(|error| unusable(&error))?;
    let authority = Arc::new(authority);
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
    let source_addresses = config.ssh_source_addresses.clone();
    let ssh = SshConfig { source_addresses, ..SshConfig::default() };
    let port = SshNodes::new(Arc::clone(&authority), clock, ids, ssh);
    let enrolments = Enrolments { authority, reserve: RESERVE };
    Ok(Nodes { port: Arc::new(port), enrolments })
}

fn unusable(error: &AuthorityError) -> PortError {
    PortError::permanent("certificate_authority", error.to_string())
}
