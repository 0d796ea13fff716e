//! The cgroups of a node lie in the machine's own hierarchies, under a name of the node's.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::tool;

/// Every directory of this name at the top of a hierarchy.
pub fn named(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        after.starts_with("cgroup").then(|| before.split(' ').nth(4)).flatten()
    });
    points.map(|point| Path::new(point).join(name)).filter(|path| path.exists()).collect()
}

/// Whether groups can be made that limit cpu, memory and processes.
pub fn check() -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let found = |wanted: &str, fstype: &str| {
        mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let options = after.rsplit(' ').next()?;
            let has = fstype == "cgroup2" || options.split(',').any(|option| option == wanted);
            (after.split(' ').next()? == fstype && has).then(|| before.split(' ').nth(4)).flatten()
        })
    };
    if let Some(unified) = found("", "cgroup2").map(Path::new) {
        let controllers = fs::read_to_string(unified.join("cgroup.controllers"));
        let controllers = controllers.unwrap_or_default();
        let has = |name: &&str| controllers.split_whitespace().any(|found| found == *name);
        if ["cpu", "memory", "pids"].iter().all(has) {
            return fs::write(unified.join("cgroup.subtree_control"), "+cpu +memory +pids")
                .map_err(|error| format!("cgroup controllers cannot be handed down: {error}"));
        }
    }
    for controller in ["cpu", "memory", "pids"] {
        let mount =
            found(controller, "cgroup").ok_or(format!("no cgroup controller {controller}"))?;
        let probe = Path::new(mount).join(format!("cairn-testbed-probe-{}", std::process::id()));
        let made = fs::create_dir(&probe);
        if !matches!(&made, Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists) {
            made.and_then(|()| fs::remove_dir(&probe))
                .map_err(|error| format!("{mount} is not writable: {error}"))?;
        }
    }
    Ok(())
}

/// Kills what is in it and removes it, with everything below.
pub fn remove(directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    while fs::remove_dir(directory).is_err() && directory.exists() && Instant::now() < deadline {
        let members = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines() {
            tool::try_run(&["kill", "-9", pid]);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
