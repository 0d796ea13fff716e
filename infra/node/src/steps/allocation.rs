//! One allocation, as the steps see it.
use std::path::PathBuf;

use cairn_node::TenantArguments;

use super::access;
use crate::config::Config;
use crate::fault::{Fault, Outcome};

/// One allocation on this node.
#[derive(Clone, Copy)]
pub struct Allocation<'a> {
    pub config: &'a Config,
    pub id: &'a str,
    pub tenant: &'a TenantArguments,
}

impl Allocation<'_> {
    pub fn home(&self) -> PathBuf {
        self.config.homes_dir.join(&self.tenant.login)
    }

    pub fn image(&self) -> PathBuf {
        self.config.images().join(format!("{}.img", self.id))
    }

    /// Refuses values that could not come from an honest control plane.
    pub fn check(&self) -> Outcome<()> {
        let TenantArguments { login, uid, ssh_public_key, resources } = self.tenant;
        if *login != format!("t{uid}") {
            return Err(Fault::permanent("login_invalid", "a tenant's login is t and its uid"));
        }
        if *uid < self.config.uid_min || *uid > 2_000_000_000 || *uid == 65_534 {
            return Err(Fault::permanent("uid_invalid", format!("uid {uid} is not for tenants")));
        }
        if !access::is_public_key(ssh_public_key) {
            return Err(Fault::permanent("key_invalid", "not one line of an OpenSSH public key"));
        }
        if resources.cpu_millis == 0 || resources.pids_max == 0 || resources.memory_bytes < 1 << 20
        {
            return Err(Fault::permanent("resources_invalid", "an allocation needs some of each"));
        }
        Ok(())
    }
}
