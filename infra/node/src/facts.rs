//! What this machine is and has.
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cairn_node::{Facts, Resources, Usage};

use crate::cgroup;
use crate::config::Config;
use crate::fault::{Outcome, While};
use crate::steps::{home, uid};
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
        boot_id: first_line("/proc/sys/kernel/random/boot_id"),
        uptime_millis: uptime_millis(&first_line("/proc/uptime")).unwrap_or_default(),
        clock_micros: clock_micros(),
        certified_until_micros: install::control_plane(config)?
            .map(|known| known.host.until_micros),
        total: total(config)?,
        last_uid: uid::highest_used(config)?,
        usage: usage(config),
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
        disk_bytes: disk.f_bavail.saturating_mul(disk.f_frsize).saturating_add(homes_bytes(config)),
        pids_max: u32::try_from(pids).unwrap_or(u32::MAX),
    })
}

/// What the images of homes take: it is rented out already, and was free before.
fn homes_bytes(config: &Config) -> u64 {
    let entries = fs::read_dir(config.images()).into_iter().flatten().flatten();
    let taken = entries.filter_map(|entry| Some(entry.metadata().ok()?.blocks() * 512));
    taken.fold(0, u64::saturating_add)
}

fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    meminfo_kib(&text, "MemTotal:").unwrap_or_default().saturating_mul(1_024)
}

fn meminfo_kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Nothing when it is not wanted, or when one of them cannot be measured: a guess would take the node out of use, or keep it in.
fn usage(config: &Config) -> Option<Usage> {
    if !config.measure_usage {
        return None;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let disk = rustix::fs::statvfs(&config.state_dir).ok()?;
    Some(Usage {
        cpu_permille: load_permille(&first_line("/proc/loadavg"), cores)?,
        memory_permille: memory_permille(&fs::read_to_string("/proc/meminfo").ok()?)?,
        // What root may still write is not what is left to others.
        disk_permille: used_permille(
            disk.f_blocks.saturating_sub(disk.f_bfree).saturating_add(disk.f_bavail),
            disk.f_bavail,
        )?,
    })
}

/// Of `12.34 …`: 12340.
fn uptime_millis(uptime: &str) -> Option<u64> {
    let (whole, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
    let (whole, hundredths) = (whole.parse::<u64>().ok()?, hundredths.parse::<u64>().ok()?);
    whole.checked_mul(1_000)?.checked_add(hundredths.checked_mul(10)?)
}

/// Of `0.50 …` on two cores: 250.
fn load_permille(loadavg: &str, cores: usize) -> Option<u16> {
    let (whole, hundredths) = loadavg.split_whitespace().next()?.split_once('.')?;
    let hundredths =
        whole.parse::<u64>().ok()?.checked_mul(100)? + hundredths.parse::<u64>().ok()?;
    let permille = hundredths.saturating_mul(10) / u64::try_from(cores.max(1)).ok()?;
    Some(u16::try_from(permille).unwrap_or(u16::MAX))
}

fn memory_permille(meminfo: &str) -> Option<u16> {
    used_permille(meminfo_kib(meminfo, "MemTotal:")?, meminfo_kib(meminfo, "MemAvailable:")?)
}

fn used_permille(total: u64, free: u64) -> Option<u16> {
    let permille = u128::from(total.saturating_sub(free)) * 1_000 / u128::from(total.max(1));
    u16::try_from(permille).ok().filter(|_| total > 0)
}

#[cfg(test)]
mod tests {
    use super::{load_permille, memory_permille, uptime_millis, used_permille};

    #[test]
    fn load_is_counted_per_core_and_may_exceed_all_of_them() {
        assert_eq!(load_permille("0.50 0.40 0.30 1/200 4242", 2), Some(250));
        assert_eq!(load_permille("8.05 0.40 0.30 1/200 4242", 4), Some(2_012));
        assert_eq!(load_permille("99999999.00 0 0", 1), Some(u16::MAX));
        assert_eq!(load_permille("", 2), None);
    }

    #[test]
    fn a_machine_is_up_for_so_many_milliseconds() {
        assert_eq!(uptime_millis("57042.07 113.00"), Some(57_042_070));
        assert_eq!(uptime_millis(""), None);
        assert_eq!(uptime_millis("x.07 1"), None);
    }

    #[test]
    fn memory_that_is_available_is_not_in_use() {
        let meminfo = "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  600 kB\n";
        assert_eq!(memory_permille(meminfo), Some(400));
        assert_eq!(memory_permille("MemTotal:  1000 kB\n"), None);
    }

    #[test]
    fn nothing_of_nothing_is_not_a_measure() {
        assert_eq!(used_permille(0, 0), None);
        assert_eq!(used_permille(3, 0), Some(1_000));
    }
}
