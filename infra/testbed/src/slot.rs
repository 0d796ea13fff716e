//! Which node has which number, and with it which name, addresses and cgroup. A number whose owner has died is free after it was
//! cleaned up.
use std::fs::{self, File, OpenOptions};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{TestbedError, io};
use crate::{cgroups, tool};

const BASE: &str = "/run/cairn-testbed";
/// As many /30 networks as are taken from 198.18.0.0/15 at most.
const SLOTS: u32 = 512;

#[derive(Serialize, Deserialize)]
struct Owner {
    pid: u32,
    /// Start time of the process: a pid alone may be somebody else's by now.
    started: String,
}

/// A number, held.
pub struct Slot(u32);

impl Slot {
    /// Takes the lowest free number, after cleaning up behind owners that have died.
    pub fn take() -> Result<Self, TestbedError> {
        fs::create_dir_all(BASE).map_err(io(format!("making {BASE}")))?;
        let _held = lock()?;
        let mut free = None;
        for number in 0..SLOTS {
            let slot = Self(number);
            let known = slot.directory().exists();
            if known && !slot.is_owned() {
                slot.clean();
            }
            if free.is_none() && !slot.directory().exists() {
                free = Some(number);
            }
            if free.is_some() && !known && number > free.unwrap_or_default() + 16 {
                break;
            }
        }
        let number = free.ok_or_else(|| TestbedError::Unavailable("too many nodes".to_owned()))?;
        let slot = Self(number);
        slot.claim()?;
        Ok(slot)
    }

    fn claim(&self) -> Result<(), TestbedError> {
        let directory = self.directory();
        fs::create_dir_all(&directory).map_err(io("making the node's directory"))?;
        let pid = std::process::id();
        let owner = Owner { pid, started: started(pid).unwrap_or_default() };
        let text = serde_json::to_vec(&owner).unwrap_or_default();
        fs::write(directory.join("owner.json"), text).map_err(io("writing the owner"))
    }

    fn is_owned(&self) -> bool {
        let text = fs::read(self.directory().join("owner.json")).unwrap_or_default();
        let owner: Option<Owner> = serde_json::from_slice(&text).ok();
        owner.is_some_and(|owner| started(owner.pid).as_deref() == Some(owner.started.as_str()))
    }

    pub fn directory(&self) -> PathBuf {
        Path::new(BASE).join(self.0.to_string())
    }

    pub fn network(&self) -> String {
        format!("cairn-tb-{}", self.0)
    }

    pub fn link(&self) -> String {
        format!("cairntb{}", self.0)
    }

    pub fn cgroup(&self) -> String {
        format!("cairn-testbed-{}", self.0)
    }

    pub fn host_address(&self) -> Ipv4Addr {
        self.address(1)
    }

    pub fn node_address(&self) -> Ipv4Addr {
        self.address(2)
    }

    fn address(&self, host: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + self.0 * 4 + host)
    }

    /// Ends and removes everything that bears this number.
    pub fn clean(&self) {
        let network = self.network();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let pids = tool::run(&["ip", "netns", "pids", &network]).unwrap_or_default();
            if pids.trim().is_empty() {
                break;
            }
            for pid in pids.lines() {
                tool::try_run(&["kill", "-9", pid]);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        tool::try_run(&["ip", "link", "del", &self.link()]);
        tool::try_run(&["ip", "netns", "del", &network]);
        for directory in cgroups::named(&self.cgroup()) {
            cgroups::remove(&directory);
        }
        let _gone = fs::remove_dir_all(self.directory());
    }
}

fn lock() -> Result<File, TestbedError> {
    let path = Path::new(BASE).join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(io("opening the lock"))?;
    file.lock().map_err(io("taking the lock"))?;
    Ok(file)
}

/// Field 22 of `/proc/<pid>/stat`, counted behind the name, which may hold anything.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_owned)
}
