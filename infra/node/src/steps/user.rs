//! Step 3: the account exists with that uid and home, and can be logged in to by key only.
use std::fs;

use cairn_node::TENANT_GROUP;

use super::Allocation;
use crate::fault::{Fault, Outcome, While};
use crate::system;

const SHELL: &str = "/bin/bash";

pub fn inspect(allocation: Allocation<'_>) -> Outcome<Option<String>> {
    let tenant = allocation.tenant;
    let Some(account) = system::account(&tenant.login)? else {
        return Ok(None);
    };
    let home = allocation.home().display().to_string();
    let member = system::ask(&["id", "-nG", &tenant.login])?.stdout;
    let member = member.split_whitespace().any(|group| group == TENANT_GROUP);
    // Teardown and home go by one number for owner and group.
    let identity = (account.uid, account.gid);
    if identity != (tenant.uid, tenant.uid) || account.home != home || !member {
        return Ok(None);
    }
    // `!` would lock the account, and sshd then refuses even a good certificate.
    if password(&tenant.login)?.as_deref() != Some("*") {
        return Ok(None);
    }
    Ok(Some(format!("{} has uid {} and home {home}, no password", tenant.login, tenant.uid)))
}

fn password(login: &str) -> Outcome<Option<String>> {
    let shadow = fs::read_to_string("/etc/shadow").doing("reading the shadow file")?;
    let line = shadow.lines().find_map(|line| line.strip_prefix(login)?.strip_prefix(':'));
    Ok(line.and_then(|rest| rest.split(':').next()).map(str::to_owned))
}

pub fn act(allocation: Allocation<'_>) -> Outcome<()> {
    let tenant = allocation.tenant;
    let (uid, home) = (tenant.uid.to_string(), allocation.home().display().to_string());
    match system::account(&tenant.login)? {
        Some(account) if account.uid != tenant.uid => {
            let message = format!("{} exists with uid {}", tenant.login, account.uid);
            return Err(Fault::permanent("login_taken", message));
        }
        Some(_) => {
            make_group(&tenant.login, &uid)?;
            let identity = ["usermod", "--password", "*", "--gid", &uid];
            let place = ["--home", &home, "--groups", TENANT_GROUP, &tenant.login];
            return change(&[&identity[..], &place].concat());
        }
        None => make_group(&tenant.login, &uid)?,
    }
    let shell = if fs::exists(SHELL).unwrap_or(false) { SHELL } else { "/bin/sh" };
    // No subordinate ids: files of a tenant have one owner, so that teardown can find them all.
    let none = ["--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0"];
    let account = ["--gid", &uid, "--groups", TENANT_GROUP, "--uid", &uid, "--password", "*"];
    let place = ["--no-create-home", "--home-dir", &home, "--shell", shell, &tenant.login];
    change(&[&["useradd"][..], &none[..], &account[..], &place[..]].concat())
}

/// The group of the same name and number, which `useradd` alone would number as it likes when the number is taken.
fn make_group(login: &str, gid: &str) -> Outcome<()> {
    if system::group_id(login)?.as_deref() == Some(gid) {
        return Ok(());
    }
    change(&["groupadd", "--gid", gid, login])
}

pub fn undo(allocation: Allocation<'_>) -> Outcome<()> {
    let tenant = allocation.tenant;
    match system::account(&tenant.login)? {
        Some(account) if account.uid == tenant.uid => change(&["userdel", &tenant.login])?,
        Some(_) => return Ok(()),
        None => {}
    }
    if system::group_id(&tenant.login)?.is_some() {
        change(&["groupdel", &tenant.login])?;
    }
    Ok(())
}

/// Changes the account files; their lock, or a process that is just ending, may hold it up for a moment.
fn change(argv: &[&str]) -> Outcome<()> {
    system::run(argv).map(drop).map_err(|fault| {
        let held_up = ["lock", "currently used"].iter().any(|word| fault.message.contains(word));
        if held_up { fault.transient_as("accounts_busy") } else { fault.recoded("account_failed") }
    })
}
