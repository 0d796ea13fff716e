//! Real obstructions: each one makes one step of provisioning fail on the node, for a reason that real nodes know.
use crate::error::TestbedError;
use crate::node::NamespaceNode;

/// A step that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Somebody else's accounts have the next 64 uids.
    Uid,
    /// The disk that holds the homes is full.
    Home,
    /// Accounts with the next 64 logins exist, under other uids.
    User,
    /// The cgroup hierarchy is read-only.
    Limits,
    /// The directory of keys is read-only.
    Access,
    /// The node is closed for maintenance (`/etc/nologin`).
    Prove,
}

impl Step {
    /// All of them, in order of provisioning.
    pub const ALL: [Self; 6] =
        [Self::Uid, Self::Home, Self::User, Self::Limits, Self::Access, Self::Prove];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Home => "home",
            Self::User => "user",
            Self::Limits => "limits",
            Self::Access => "access",
            Self::Prove => "prove",
        }
    }
}

/// Accounts that stand in the way: of a uid by number, of a login by name. Those in use are left alone.
const SQUAT: &str = "set -e
    cp /etc/passwd /run/cairn-squat
    for n in $(seq 20000 20511); do
        if grep -q -E \"^[^:]*:[^:]*:$n:|^t$n:\" /etc/passwd || [ -e /var/lib/cairn-node/uids/$n ]; then continue; fi
        if [ \"$1\" = uid ]; then echo \"squatter$n:x:$n:65534::/nonexistent:/usr/sbin/nologin\" >> /run/cairn-squat
        else echo \"t$n:x:$((n + 40000)):65534:squatter:/nonexistent:/usr/sbin/nologin\" >> /run/cairn-squat; fi
        made=$((${made:-0} + 1)); if [ $made -ge 64 ]; then break; fi
    done
    cat /run/cairn-squat > /etc/passwd; rm /run/cairn-squat";
const UNSQUAT: &str =
    "grep -v -E '^squatter[0-9]+:|:squatter:/nonexistent:' /etc/passwd > /run/cairn-squat
    cat /run/cairn-squat > /etc/passwd; rm /run/cairn-squat";

const FULL: &str = "set -e
    mkdir -p /var/lib/cairn-node/homes
    mount -t tmpfs -o size=64k cairn-full /var/lib/cairn-node/homes
    dd if=/dev/zero of=/var/lib/cairn-node/homes/.fill bs=4k 2>/dev/null || true";
const EMPTIED: &str = "umount -t tmpfs /var/lib/cairn-node/homes";

/// The hierarchy the kernel enforces process limits with, and the node's own directory in it.
const FROZEN: &str = "set -e
    for at in /sys/fs/cgroup/pids /sys/fs/cgroup; do
        if [ -d $at/$1 ]; then mount --bind $at/$1 $at/$1; mount -o remount,bind,ro $at/$1; exit 0; fi
    done
    echo 'no cgroup hierarchy' >&2; exit 1";
const THAWED: &str = "umount /sys/fs/cgroup/pids/$1 2>/dev/null || umount /sys/fs/cgroup/$1";

const CLOSED: &str = "set -e
    mkdir -p /etc/ssh/cairn/keys
    mount --bind /etc/ssh/cairn/keys /etc/ssh/cairn/keys
    mount -o remount,bind,ro /etc/ssh/cairn/keys";
const OPENED: &str = "umount /etc/ssh/cairn/keys";

impl NamespaceNode {
    /// Makes a step fail from here on.
    ///
    /// # Errors
    /// When the obstruction cannot be put up.
    pub fn break_step(&self, step: Step) -> Result<(), TestbedError> {
        let cgroup = self.cgroup_name();
        let argv: Vec<&str> = match step {
            Step::Uid => vec!["sh", "-c", SQUAT, "squat", "uid"],
            Step::Home => vec!["sh", "-c", FULL],
            Step::User => vec!["sh", "-c", SQUAT, "squat", "login"],
            // The helper makes its directories when it is asked for facts.
            Step::Limits => {
                self.run(&[self.helper_path(), "facts"])?;
                vec!["sh", "-c", FROZEN, "freeze", &cgroup]
            }
            Step::Access => vec!["sh", "-c", CLOSED],
            Step::Prove => vec!["sh", "-c", "echo 'closed for maintenance' > /etc/nologin"],
        };
        self.run(&argv).map(drop)
    }

    /// Takes the obstruction of a step away.
    ///
    /// # Errors
    /// When there was none.
    pub fn mend(&self, step: Step) -> Result<(), TestbedError> {
        let cgroup = self.cgroup_name();
        let argv: Vec<&str> = match step {
            Step::Uid | Step::User => vec!["sh", "-c", UNSQUAT],
            Step::Home => vec!["sh", "-c", EMPTIED],
            Step::Limits => vec!["sh", "-c", THAWED, "thaw", &cgroup],
            Step::Access => vec!["sh", "-c", OPENED],
            Step::Prove => vec!["rm", "/etc/nologin"],
        };
        self.run(&argv).map(drop)
    }
}
