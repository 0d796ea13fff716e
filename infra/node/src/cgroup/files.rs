//! Reading, writing and removing the files and directories that are a cgroup.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fault::{Fault, Outcome, While};
use crate::processes;

pub fn set(directory: &Path, file: &str, value: &str) -> Outcome<()> {
    let path = directory.join(file);
    fs::write(&path, value).doing(format_args!("writing {value} to {}", path.display()))
}

pub fn get(directory: &Path, file: &str) -> Outcome<Option<String>> {
    match fs::read_to_string(directory.join(file)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A group that vanishes while it is read.
        Err(error) if error.raw_os_error() == Some(19) => Ok(None),
        Err(error) => Err(error).doing(format_args!("reading {file} of {}", directory.display())),
    }
}

pub fn make(directory: &Path) -> Outcome<()> {
    fs::create_dir_all(directory).doing(format_args!("making {}", directory.display()))
}

pub fn collect_members(directory: &Path, members: &mut Vec<u32>) -> Outcome<()> {
    if let Some(text) = get(directory, "cgroup.procs")? {
        members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    for child in subdirectories(directory) {
        collect_members(&child, members)?;
    }
    Ok(())
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// Names of the groups directly below one.
pub fn names_of(directory: &Path) -> Vec<String> {
    let below = subdirectories(directory).into_iter();
    below.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

pub fn remove_tree(directory: &Path) -> Outcome<()> {
    for child in subdirectories(directory) {
        remove_tree(&child)?;
    }
    let gone = processes::until(|| match fs::remove_dir(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(error).doing(format_args!("removing {}", directory.display())),
    })?;
    if gone {
        Ok(())
    } else {
        Err(Fault::transient("cgroup_busy", format!("{} is still in use", directory.display())))
    }
}

/// Mount point and super options of every mount of a file system type.
pub fn mounts_of<'a>(
    mountinfo: &'a str,
    fstype: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let mount_point = before.split(' ').nth(4)?;
        (after.next()? == fstype).then_some(())?;
        Some((mount_point, after.nth(1)?))
    })
}
