//! System packages: found by the program they bring, installed with apt when that is possible.
use crate::run::{find_program, say, step, succeeds};
use crate::{Failure, tools};
use std::process::Command;

/// A program (or something like it) and the Debian package that brings it.
pub struct Need {
    present: fn() -> bool,
    package: &'static str,
}

macro_rules! program {
    ($program:literal, $package:literal) => {
        Need { present: || find_program($program).is_some(), package: $package }
    };
}

const SERVER: Need =
    Need { present: || cairn_cluster::find_binaries().is_ok(), package: "postgresql" };
const VENV: Need =
    Need { present: || succeeds("python3", &["-c", "import ensurepip"]), package: "python3-venv" };

/// What compiling needs: rustc links with the C compiler, the cryptography is partly C, and Kafka's client is C and C++.
pub const BUILD: [Need; 3] =
    [program!("cc", "gcc libc6-dev"), program!("c++", "g++"), program!("make", "make")];
/// What running on a private cluster needs.
pub const DATABASE: [Need; 1] = [SERVER];
/// What a customer needs: a key pair and the way in.
pub const CUSTOMER: [Need; 1] = [program!("ssh-keygen", "openssh-client")];
/// What a node of namespaces needs: see `infra/testbed`.
pub const NODES: [Need; 7] = [
    program!("sshd", "openssh-server"),
    program!("ip", "iproute2"),
    program!("mkfs.ext4", "e2fsprogs"),
    program!("unshare", "util-linux"),
    program!("mount", "mount"),
    program!("useradd", "passwd"),
    program!("pgrep", "procps"),
];
/// The strangers who judge our books.
pub const BOOKS: [Need; 2] = [program!("bean-check", "beancount"), program!("hledger", "hledger")];
/// What makes and runs the TypeScript client.
pub const JAVASCRIPT: [Need; 2] = [program!("node", "nodejs"), program!("npm", "npm")];
/// What a page tells its reader to type.
pub const NEWCOMER: [Need; 2] = [program!("curl", "curl"), program!("jq", "jq")];
/// What judges the rules that watch a running Cairn.
pub const WATCHERS: [Need; 1] = [program!("promtool", "prometheus")];
/// What the stranger who judges our Stripe is installed with.
pub const PYTHON: [Need; 1] = [VENV];

/// Everything any command needs.
pub fn everything() -> Result<(), Failure> {
    require(&[&BUILD, &DATABASE, &CUSTOMER, &NODES, &BOOKS, &PYTHON, &WATCHERS, &JAVASCRIPT])?;
    tools::localstripe()?;
    tools::moto()?;
    tools::oidc_provider()?;
    tools::cargo_deny()?;
    tools::cargo_machete()?;
    say("everything is here");
    Ok(())
}

/// Installs what is missing, or says in one line what to install.
pub fn require(groups: &[&[Need]]) -> Result<(), Failure> {
    let missing = missing(groups);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let Some(mut shell) = privileged_shell().filter(|_| find_program("apt-get").is_some()) else {
        return Err(format!("please install: {list} (on Debian: apt-get install {list})"));
    };
    step(&format!("installing {list}"), shell.arg(script(&missing)))?;
    let still: Vec<_> = self::missing(groups);
    if still.is_empty() { Ok(()) } else { Err(format!("still missing: {}", still.join(" "))) }
}

/// Installs what is missing where that is possible; says so where it is not, and goes on.
pub fn offer(groups: &[&[Need]]) {
    if let Err(why) = require(groups) {
        say(&format!("going on without: {why}"));
    }
}

fn missing(groups: &[&[Need]]) -> Vec<&'static str> {
    let needs = groups.iter().flat_map(|group| group.iter());
    needs.filter(|need| !(need.present)()).map(|need| need.package).collect()
}

/// `sh -c` as root: ours, or through sudo when it asks for no password.
fn privileged_shell() -> Option<Command> {
    let mut shell = if is_root() {
        Command::new("sh")
    } else if find_program("sudo").is_some() && succeeds("sudo", &["-n", "true"]) {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    } else {
        return None;
    };
    shell.arg("-c").stdin(std::process::Stdio::null());
    Some(shell)
}

/// Whether we may do anything.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Installs without questions and without starting a service: we need the programs only. What the
/// packages would start at the next boot is switched off as well, since nobody asked for it.
/// Somebody else may be installing at the moment, and one list that cannot be had (a third
/// party's) is no reason not to try with those that can.
fn script(packages: &[&str]) -> String {
    let mut script = String::from(
        "set -e; exec 1>&2; export DEBIAN_FRONTEND=noninteractive; \
         if [ ! -e /usr/sbin/policy-rc.d ]; then \
         printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; \
         trap 'rm -f /usr/sbin/policy-rc.d' EXIT; fi; \
         try() { for pause in 5 15 end; do if \"$@\"; then return 0; fi; \
         if [ $pause != end ]; then sleep $pause; fi; done; return 1; }; \
         apt() { try apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \"$@\"; }; \
         apt update || echo 'not every package list could be had: trying with the rest'; \
         apt install -y --no-install-recommends ",
    );
    script.push_str(&packages.join(" "));
    // Newer systems start sshd through its socket.
    let started = [
        ("openssh-server", "ssh"),
        ("openssh-server", "ssh.socket"),
        ("postgresql", "postgresql"),
        ("prometheus", "prometheus"),
    ];
    for (package, unit) in started {
        if packages.contains(&package) {
            script.push_str(&format!("; systemctl disable {unit} 2>/dev/null || true"));
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::script;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn a_package_that_was_there_keeps_its_service() {
        assert!(script(&["openssh-server"]).contains("disable ssh 2>"));
        assert!(script(&["openssh-server"]).contains("disable ssh.socket"));
        assert!(!script(&["hledger"]).contains("disable"));
    }

    /// Runs the script with another `apt-get`; whether it succeeded, and how often that was called.
    fn run_with(directory: &Path, apt_get: &str) -> (bool, usize) {
        let calls = directory.join("calls");
        let _ = fs::remove_file(&calls);
        let programs = [
            ("apt-get", format!("#!/bin/sh\necho \"$@\" >> {}\n{apt_get}\n", calls.display())),
            ("sleep", "#!/bin/sh\n".to_owned()),
        ];
        for (name, text) in programs {
            fs::write(directory.join(name), text).unwrap();
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(directory.join(name), mode).unwrap();
        }
        // Nothing outside the directory is touched.
        let policy = directory.join("policy-rc.d").display().to_string();
        let script = script(&["hledger"]).replace("/usr/sbin/policy-rc.d", &policy);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("PATH", format!("{}:/usr/bin:/bin", directory.display()));
        let succeeded = shell.output().unwrap().status.success();
        assert!(!Path::new(&policy).exists(), "the ban on services is lifted again");
        (succeeded, fs::read_to_string(calls).unwrap().lines().count())
    }

    #[test]
    fn a_list_that_cannot_be_had_does_not_stop_the_installation() {
        let directory = tempfile::tempdir().unwrap();
        let run = |apt_get| run_with(directory.path(), apt_get);
        assert_eq!(run("exit 0"), (true, 2));
        assert_eq!(run("case \"$*\" in *update*) exit 100;; esac"), (true, 4));
        assert_eq!(run("case \"$*\" in *install*) exit 100;; esac"), (false, 4));
    }
}
