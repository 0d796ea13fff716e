//! Files of a uid, wherever on this machine it could have put them.
//!
//! Every writable file system of this machine is walked. An entry can only have been made by a tenant in a directory that
//! others or a group may write to, or that is the tenant's own, so only such directories are looked into file by file.
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::fault::{Outcome, While};

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

/// Everything that belongs to the uid.
pub fn owned(uid: u32) -> Outcome<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").doing("reading mounts")?;
    let mut found = Vec::new();
    for root in writable_mounts(&mounts) {
        let root = PathBuf::from(root);
        let Ok(metadata) = fs::symlink_metadata(&root) else {
            continue;
        };
        if metadata.uid() == uid {
            found.push(root.clone());
        }
        if metadata.is_dir() {
            walk(&root, &metadata, uid, &mut found);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Mount points where somebody can write, in a form that `/proc` escapes nothing of.
fn writable_mounts(mountinfo: &str) -> Vec<&str> {
    let mut roots: Vec<&str> = mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(4);
            let (point, options) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let (fstype, super_options) = (after.next()?, after.nth(1)?);
            let has = |options: &str, wanted| options.split(',').any(|option| option == wanted);
            let writable = !has(options, "ro") && !has(super_options, "ro");
            (writable && !NOT_SWEPT.contains(&fstype)).then_some(point)
        })
        .collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// Whether a user who is not root could have made an entry here.
fn is_open(directory: &Metadata, uid: u32) -> bool {
    directory.permissions().mode() & 0o022 != 0 || directory.uid() == uid || directory.gid() == uid
}

fn walk(directory: &Path, metadata: &Metadata, uid: u32, found: &mut Vec<PathBuf>) {
    let mut pending = vec![(directory.to_owned(), is_open(metadata, uid))];
    while let Some((directory, open)) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_dir && !open {
                continue;
            }
            // Of the entry itself, not of what a link points to; an entry that vanishes meanwhile is gone.
            let Ok(entry_metadata) = entry.metadata() else {
                continue;
            };
            if entry_metadata.uid() == uid {
                found.push(entry.path());
            }
            if is_dir && entry_metadata.dev() == metadata.dev() {
                pending.push((entry.path(), is_open(&entry_metadata, uid)));
            }
        }
    }
}

/// Removes everything that belongs to the uid. What others keep in a directory of it goes with the directory.
pub fn remove_owned(uid: u32) -> Outcome<()> {
    for path in owned(uid)? {
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).doing(format_args!("removing {}", path.display()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::writable_mounts;

    #[test]
    fn read_only_and_pseudo_file_systems_are_not_swept() {
        let mounts = "\
1 0 8:1 / / ro,relatime - ext4 /dev/sda1 rw
2 1 0:5 / /tmp rw - tmpfs tmpfs rw
3 1 0:6 / /proc rw - proc proc rw
4 1 0:7 / /srv rw - ext4 /dev/sdb rw";
        assert_eq!(writable_mounts(mounts), ["/srv", "/tmp"]);
    }
}
