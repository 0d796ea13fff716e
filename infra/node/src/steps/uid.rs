//! Step 1: the uid is free on this node, has been for a while, and is taken for this allocation.
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Allocation;
use crate::config::Config;
use crate::fault::{Fault, Outcome, While};
use crate::{journal, processes, system};

/// A uid is not given to another allocation for so long after it was given back.
const REST_DAYS: u64 = 30;

pub fn inspect(allocation: Allocation<'_>) -> Outcome<Option<String>> {
    let uid = allocation.tenant.uid;
    match journal::owner_of(allocation.config, uid)? {
        Some(owner) if owner == allocation.id => Ok(Some(format!("uid {uid} is taken for it"))),
        _ => Ok(None),
    }
}

pub fn act(allocation: Allocation<'_>) -> Outcome<()> {
    let uid = allocation.tenant.uid;
    if let Some(account) = system::account(&uid.to_string())? {
        let message = format!("uid {uid} belongs to the account {}", account.login);
        return Err(Fault::permanent("uid_taken", message));
    }
    let running = processes::of_uid(uid, processes::Zombies::Ignore)?;
    if !running.is_empty() {
        let message = format!("uid {uid} already runs processes: {running:?}");
        return Err(Fault::permanent("uid_taken", message));
    }
    if let Some(last) = resting_for(allocation)? {
        let message = format!("uid {uid} was {last}'s less than {REST_DAYS} days ago");
        return Err(Fault::permanent("uid_resting", message));
    }
    claim(allocation)
}

fn claim(allocation: Allocation<'_>) -> Outcome<()> {
    let directory = allocation.config.uids();
    system::make_directory(&directory, 0o700)?;
    let path = directory.join(allocation.tenant.uid.to_string());
    let taken = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match taken {
        Ok(mut file) => file
            .write_all(allocation.id.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| system::sync_directory(&directory))
            .doing(format_args!("writing {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => take_again(allocation),
        Err(error) => Err(error).doing(format_args!("writing {}", path.display())),
    }
}

/// The file is there but does not name us: another allocation has the uid, or a crash left the file empty.
fn take_again(allocation: Allocation<'_>) -> Outcome<()> {
    let uid = allocation.tenant.uid;
    match journal::owner_of(allocation.config, uid)? {
        Some(owner) if !owner.is_empty() && owner != allocation.id => {
            Err(Fault::permanent("uid_taken", format!("uid {uid} is taken for {owner}")))
        }
        _ => {
            let path = allocation.config.uids().join(uid.to_string());
            system::write_atomically(&path, allocation.id.as_bytes(), 0o600)
        }
    }
}

/// Takes the claim anew for an allocation that has lost it, whatever it has here under the uid; answers whether the uid was free.
pub fn reclaim(allocation: Allocation<'_>) -> Outcome<bool> {
    match claim(allocation) {
        Ok(()) => Ok(true),
        Err(fault) if fault.code == "uid_taken" => Ok(false),
        Err(fault) => Err(fault),
    }
}

pub fn undo(allocation: Allocation<'_>) -> Outcome<()> {
    let (config, uid) = (allocation.config, allocation.tenant.uid.to_string());
    match journal::owner_of(config, allocation.tenant.uid)? {
        Some(owner) if owner == allocation.id || owner.is_empty() => {
            system::make_directory(&config.released_uids(), 0o700)?;
            let rests = config.released_uids().join(&uid);
            system::write_atomically(&rests, allocation.id.as_bytes(), 0o600)?;
            system::remove_file(&config.uids().join(&uid))?;
            system::sync_directory(&config.uids()).doing("giving the uid back")
        }
        _ => Ok(()),
    }
}

/// Another allocation that has given the uid back too short a time ago: what it left elsewhere, in a backup or on another machine, still
/// bears the number.
fn resting_for(allocation: Allocation<'_>) -> Outcome<Option<String>> {
    let path = allocation.config.released_uids().join(allocation.tenant.uid.to_string());
    let Some(last) = system::read(&path)? else { return Ok(None) };
    let rests = is_recent(&path) && last != allocation.id;
    Ok(rests.then_some(last))
}

#[expect(clippy::disallowed_methods, reason = "the file's time is of the same clock")]
fn is_recent(path: &Path) -> bool {
    let released = fs::metadata(path).and_then(|file| file.modified());
    let age = released.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age < Duration::from_hours(24 * REST_DAYS))
}

/// The highest uid that is taken here or was given back a short time ago; 0 when there is none.
pub fn highest_used(config: &Config) -> Outcome<u32> {
    let mut highest = 0;
    for (directory, rests) in [(config.uids(), false), (config.released_uids(), true)] {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let entry = entry.doing(format_args!("listing {}", directory.display()))?;
            let uid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if !rests || is_recent(&entry.path()) {
                highest = highest.max(uid.unwrap_or_default());
            }
        }
    }
    Ok(highest)
}
