//! The server's life: made, started, healed, stopped, killed.
use crate::binaries::{binaries_for, find_binaries};
use crate::error::{ClusterError, During};
use crate::home::Home;
use crate::process;
use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// Crash recovery of a large log takes its time; a server that died is noticed at once.
const READY_WITHIN: Duration = Duration::from_secs(600);
const FAST_STOP_WITHIN: Duration = Duration::from_secs(60);
const IMMEDIATE_STOP_WITHIN: Duration = Duration::from_secs(10);
const LOG_BYTES_MAX: u64 = 16 << 20;

/// The running postmaster of this home, if there is one. An error when it cannot be told: not
/// known to run is not the same as gone.
pub(crate) fn postmaster(home: &Home) -> Result<Option<u32>, ClusterError> {
    let Some(pid) = recorded_pid(home)? else { return Ok(None) };
    Ok(process::is_postmaster(pid, &home.data())?.then_some(pid))
}

/// The number in the pid file; none when there is no file, or no number in it.
fn recorded_pid(home: &Home) -> Result<Option<u32>, ClusterError> {
    let file = home.pid_file();
    let bytes = process::found(fs::read(&file)).during("read", &file)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().and_then(|line| line.trim().parse().ok()))
}

/// Removes data that was made without durability: after a power loss it may be anything. Call only
/// while nobody uses it.
pub(crate) fn forget_volatile(home: &Home) -> Result<(), ClusterError> {
    let (mark, data) = (home.volatile(), home.data());
    if !mark.exists() {
        return Ok(());
    }
    if data.exists() {
        fs::remove_dir_all(&data).during("remove", &data)?;
    }
    remove(&mark)
}

/// The binaries that fit the data, which is made when there is none yet.
pub(crate) fn binaries(home: &Home, durable: bool) -> Result<PathBuf, ClusterError> {
    let data = home.data();
    if let Ok(version) = fs::read_to_string(data.join("PG_VERSION")) {
        return binaries_for(&data, version.trim().parse().unwrap_or_default());
    }
    let bin = find_binaries()?;
    init(home, &bin, durable)?;
    Ok(bin)
}

/// Made beside its place and moved there whole, so that a crash never leaves half a cluster.
fn init(home: &Home, bin: &Path, durable: bool) -> Result<(), ClusterError> {
    let (data, draft) = (home.data(), home.base.join("data.draft"));
    if draft.exists() {
        fs::remove_dir_all(&draft).during("remove", &draft)?;
    }
    DirBuilder::new().mode(0o700).create(&draft).during("make the directory", &draft)?;
    home.account.own(&draft)?;
    let mut command = home.account.command(bin.join("initdb"));
    command.arg("-D").arg(&draft).args(["-U", "postgres", "-E", "UTF8", "--locale=C"]);
    command.args(["--auth-local=trust", "--auth-host=reject"]);
    if !durable {
        command.arg("--no-sync");
    }
    let output = command.output().during("run", &bin.join("initdb"))?;
    if !output.status.success() {
        let detail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ClusterError::Program { what: "initdb".into(), detail });
    }
    if !durable {
        let mark = home.volatile();
        fs::write(&mark, "").during("write", &mark)?;
    }
    fs::rename(&draft, &data).during("put in place", &data)
}

/// Removes what a crash left: workers without a postmaster, and files naming a process that is
/// now somebody else. Call only while no postmaster runs and the start lock is held.
pub(crate) fn heal(home: &Home) -> Result<(), ClusterError> {
    let data = home.data();
    let gone = |patience| process::wait_until(patience, || process::workers_in(&data).is_empty());
    if !gone(Duration::from_secs(5)) {
        process::signal("KILL", &process::workers_in(&data));
        gone(Duration::from_secs(5));
    }
    let [socket, lock] = home.sockets();
    if UnixStream::connect(&socket).is_ok() {
        // A server answers that this machine's process table does not show: another container's.
        return Err(ClusterError::InUse(home.base.clone()));
    }
    remove(&lock)?;
    remove(&socket)?;
    // A number nobody has is healed by PostgreSQL itself, which also looks for shared memory in use.
    // It takes everything else for a server, a process that waits to be buried among them.
    let nobodys = recorded_pid(home)?.is_some_and(|pid| !process::exists(pid));
    if nobodys { Ok(()) } else { remove(&home.pid_file()) }
}

fn remove(file: &Path) -> Result<(), ClusterError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).during("remove", file)
        }
        _ => Ok(()),
    }
}

/// Starts the postmaster and waits until it answers.
pub(crate) fn spawn(
    home: &Home,
    bin: &Path,
    settings: &[(String, String)],
) -> Result<Child, ClusterError> {
    let log = home.log();
    if fs::metadata(&log).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        let _ = fs::rename(&log, home.base.join("postgres.log.old"));
    }
    let file = home.open(&log, OpenOptions::new().append(true))?;
    let before = file.metadata().map(|found| found.len()).unwrap_or_default();
    let mut command = home.account.command(bin.join("postgres"));
    command.arg("-D").arg(home.data());
    for (name, value) in settings {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    // A process group of its own: Ctrl-C in a terminal is for us, who then stop it in order.
    command.process_group(0).stdout(file.try_clone().during("share", &log)?).stderr(file);
    let mut child = command.spawn().during("run", &bin.join("postgres"))?;
    let mut ended = None;
    let ready = process::wait_until(READY_WITHIN, || {
        ended = child.try_wait().ok().flatten();
        ended.is_some() || is_ready(home, child.id()).unwrap_or_default()
    });
    if ready && ended.is_none() {
        return Ok(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(ClusterError::Program { what: "starting PostgreSQL".into(), detail: tail(&log, before) })
}

/// Whether this postmaster has said that it accepts connections.
fn is_ready(home: &Home, pid: u32) -> Result<bool, ClusterError> {
    let file = home.pid_file();
    let bytes = process::found(fs::read(&file)).during("read", &file)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    Ok(lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|status| status.trim() == "ready"))
}

/// Waits for a postmaster that somebody else started. False: none runs.
pub(crate) fn wait_ready(home: &Home) -> Result<bool, ClusterError> {
    let mut found = None;
    let known = process::wait_until(READY_WITHIN, || {
        found = match postmaster(home) {
            Ok(Some(pid)) => is_ready(home, pid).map(|ready| ready.then_some(true)).transpose(),
            Ok(None) => Some(Ok(false)),
            Err(error) => Some(Err(error)),
        };
        found.is_some()
    });
    found.filter(|_| known).unwrap_or_else(|| {
        let (what, detail) = ("waiting for PostgreSQL", "a server runs that does not get ready");
        Err(ClusterError::Program { what: what.to_owned(), detail: detail.to_owned() })
    })
}

/// Our child while it lives, else the postmaster that somebody else has started since.
pub(crate) fn running(home: &Home, child: Option<&mut Child>) -> Result<Option<u32>, ClusterError> {
    let ours = child.map(|child| (child.id(), has_ended(child.id(), Some(child))));
    match ours {
        Some((pid, false)) => Ok(Some(pid)),
        _ => postmaster(home),
    }
}

/// Stops the postmaster: fast, then immediately, then by force. Ends with it gone.
pub(crate) fn stop(home: &Home, mut child: Option<Child>) -> Result<(), ClusterError> {
    let Some(pid) = running(home, child.as_mut())? else { return Ok(()) };
    for (name, patience) in [("INT", FAST_STOP_WITHIN), ("QUIT", IMMEDIATE_STOP_WITHIN)] {
        process::signal(name, &[pid]);
        if process::wait_until(patience, || has_ended(pid, child.as_mut())) {
            return Ok(());
        }
    }
    kill(pid, child);
    Ok(())
}

/// SIGKILL to the postmaster and all its children at once, as a machine that loses power would.
pub(crate) fn kill(pid: u32, mut child: Option<Child>) {
    // Stopped first, so that it can neither start new children nor react to their deaths.
    process::signal("STOP", &[pid]);
    process::wait_until(Duration::from_secs(2), || process::stopped(pid));
    let tree = process::tree(pid);
    process::signal("KILL", &tree);
    process::wait_until(Duration::from_secs(10), || {
        has_ended(pid, child.as_mut()) && !tree.iter().any(|pid| process::alive(*pid))
    });
}

/// Also buries the process when it is our own child.
fn has_ended(pid: u32, child: Option<&mut Child>) -> bool {
    if let Some(child) = child {
        let _ = child.try_wait();
    }
    !process::alive(pid)
}

/// What the server wrote since `from`, its last lines.
fn tail(log: &Path, from: u64) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let fresh = bytes.get(usize::try_from(from).unwrap_or_default()..).unwrap_or_default();
    let text = String::from_utf8_lossy(fresh);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("; ")
}
