//! Files of a uid, wherever on this machine it could have put them.
//!
//! Every writable file system of this machine is walked. An entry can only have been made by a tenant in a directory that
//! others or a group may write to, or that is the tenant's own, so only such directories are looked into file by file.
//!
//! Other tenants live on while this looks and removes, as root, in directories that they may write to: everything is done by handle, so
//! that a path they redirect leads nowhere.
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::Stat;

use crate::fault::Outcome;
use crate::files::{self, Entry, LIST, Wanted};
use crate::mounts::{self, Mount};

/// A path is shown up to this length.
const PATH_BYTES_MAX: usize = 4_096;

/// File systems that hold no files of users, or not on this machine.
const NOT_SWEPT: [&str; 27] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "pstore",
    "configfs",
    "fusectl",
    "binfmt_misc",
    "autofs",
    "efivarfs",
    "rpc_pipefs",
    "nsfs",
    "squashfs",
    "erofs",
    "iso9660",
    "nfs",
    "nfs4",
    "cifs",
    "9p",
    "virtiofs",
    "ceph",
    "selinuxfs",
];

/// Everything that belongs to the uid: the outermost of what is nested.
pub fn owned(uid: u32) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    sweep(uid, |at| {
        found.push(at.path());
        Ok(())
    })?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// Removes everything that belongs to the uid. What others keep in a directory of it goes with the directory.
pub fn remove_owned(uid: u32) -> Outcome<()> {
    sweep(uid, |at| match at {
        Owned::Entry { parent, entry, .. } => files::remove(parent, entry),
        Owned::Root { handle, .. } => files::clear(handle),
    })
}

/// Something of the uid's.
enum Owned<'a> {
    /// A whole file system; its mount point is not of it.
    Root {
        handle: BorrowedFd<'a>,
        path: &'a Path,
    },
    Entry {
        parent: BorrowedFd<'a>,
        entry: &'a Entry,
        directory: &'a Path,
    },
}

impl Owned<'_> {
    fn path(&self) -> PathBuf {
        match self {
            Self::Root { path, .. } => (*path).to_owned(),
            Self::Entry { entry, directory, .. } => below(directory, &entry.name),
        }
    }
}

fn below(directory: &Path, name: &CStr) -> PathBuf {
    if directory.as_os_str().len() > PATH_BYTES_MAX {
        return directory.to_owned();
    }
    directory.join(OsStr::from_bytes(name.to_bytes()))
}

fn sweep(uid: u32, mut visit: impl FnMut(Owned<'_>) -> Outcome<()>) -> Outcome<()> {
    for path in writable(mounts::all()?) {
        let Some(handle) = files::open(&path, LIST)? else {
            continue;
        };
        let stat = files::status(handle.as_fd())?;
        if stat.st_uid == uid {
            visit(Owned::Root { handle: handle.as_fd(), path: &path })?;
        } else {
            walk((handle, stat, path), uid, &mut visit)?;
        }
    }
    Ok(())
}

/// Mount points where somebody can write.
fn writable(mounts: Vec<Mount>) -> Vec<PathBuf> {
    let swept = |mount: &Mount| {
        let read_only = mount.has("ro") || mount.has_super("ro");
        !read_only && !NOT_SWEPT.contains(&mount.fstype.as_str()) && !is_of_user(mount)
    };
    let mut points: Vec<PathBuf> =
        mounts.into_iter().filter(swept).map(|mount| mount.point).collect();
    points.sort_unstable();
    points.dedup();
    points
}

/// A file system that a user's own program plays: it shows what it likes, and may never answer.
fn is_of_user(mount: &Mount) -> bool {
    mount.fstype.starts_with("fuse") && !mount.has_super("user_id=0")
}

/// Whether a user who is not root could have made an entry here.
const fn is_open(directory: &Stat, uid: u32) -> bool {
    directory.st_mode & 0o022 != 0 || directory.st_uid == uid || directory.st_gid == uid
}

/// A directory that is still to be looked into.
struct Pending {
    parent: Rc<OwnedFd>,
    name: CString,
    path: PathBuf,
}

fn walk(
    (root, stat, path): (OwnedFd, Stat, PathBuf),
    uid: u32,
    visit: &mut impl FnMut(Owned<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let mut pending: Vec<Pending> = Vec::new();
    let mut next = Some((root, stat, path));
    loop {
        if let Some((handle, stat, directory)) = next.take() {
            let handle = Rc::new(handle);
            let wanted = if is_open(&stat, uid) { Wanted::All } else { Wanted::Directories };
            for entry in files::list(handle.as_fd(), wanted)? {
                if entry.stat.st_uid == uid {
                    let (parent, directory) = (handle.as_fd(), directory.as_path());
                    visit(Owned::Entry { parent, entry: &entry, directory })?;
                } else if files::is_directory(&entry.stat) {
                    let path = below(&directory, &entry.name);
                    pending.push(Pending { parent: Rc::clone(&handle), name: entry.name, path });
                }
            }
        }
        let Some(Pending { parent, name, path }) = pending.pop() else {
            return Ok(());
        };
        // What is mounted there is looked into by itself.
        next = files::enter(parent.as_fd(), &name)?.map(|(handle, stat)| (handle, stat, path));
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::writable;
    use crate::mounts;

    #[test]
    fn read_only_pseudo_and_users_own_file_systems_are_not_swept() {
        let found = mounts::parse(
            "\
1 0 8:1 / / ro,relatime - ext4 /dev/sda1 rw
2 1 0:5 / /tmp rw - tmpfs tmpfs rw
3 1 0:6 / /proc rw - proc proc rw
4 1 0:7 / /srv rw - ext4 /dev/sdb rw
5 1 0:8 / /mnt/a\\040b rw - ext4 /dev/sdc rw
6 1 0:9 / /home/t20000/x rw - fuse.sshfs x rw,user_id=20000
7 1 0:10 / /mnt/m rw - fuse.mergerfs m rw,user_id=0",
        );
        let expected = ["/mnt/a b", "/mnt/m", "/srv", "/tmp"];
        assert_eq!(writable(found), expected.map(PathBuf::from));
    }
}
