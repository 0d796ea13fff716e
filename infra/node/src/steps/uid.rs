//! Step 1: the uid is free on this node, and taken for this allocation.
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::Allocation;
use crate::fault::{Fault, Outcome, While};
use crate::{journal, processes, system};

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
    let directory = allocation.config.uids();
    system::make_directory(&directory, 0o700)?;
    let path = directory.join(uid.to_string());
    let taken = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match taken {
        Ok(mut file) => file
            .write_all(allocation.id.as_bytes())
            .and_then(|()| file.sync_all())
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

pub fn undo(allocation: Allocation<'_>) -> Outcome<()> {
    match journal::owner_of(allocation.config, allocation.tenant.uid)? {
        Some(owner) if owner == allocation.id || owner.is_empty() => {
            system::remove_file(&allocation.config.uids().join(allocation.tenant.uid.to_string()))
        }
        _ => Ok(()),
    }
}
