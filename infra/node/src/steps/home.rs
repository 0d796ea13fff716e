//! Step 2: the home exists, is limited in size, and belongs to the uid.
//!
//! A home is an ext4 image of a size that only grows, while nothing is in it, mounted through a loop device with `nosuid,nodev`. Where loop devices are
//! missing and the owner allows it, it is a plain directory, and the observed state says that nothing limits it.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use super::Allocation;
use super::image;
use crate::fault::{Fault, Outcome, While};
use crate::mounts::{self, Mount};
use crate::{processes, system};

/// Whether homes can be limited here.
pub fn is_limitable() -> bool {
    Path::new("/dev/loop-control").exists()
        && ["mkfs.ext4", "mount", "umount"].iter().all(|program| is_program(program))
}

fn is_program(name: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|d| Path::new(d).join(name).exists())
}

pub fn inspect(allocation: Allocation<'_>) -> Outcome<Option<String>> {
    let home = allocation.home();
    let Ok(metadata) = fs::symlink_metadata(&home) else {
        return Ok(None);
    };
    let uid = allocation.tenant.uid;
    let ours = metadata.is_dir() && metadata.uid() == uid && metadata.gid() == uid;
    if !ours || metadata.permissions().mode() & 0o7777 != 0o700 {
        return Ok(None);
    }
    let path = home.display();
    match mounts::at(&home)? {
        Some(mount) if is_safe(&mount) && image::is_whole(allocation) => {
            let bytes = allocation.tenant.resources.disk_bytes;
            Ok(Some(format!("{path} is ext4 of {bytes} bytes, nosuid,nodev, mode 0700")))
        }
        None if allows_plain(allocation) => {
            Ok(Some(format!("{path} is a directory, mode 0700, not limited in size")))
        }
        _ => Ok(None),
    }
}

pub fn act(allocation: Allocation<'_>) -> Outcome<()> {
    let home = allocation.home();
    make_mount_point(allocation)?;
    if is_limitable() {
        if !image::is_whole(allocation) {
            if image::exists(allocation) {
                if mounts::at(&home)?.is_some_and(|mount| is_loop(&mount)) {
                    unmount(&home)?;
                }
                image::grow(allocation)?;
            } else {
                image::make(allocation)?;
            }
        }
        if mounts::at(&home)?.is_none() {
            let image = allocation.image().display().to_string();
            let at = home.display().to_string();
            system::run(&["mount", "-t", "ext4", "-o", "loop,nosuid,nodev", &image, &at])
                .map_err(|fault| fault.recoded("home_mount_failed"))?;
        }
        // What a tenant keeps under this name is the tenant's own.
        let _kept = fs::remove_dir(home.join("lost+found"));
    } else if !allows_plain(allocation) {
        let message = "no loop devices or no mkfs.ext4; the owner may allow unlimited homes";
        return Err(Fault::permanent("home_not_limitable", message));
    }
    let uid = allocation.tenant.uid;
    lchown(&home, Some(uid), Some(uid)).doing("giving the home to its tenant")?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).doing("closing the home")
}

pub fn undo(allocation: Allocation<'_>) -> Outcome<()> {
    let home = allocation.home();
    mounts::detach_of_tenant(&home, allocation.tenant.uid)?;
    if mounts::at(&home)?.is_some_and(|mount| is_loop(&mount)) {
        unmount(&home)?;
    }
    if image::exists(allocation) {
        // The image says that the home was ours.
        remove_directory(&home)?;
        return image::remove(allocation);
    }
    image::remove(allocation)?;
    if is_ours(allocation) { remove_directory(&home) } else { Ok(()) }
}

/// Whether there is a home directory that can only be this allocation's, mounted or not.
pub fn is_ours(allocation: Allocation<'_>) -> bool {
    let home = allocation.home();
    fs::symlink_metadata(&home).is_ok_and(|found| {
        let owner = found.uid();
        found.is_dir() && (owner == allocation.tenant.uid || (owner == 0 && is_empty(&home)))
    })
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

const fn allows_plain(allocation: Allocation<'_>) -> bool {
    allocation.config.allow_unlimited_home
}

fn make_mount_point(allocation: Allocation<'_>) -> Outcome<()> {
    let home = allocation.home();
    match fs::symlink_metadata(&home) {
        Err(_) => system::make_directory(&home, 0o700),
        Ok(found) if found.is_dir() => {
            if is_ours(allocation) || mounts::at(&home)?.is_some_and(|mount| is_loop(&mount)) {
                return Ok(());
            }
            let message = format!("{} exists and is not this allocation's", home.display());
            Err(Fault::permanent("home_obstructed", message))
        }
        Ok(_) => {
            let message = format!("{} is in the way", home.display());
            Err(Fault::permanent("home_obstructed", message))
        }
    }
}

fn is_loop(mount: &Mount) -> bool {
    mount.source.starts_with("/dev/loop")
}

fn is_safe(mount: &Mount) -> bool {
    is_loop(mount) && mount.has("nosuid") && mount.has("nodev")
}

fn unmount(home: &Path) -> Outcome<()> {
    let mut last = String::new();
    let gone = processes::until(|| {
        if mounts::at(home)?.is_none() {
            return Ok(true);
        }
        last = system::ask(&["umount".as_ref(), home.as_os_str()])?.stderr;
        Ok(mounts::at(home)?.is_none())
    })?;
    if gone { Ok(()) } else { Err(Fault::transient("home_busy", last)) }
}

fn remove_directory(home: &Path) -> Outcome<()> {
    if fs::symlink_metadata(home).is_err() {
        return Ok(());
    }
    fs::remove_dir_all(home).doing(format_args!("removing {}", home.display()))
}

#[cfg(test)]
mod tests {
    use super::is_safe;
    use crate::mounts;

    #[test]
    fn a_home_must_be_mounted_without_setuid_and_devices() {
        let found = mounts::parse(
            "\
24 1 8:1 / / rw,nosuid,nodev - ext4 /dev/sda1 rw
90 24 7:0 / /home/t20000 rw,nosuid,nodev,relatime - ext4 /dev/loop0 rw
91 24 7:1 / /home/t20001 rw,relatime - ext4 /dev/loop1 rw",
        );
        assert_eq!(found.iter().map(is_safe).collect::<Vec<_>>(), [false, true, false]);
    }
}
