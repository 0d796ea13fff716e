//! Where things are on this node, and what its owner allows. Read from `/etc/cairn-node/config.json`; absent means the defaults.
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fault::{Fault, Outcome};
use crate::system;

/// Where the configuration is read from.
pub const PATH: &str = "/etc/cairn-node/config.json";

/// What a node's owner may choose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Journal, records and images of homes.
    pub state_dir: PathBuf,
    /// Keys, principals and authorities that sshd reads.
    pub ssh_dir: PathBuf,
    /// Where homes are mounted.
    pub homes_dir: PathBuf,
    /// Name of the cgroup that holds all allocations.
    pub cgroup_root: String,
    /// Whether images of homes take their space at once, so that a full disk cannot surprise a tenant.
    pub preallocate: bool,
    /// Allow homes without a size limit where loop devices are missing.
    pub allow_unlimited_home: bool,
    /// Allow allocations without cgroup limits where cgroups are missing.
    pub allow_unlimited_processes: bool,
    /// Whether to say what is in use on this machine, which decides whether it takes new allocations. No use where it also does other work.
    pub measure_usage: bool,
    /// Lowest uid a tenant may have.
    pub uid_min: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/cairn-node".into(),
            ssh_dir: "/etc/ssh/cairn".into(),
            homes_dir: "/home".into(),
            cgroup_root: "cairn".to_owned(),
            preallocate: true,
            allow_unlimited_home: false,
            allow_unlimited_processes: false,
            measure_usage: true,
            uid_min: 20_000,
        }
    }
}

impl Config {
    /// Reads the configuration.
    pub fn load() -> Outcome<Self> {
        match system::read(Path::new(PATH))? {
            None => Ok(Self::default()),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| Fault::permanent("config_invalid", format!("{PATH}: {error}"))),
        }
    }

    pub fn records(&self) -> PathBuf {
        self.state_dir.join("allocations")
    }

    pub fn uids(&self) -> PathBuf {
        self.state_dir.join("uids")
    }

    /// Uids that were given back, by the time of their files.
    pub fn released_uids(&self) -> PathBuf {
        self.state_dir.join("released-uids")
    }

    pub fn images(&self) -> PathBuf {
        self.state_dir.join("homes")
    }

    /// What is known of the control plane.
    pub fn control_plane(&self) -> PathBuf {
        self.state_dir.join("control-plane.json")
    }

    pub fn keys(&self) -> PathBuf {
        self.ssh_dir.join("keys")
    }

    pub fn principals(&self) -> PathBuf {
        self.ssh_dir.join("principals")
    }
}
