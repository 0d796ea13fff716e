//! Looking at processes and signalling them, without a line of unsafe code.
//!
//! Linux only where it reads `/proc`. Signals go through the shell's built-in `kill`, which even
//! the smallest image has.
use crate::error::{ClusterError, During};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One line of the process table.
struct Entry {
    pid: u32,
    name: String,
    state: char,
    parent: u32,
}

/// Sends a signal (`INT`, `KILL` …) to every process named, in one breath.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    // A process may be gone by now: that is what the caller wanted.
    let _ = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$@\"", name])
        .args(pids.iter().map(u32::to_string))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Whether anybody has this number, were it a process that waits to be buried.
pub(crate) fn exists(pid: u32) -> bool {
    entry(pid).is_some()
}

/// Whether the process exists and is not merely waiting to be buried.
pub(crate) fn alive(pid: u32) -> bool {
    entry(pid).is_some_and(|entry| entry.state != 'Z' && entry.state != 'X')
}

/// Whether the process is the postmaster of this data directory (and not a later process that was
/// given the same number). An error when it cannot be told.
pub(crate) fn is_postmaster(pid: u32, data: &Path) -> Result<bool, ClusterError> {
    let path = format!("/proc/{pid}/cmdline");
    let Some(line) = found(fs::read(&path)).during("read", Path::new(&path))? else {
        return Ok(false);
    };
    let mut arguments = line.split(|byte| *byte == 0);
    let program = arguments.next().unwrap_or_default();
    // A process that waits to be buried has no arguments any more.
    Ok(program.ends_with(b"/postgres")
        && arguments.any(|argument| argument == data.as_os_str().as_encoded_bytes()))
}

/// Tells "it is not there" (a missing file, a process that ended) from "it could not be read".
pub(crate) fn found<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // ESRCH: the process ended between opening and reading.
        Err(error) if error.raw_os_error() == Some(3) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The process and everything below it.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let table: Vec<Entry> = table();
    let mut pids = vec![root];
    let mut next = 0;
    while next < pids.len() {
        let parent = pids[next];
        pids.extend(table.iter().filter(|entry| entry.parent == parent).map(|entry| entry.pid));
        next += 1;
    }
    pids
}

/// Server processes that still work in this data directory, whoever their parent is.
pub(crate) fn workers_in(data: &Path) -> Vec<u32> {
    table()
        .into_iter()
        .filter(|entry| entry.name == "postgres" && entry.state != 'Z')
        .filter(|entry| {
            fs::read_link(format!("/proc/{}/cwd", entry.pid)).is_ok_and(|cwd| cwd == data)
        })
        .map(|entry| entry.pid)
        .collect()
}

/// Whether the process is stopped by a signal.
pub(crate) fn stopped(pid: u32) -> bool {
    entry(pid).is_none_or(|entry| !matches!(entry.state, 'R' | 'S' | 'D'))
}

/// Polls until the condition holds; false when the patience is over first.
pub(crate) fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
}

fn table() -> Vec<Entry> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|item| item.file_name().to_str()?.parse().ok())
        .filter_map(entry)
        .collect()
}

fn entry(pid: u32) -> Option<Entry> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state parent …`, where the name may hold spaces and parentheses itself.
fn parse(stat: &str) -> Option<Entry> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some(Entry {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let entry = parse("42 (a (b) c) S 7 42 42 0").expect("a line of the table");
        assert_eq!(
            (entry.pid, entry.name.as_str(), entry.state, entry.parent),
            (42, "a (b) c", 'S', 7)
        );
    }
}
