//! Whether this machine can run nodes. Everything a node needs is tried once, so that whoever asks first is not surprised later.
use std::path::Path;
use std::sync::OnceLock;

use crate::error::TestbedError;
use crate::{cgroups, tool};

static FOUND: OnceLock<Result<(), String>> = OnceLock::new();

/// A tree with mounts of its own, an overlay among them, as `init.sh` makes it.
const MOUNTS: &str = "set -e
    mount -t tmpfs tmpfs /run
    mount -t proc proc /proc
    mkdir /run/upper /run/work
    mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
    mount -o remount,bind,ro /";

/// Whether this machine can run namespace nodes; if not, why. Tried once per process.
///
/// # Errors
/// The reason, in words.
pub fn is_available() -> Result<(), TestbedError> {
    FOUND.get_or_init(look).clone().map_err(TestbedError::Unavailable)
}

/// For tests: whether to go on with a real node. If there can be none, says so on stderr.
///
/// # Panics
/// When there can be none and `CAIRN_REQUIRE_NODES=1` is set: where nodes were promised, a test that did not run is not green.
#[must_use]
pub fn available_or_skip() -> bool {
    #[allow(clippy::disallowed_methods, reason = "whoever runs the tests says what must run")]
    let required = std::env::var("CAIRN_REQUIRE_NODES").is_ok_and(|value| value == "1");
    go_on(is_available(), required)
}

#[allow(clippy::print_stderr, reason = "a test that does not run says so where tests speak")]
fn go_on(found: Result<(), TestbedError>, required: bool) -> bool {
    match found {
        Ok(()) => true,
        Err(error) if required => panic!("CAIRN_REQUIRE_NODES=1, but {error}"),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            false
        }
    }
}

fn look() -> Result<(), String> {
    let said = tool::run(&["id", "-u"]).map_err(|error| error.to_string())?;
    if said.trim() != "0" {
        return Err("it needs root".to_owned());
    }
    for program in ["ip", "nsenter", "unshare", "mount", "ssh-keygen", "sshd", "mkfs.ext4"] {
        let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        if !places.iter().any(|place| Path::new(place).join(program).exists()) {
            return Err(format!("the program {program} is missing"));
        }
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there are no loop devices".to_owned());
    }
    if !Path::new("/etc/pam.d/sshd").exists() {
        return Err("sshd has no PAM configuration".to_owned());
    }
    cgroups::check()?;
    let flags = ["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"];
    tool::run(&[&["unshare"][..], &flags, &["sh", "-c", MOUNTS]].concat())
        .map_err(|error| format!("namespaces or mounts are refused ({error})"))?;
    network().map_err(|error| format!("network namespaces are refused ({error})"))
}

/// A network namespace with one end of a veth pair in it; both ends go with the namespace.
fn network() -> Result<(), TestbedError> {
    let name = format!("cairn-try-{}", std::process::id());
    let link = format!("ct{}", std::process::id());
    tool::run(&["ip", "netns", "add", &name])?;
    let pair = ["ip", "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &name];
    let made = tool::run(&pair).map(drop);
    tool::try_run(&["ip", "link", "del", &link]);
    tool::try_run(&["ip", "netns", "del", &name]);
    made
}

#[cfg(test)]
mod tests {
    use super::go_on;
    use crate::error::TestbedError;

    fn missing() -> Result<(), TestbedError> {
        Err(TestbedError::Unavailable("it needs root".to_owned()))
    }

    #[test]
    fn a_test_without_a_node_is_skipped_where_none_was_promised() {
        assert!(!go_on(missing(), false));
        assert!(go_on(Ok(()), true));
    }

    #[test]
    #[should_panic(expected = "it needs root")]
    fn a_test_without_a_node_fails_where_one_was_promised() {
        go_on(missing(), true);
    }
}
