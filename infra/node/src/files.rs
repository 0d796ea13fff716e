//! Files by handle: what was looked at is what is changed, whatever others do to the path meanwhile. No symbolic link is followed.
use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::fault::{Fault, Outcome, While};

const STRICT: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);
/// How a directory is opened to be read.
pub const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK);
/// Looks at a directory before somebody who keeps filling it wins.
const PASSES_MAX: u32 = 100_000;

/// An entry of a directory, as it was seen there.
pub struct Entry {
    pub name: CString,
    pub stat: Stat,
}

/// Which entries are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    All,
    Directories,
}

/// Whether it is a directory.
pub fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// What is gone, or has become something else, is not there.
fn found<T>(answer: rustix::io::Result<T>, what: impl Display) -> Outcome<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(io::Error::from(error)).doing(what),
    }
}

/// Opens an absolute path, component by component; `None` when it is not there without a symbolic link.
pub fn open(path: &Path, how: OFlags) -> Outcome<Option<OwnedFd>> {
    let what = format_args!("opening {}", path.display());
    let mut names: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let last = names.pop();
    let pass = OFlags::PATH | OFlags::DIRECTORY;
    let root = openat(CWD, "/", pass | STRICT, Mode::empty());
    let mut handle = root.map_err(io::Error::from).doing(what)?;
    for name in names {
        match found(openat(&handle, name, pass | STRICT, Mode::empty()), what)? {
            Some(next) => handle = next,
            None => return Ok(None),
        }
    }
    let last = last.unwrap_or(".".as_ref());
    found(openat(&handle, last, how | STRICT, Mode::empty()), what)
}

/// Opens a directory in another one; `None` when it is gone, is no directory any more, or something is mounted there.
pub fn enter(parent: BorrowedFd<'_>, name: &CStr) -> Outcome<Option<(OwnedFd, Stat)>> {
    let what = format_args!("opening {}", name.to_string_lossy());
    let opened = openat(parent, name, LIST | STRICT, Mode::empty());
    let Some(handle) = found(opened, what)? else { return Ok(None) };
    let (stat, around) = (status(handle.as_fd())?, status(parent)?);
    Ok((stat.st_dev == around.st_dev).then_some((handle, stat)))
}

/// What an open file is.
pub fn status(handle: BorrowedFd<'_>) -> Outcome<Stat> {
    fstat(handle).map_err(io::Error::from).doing("looking at an open file")
}

/// The entries of an open directory; one that vanishes meanwhile is gone.
pub fn list(directory: BorrowedFd<'_>, wanted: Wanted) -> Outcome<Vec<Entry>> {
    let mut entries = Vec::new();
    let listing = Dir::read_from(directory).map_err(io::Error::from).doing("listing")?;
    for entry in listing {
        let entry = entry.map_err(io::Error::from).doing("listing")?;
        let name = entry.file_name();
        let unwanted = wanted == Wanted::Directories
            && !matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if unwanted || is_dot(name) {
            continue;
        }
        let seen = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        if let Some(stat) = found(seen, format_args!("looking at {}", name.to_string_lossy()))? {
            entries.push(Entry { name: name.to_owned(), stat });
        }
    }
    Ok(entries)
}

fn is_dot(name: &CStr) -> bool {
    name == c"." || name == c".."
}

/// Removes an entry of somebody's; a directory with all that is in it, save what is mounted there. What has become another's stays.
pub fn remove(parent: BorrowedFd<'_>, entry: &Entry) -> Outcome<()> {
    if !is_directory(&entry.stat) {
        return unlink(parent, &entry.name, AtFlags::empty());
    }
    match enter(parent, &entry.name)? {
        Some((handle, now)) if now.st_uid == entry.stat.st_uid => {
            clear(handle.as_fd())?;
            unlink(parent, &entry.name, AtFlags::REMOVEDIR)
        }
        _ => Ok(()),
    }
}

fn unlink(parent: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Outcome<()> {
    let what = format_args!("removing {}", name.to_string_lossy());
    found(unlinkat(parent, name, flags), what).map(drop)
}

/// Removes everything in an open directory, save what is mounted there.
///
/// Directories below its own are moved up into it first: however deep a tree is, it takes two handles and no recursion.
pub fn clear(directory: BorrowedFd<'_>) -> Outcome<()> {
    let device = status(directory)?.st_dev;
    let mut moved = 0_u64;
    for _ in 0..PASSES_MAX {
        let mut entries = list(directory, Wanted::All)?;
        entries.retain(|entry| !is_directory(&entry.stat) || entry.stat.st_dev == device);
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            if !is_directory(&entry.stat) {
                unlink(directory, &entry.name, AtFlags::empty())?;
            } else if let Some((child, _)) = enter(directory, &entry.name)? {
                flatten(directory, child.as_fd(), &mut moved)?;
                unlink(directory, &entry.name, AtFlags::REMOVEDIR)?;
            }
        }
    }
    Err(Fault::transient("files_busy", "a directory is filled as fast as it is emptied"))
}

/// Empties a directory: moves its directories up, removes the rest.
fn flatten(up: BorrowedFd<'_>, directory: BorrowedFd<'_>, moved: &mut u64) -> Outcome<()> {
    for entry in list(directory, Wanted::All)? {
        if !is_directory(&entry.stat) {
            unlink(directory, &entry.name, AtFlags::empty())?;
            continue;
        }
        loop {
            *moved += 1;
            let place = format!(".cairn-removing-{moved}");
            match renameat(directory, &entry.name, up, place.as_str()) {
                // Something of that name is there already.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                answer => {
                    found(answer, format_args!("moving {}", entry.name.to_string_lossy()))?;
                    break;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::{LIST, Wanted, clear, enter, list, open, remove};

    #[test]
    fn a_link_that_took_the_place_of_a_directory_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let (outside, inside) = (root.join("outside"), root.join("shared/inside"));
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(&inside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        fs::write(inside.join("file"), "lost").unwrap();
        let shared = open(&root.join("shared"), LIST).unwrap().unwrap();
        let entry = list(shared.as_fd(), Wanted::All).unwrap().pop().unwrap();
        // Between the look and the deed.
        fs::rename(&inside, root.join("away")).unwrap();
        symlink(&outside, &inside).unwrap();
        assert!(enter(shared.as_fd(), &entry.name).unwrap().is_none());
        remove(shared.as_fd(), &entry).unwrap();
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");
        assert!(open(&inside.join("file"), LIST).unwrap().is_none());
    }

    #[test]
    fn a_directory_of_another_that_took_the_place_of_one_is_not_emptied() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("inside")).unwrap();
        fs::write(root.join("inside/file"), "kept").unwrap();
        let shared = open(&root, LIST).unwrap().unwrap();
        let mut entry = list(shared.as_fd(), Wanted::All).unwrap().pop().unwrap();
        let owner = entry.stat.st_uid;
        entry.stat.st_uid = owner + 1;
        remove(shared.as_fd(), &entry).unwrap();
        assert_eq!(fs::read_to_string(root.join("inside/file")).unwrap(), "kept");
        entry.stat.st_uid = owner;
        remove(shared.as_fd(), &entry).unwrap();
        assert!(!root.join("inside").exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let top = open(&root, LIST).unwrap().unwrap();
        let mut at = top.try_clone().unwrap();
        for _ in 0..1_000 {
            rustix::fs::mkdirat(&at, "level", rustix::fs::Mode::RWXU).unwrap();
            let flags = LIST | super::STRICT;
            at = rustix::fs::openat(&at, "level", flags, rustix::fs::Mode::empty()).unwrap();
        }
        drop(at);
        fs::write(root.join(".cairn-removing-1"), "in the way").unwrap();
        clear(top.as_fd()).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }
}
