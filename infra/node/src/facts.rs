//! What this machine is and has.
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cairn_node::{Facts, Resources};

use crate::cgroup;
use crate::config::Config;
use crate::fault::{Outcome, While};
use crate::steps::home;
use crate::{install, system};

/// Looks around. Changes nothing but the directories that are ours.
pub fn gather(config: &Config) -> Outcome<Facts> {
    system::make_directory(&config.state_dir, 0o700)?;
    let limiter = cgroup::find(&config.cgroup_root).filter(|found| found.prepare().is_ok());
    let cgroup = limiter.map_or("none", |found| found.version()).to_owned();
    let home_limit = if home::is_limitable() { "loop" } else { "none" }.to_owned();
    let missing = missing(config, &cgroup, &home_limit);
    Ok(Facts {
        hostname: first_line("/proc/sys/kernel/hostname"),
        os: os(),
        helper_version: env!("CARGO_PKG_VERSION").to_owned(),
        cgroup,
        home_limit,
        clock_micros: clock_micros(),
        certified_until_micros: install::control_plane(config)?
            .map(|known| known.host.until_micros),
        total: total(config)?,
        missing,
    })
}

fn missing(config: &Config, cgroup: &str, home_limit: &str) -> Vec<String> {
    let mut missing = Vec::new();
    if cgroup == "none" && !config.allow_unlimited_processes {
        missing.push("a writable cgroup hierarchy with cpu, memory and pids".to_owned());
    }
    if home_limit == "none" && !config.allow_unlimited_home {
        missing.push("loop devices and mkfs.ext4 to limit homes".to_owned());
    }
    for program in ["useradd", "userdel", "usermod", "getent", "id", "ipcrm", "sshd"] {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        if !found.iter().any(|directory| Path::new(directory).join(program).exists()) {
            missing.push(format!("the program {program}"));
        }
    }
    missing
}

#[expect(clippy::disallowed_methods, reason = "the node's own clock is the fact asked for")]
fn clock_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn os() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_owned()
}

fn total(config: &Config) -> Outcome<Resources> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let disk = rustix::fs::statvfs(&config.state_dir)
        .map_err(std::io::Error::from)
        .doing("measuring the disk")?;
    let number = |path: &str| first_line(path).parse::<u64>().unwrap_or(u64::MAX);
    let pids = number("/proc/sys/kernel/pid_max").min(number("/proc/sys/kernel/threads-max"));
    Ok(Resources {
        cpu_millis: u32::try_from(cores).unwrap_or(u32::MAX).saturating_mul(1_000),
        memory_bytes: memory_bytes(),
        disk_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        pids_max: u32::try_from(pids).unwrap_or(u32::MAX),
    })
}

fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default().saturating_mul(1_024)
}
