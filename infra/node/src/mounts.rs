//! What is mounted here, as `/proc/self/mountinfo` says, and taking a tenant's mounts away.
use std::ffi::OsString;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::mount::{UnmountFlags, unmount};

use crate::fault::{Outcome, While};
use crate::files;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub point: PathBuf,
    options: String,
    pub fstype: String,
    pub source: String,
    super_options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(4);
        let (point, options) = (unescape(before.next()?), before.next()?.to_owned());
        let mut after = after.split(' ').map(str::to_owned);
        let (fstype, source) = (after.next()?, after.next()?);
        Some(Self { point, options, fstype, source, super_options: after.next()? })
    }

    /// Whether the mount itself has an option.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|known| known == option)
    }

    /// Whether its file system has an option.
    pub fn has_super(&self, option: &str) -> bool {
        self.super_options.split(',').any(|known| known == option)
    }
}

/// The kernel writes blanks, line ends and backslashes as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

pub fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(Mount::parse).collect()
}

/// Every mount, in order: a later one may cover an earlier one.
pub fn all() -> Outcome<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mountinfo").doing("reading mounts")?;
    Ok(parse(&text))
}

/// The topmost mount at exactly this path.
pub fn at(path: &Path) -> Outcome<Option<Mount>> {
    Ok(all()?.into_iter().rev().find(|mount| mount.point == path))
}

/// What a tenant has mounted: everything below its home, and file systems of its own (FUSE) anywhere. The last one first.
pub fn of_tenant(home: &Path, uid: u32) -> Outcome<Vec<PathBuf>> {
    Ok(select(all()?, home, uid))
}

fn select(mounts: Vec<Mount>, home: &Path, uid: u32) -> Vec<PathBuf> {
    let owner = format!("user_id={uid}");
    let below = |mount: &Mount| mount.point != home && mount.point.starts_with(home);
    let theirs = mounts.into_iter().filter(|mount| below(mount) || mount.has_super(&owner));
    let mut points: Vec<PathBuf> = theirs.map(|mount| mount.point).collect();
    points.reverse();
    points
}

/// Takes away what a tenant has mounted. A mount that is in use goes when its last user does.
pub fn detach_of_tenant(home: &Path, uid: u32) -> Outcome<()> {
    for point in of_tenant(home, uid)? {
        // By handle: a path below a home is the tenant's to redirect.
        let Some(handle) = files::open(&point, OFlags::PATH)? else { continue };
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        unmount(path.as_str(), UnmountFlags::DETACH)
            .map_err(std::io::Error::from)
            .doing(format_args!("unmounting {}", point.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{parse, select};

    const MOUNTS: &str = "\
24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
90 24 7:0 / /home/t20000 rw,nosuid,nodev,relatime - ext4 /dev/loop0 rw
91 90 0:9 / /home/t20000/a\\040b\\134040 rw shared:7 - fuse.sshfs x rw,user_id=20000,group_id=20000
92 91 0:9 / /home/t20000/a\\040b\\134040/c rw - tmpfs tmpfs rw
93 24 0:7 / /tmp/x rw - fuse y rw,user_id=20000
94 24 0:8 / /tmp/y rw - fuse y rw,user_id=200001
95 24 7:1 / /home/t200001 rw - ext4 /dev/loop1 rw";

    #[test]
    fn what_a_tenant_has_mounted_is_found_the_inner_before_the_outer() {
        let expected = ["/tmp/x", "/home/t20000/a b\\040/c", "/home/t20000/a b\\040"];
        let found = select(parse(MOUNTS), Path::new("/home/t20000"), 20_000);
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn a_mount_is_read_with_its_options() {
        let mounts = parse(MOUNTS);
        let home = &mounts[1];
        assert!(home.has("nosuid") && home.has_super("rw") && !home.has("ro"));
        assert_eq!((home.fstype.as_str(), home.source.as_str()), ("ext4", "/dev/loop0"));
    }
}
