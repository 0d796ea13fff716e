//! Processes by owner, and their end.
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fault::{Outcome, While};

/// Whether a process that has ended but was not yet reaped counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Zombies {
    Count,
    Ignore,
}

/// Processes whose real, effective, saved or file system uid is this one.
pub fn of_uid(uid: u32, zombies: Zombies) -> Outcome<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").doing("reading /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        if belongs(&status, uid) && (zombies == Zombies::Count || !is_zombie(&status)) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn belongs(status: &str, uid: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.is_some_and(|ids| ids.split_whitespace().any(|id| id.parse() == Ok(uid)))
}

fn is_zombie(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("State:"));
    line.is_some_and(|state| state.trim_start().starts_with(['Z', 'X']))
}

/// Sends SIGKILL; a process that is already gone is fine.
pub fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _gone = kill_process(pid, Signal::KILL);
    }
}

/// Repeats until `done` answers true or ten seconds have passed; answers whether it did.
pub fn until(mut done: impl FnMut() -> Outcome<bool>) -> Outcome<bool> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if done()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::{belongs, is_zombie};

    const STATUS: &str = "Name:\tx\nState:\tZ (zombie)\nUid:\t0\t20001\t0\t0\n";

    #[test]
    fn any_of_the_four_uids_counts() {
        assert!(belongs(STATUS, 20_001));
        assert!(belongs(STATUS, 0));
        assert!(!belongs(STATUS, 2_000));
    }

    #[test]
    fn a_zombie_is_told_from_a_living_process() {
        assert!(is_zombie(STATUS));
        assert!(!is_zombie("State:\tS (sleeping)\n"));
    }
}
