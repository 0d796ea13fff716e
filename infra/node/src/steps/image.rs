//! The image that holds a home: built beside its place and moved there whole, and grown the same way.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Allocation;
use crate::fault::{Fault, Outcome, While};
use crate::system;

/// Whether there is one, of whatever size, or one that was being grown.
pub fn exists(allocation: Allocation<'_>) -> bool {
    allocation.image().exists() || growing(allocation).exists()
}

/// Whether it is as large as was asked for.
pub fn is_whole(allocation: Allocation<'_>) -> bool {
    let length = fs::metadata(allocation.image()).map(|image| image.len());
    length.is_ok_and(|length| length == allocation.tenant.resources.disk_bytes)
}

/// Builds the image beside its place and moves it there when it is a whole file system.
pub fn make(allocation: Allocation<'_>) -> Outcome<()> {
    let image = allocation.image();
    let building = image.with_extension("new");
    system::make_directory(&allocation.config.images(), 0o700)?;
    system::remove_file(&building)?;
    let made = lengthen(allocation, &building).and_then(|()| {
        let owner = format!("root_owner={0}:{0}", allocation.tenant.uid);
        let options = format!("{owner},nodiscard,lazy_itable_init=1");
        let path = building.display().to_string();
        system::run(&["mkfs.ext4", "-q", "-F", "-m", "0", "-E", &options, &path]).map(drop)
    });
    if let Err(fault) = made {
        system::remove_file(&building)?;
        return Err(fault.recoded("home_image_failed"));
    }
    fs::set_permissions(&building, fs::Permissions::from_mode(0o600)).doing("closing the image")?;
    fs::rename(&building, &image).doing(format_args!("moving {}", image.display()))
}

/// Grows the image, which nothing may have mounted, and the file system in it. Under another name meanwhile: one that a crash left half
/// grown is never taken for whole, and is grown on. When there is no room, it is put back as it was.
pub fn grow(allocation: Allocation<'_>) -> Outcome<()> {
    let (image, growing) = (allocation.image(), growing(allocation));
    let wanted = allocation.tenant.resources.disk_bytes;
    if !growing.exists() {
        let has = length(&image)?;
        if has > wanted {
            let message = format!("the home has {has} bytes: it does not shrink to {wanted}");
            return Err(Fault::permanent("home_cannot_shrink", message));
        }
        fs::rename(&image, &growing).doing(format_args!("moving {}", image.display()))?;
    }
    let path = growing.display().to_string();
    check(&path)?;
    let was = file_system_bytes(&path)?;
    if was > wanted {
        // What was half grown was wanted larger: it is that now.
        return put_back(&growing, &image, was);
    }
    let grown = lengthen(allocation, &growing)
        .and_then(|()| system::run(&["resize2fs", "-f", &path]).map(drop));
    match grown {
        Ok(()) => fs::rename(&growing, &image).doing(format_args!("moving {}", image.display())),
        Err(fault) => {
            check(&path)?;
            put_back(&growing, &image, file_system_bytes(&path)?)?;
            Err(fault.recoded("home_not_grown"))
        }
    }
}

/// With all that building or growing it left.
pub fn remove(allocation: Allocation<'_>) -> Outcome<()> {
    system::remove_file(&allocation.image().with_extension("new"))?;
    system::remove_file(&growing(allocation))?;
    system::remove_file(&allocation.image())
}

fn growing(allocation: Allocation<'_>) -> PathBuf {
    allocation.image().with_extension("growing")
}

fn length(path: &Path) -> Outcome<u64> {
    fs::metadata(path).map(|file| file.len()).doing(format_args!("measuring {}", path.display()))
}

fn lengthen(allocation: Allocation<'_>, path: &Path) -> Outcome<()> {
    let (how, option) =
        if allocation.config.preallocate { ("fallocate", "-l") } else { ("truncate", "-s") };
    let bytes = allocation.tenant.resources.disk_bytes.to_string();
    system::run(&[how, option, &bytes, &path.display().to_string()]).map(drop)
}

/// As long as its file system is, so that nothing takes it for more.
fn put_back(growing: &Path, image: &Path, bytes: u64) -> Outcome<()> {
    system::run(&["truncate", "-s", &bytes.to_string(), &growing.display().to_string()])?;
    fs::rename(growing, image).doing(format_args!("moving {}", image.display()))
}

/// Mends what an unclean end left: 0 and 1 say that it is sound now.
fn check(path: &str) -> Outcome<()> {
    let said = system::ask(&["e2fsck", "-f", "-p", path])?;
    if said.code == 0 || said.code == 1 {
        return Ok(());
    }
    let message = format!("e2fsck ended with {}: {}{}", said.code, said.stdout, said.stderr);
    Err(Fault::permanent("home_unsound", message))
}

fn file_system_bytes(path: &str) -> Outcome<u64> {
    let said = system::run(&["dumpe2fs", "-h", path])?;
    let field = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    let blocks = field("Block count:").zip(field("Block size:"));
    let unread = || Fault::permanent("home_unsound", format!("dumpe2fs says no size of {path}"));
    blocks.map(|(count, size)| count * size).ok_or_else(unread)
}
