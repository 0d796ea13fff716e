//! Everything on this machine that is an allocation's, or looks like one's.
//!
//! Who owns what is told by the claim on the uid, by the allocation's id (image, cgroup, principal) and by the journal of what lives here. An
//! account, home, key or process that none of them explains is a stray: it is named and left alone.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cairn_node::{Held, Inventory, Observed, STRAYS_MAX, Step};

use crate::config::Config;
use crate::fault::Outcome;
use crate::journal::{self, check_allocation_id};
use crate::steps::{self, Allocation};
use crate::{cgroup, system, teardown};

/// What was found, by whom it belongs to.
#[derive(Default)]
struct Found {
    /// What bears an allocation's id.
    traces: BTreeMap<String, BTreeSet<Step>>,
    /// Whose a uid is.
    owners: BTreeMap<u32, String>,
    strays: Vec<String>,
}

impl Found {
    /// Something that names its allocation, or ought to.
    fn bears(&mut self, id: &str, step: Step, what: impl FnOnce() -> String) -> bool {
        let known = check_allocation_id(id).is_ok();
        if known {
            self.traces.entry(id.to_owned()).or_default().insert(step);
        } else {
            self.strays.push(what());
        }
        known
    }
}

/// Looks around. Changes nothing.
pub fn gather(config: &Config) -> Outcome<Inventory> {
    let mut found = traces(config)?;
    let mut allocations = BTreeMap::new();
    for id in journal::all(config)? {
        let held = journal::hold(config, &id)?;
        let record = &held.record;
        if let Some(tenant) = &record.tenant
            && (record.is_live() || found.traces.contains_key(&id))
        {
            found.owners.entry(tenant.uid).or_insert_with(|| id.clone());
            let allocation = Allocation { config, id: &id, tenant };
            let there = look(allocation, record.generation)?;
            allocations.insert(id.clone(), there);
        }
    }
    for (id, steps) in &found.traces {
        allocations.entry(id.clone()).or_insert_with(|| Held {
            allocation_id: id.clone(),
            generation: 0,
            tenant: None,
            observed: Observed::default(),
            partial: steps.iter().copied().collect(),
        });
    }
    let mut strays = strays(config, found)?;
    strays.truncate(STRAYS_MAX);
    Ok(Inventory { allocations: allocations.into_values().collect(), strays })
}

fn look(allocation: Allocation<'_>, generation: u64) -> Outcome<Held> {
    let observed = teardown::observe(allocation)?;
    let so = [
        (Step::Uid, &observed.uid),
        (Step::Home, &observed.home),
        (Step::User, &observed.user),
        (Step::Limits, &observed.limits),
        (Step::Access, &observed.access),
    ];
    let mut partial = Vec::new();
    for (step, _) in so.into_iter().filter(|(_, observed)| observed.is_none()) {
        if steps::remains::is_there(allocation, step)? {
            partial.push(step);
        }
    }
    let (allocation_id, tenant) = (allocation.id.to_owned(), Some(allocation.tenant.clone()));
    Ok(Held { allocation_id, generation, tenant, observed, partial })
}

/// What bears the id of an allocation: claims, images of homes, cgroups, principals.
fn traces(config: &Config) -> Outcome<Found> {
    let mut found = Found::default();
    for name in names(&config.uids()) {
        let path = config.uids().join(&name);
        let owner = system::read(&path)?.unwrap_or_default().trim().to_owned();
        if found.bears(&owner, Step::Uid, || format!("claim {} of nobody", path.display()))
            && let Ok(uid) = name.parse()
        {
            found.owners.insert(uid, owner);
        }
    }
    for name in names(&config.images()) {
        let path = config.images().join(&name);
        let id = [".img", ".new", ".growing"].iter().find_map(|end| name.strip_suffix(end));
        let id = id.unwrap_or("");
        found.bears(id, Step::Home, || format!("file {}", path.display()));
    }
    if let Some(limiter) = cgroup::find(&config.cgroup_root) {
        for name in limiter.groups() {
            found.bears(&name, Step::Limits, || format!("cgroup {}/{name}", config.cgroup_root));
        }
    }
    for name in names(&config.principals()) {
        let text = system::read(&config.principals().join(&name))?.unwrap_or_default();
        let id = text.trim().strip_prefix("alloc:").unwrap_or_default().to_owned();
        if check_allocation_id(&id).is_ok() {
            found.bears(&id, Step::Access, String::new);
            if let Some(uid) = uid_of(&name) {
                found.owners.entry(uid).or_insert(id);
            }
        }
    }
    Ok(found)
}

/// What bears only a uid or a login that nobody owns.
fn strays(config: &Config, found: Found) -> Outcome<Vec<String>> {
    let Found { owners, mut strays, .. } = found;
    let unowned = |login: &str| uid_of(login).is_some_and(|uid| !owners.contains_key(&uid));
    for account in system::accounts()? {
        let ours = account.uid >= config.uid_min && uid_of(&account.login).is_some();
        if ours && !owners.contains_key(&account.uid) {
            strays.push(format!("account {} with uid {}", account.login, account.uid));
        }
    }
    for directory in [config.homes_dir.clone(), config.keys(), config.principals()] {
        let kind = if directory == config.homes_dir { "home" } else { "file" };
        let loose = names(&directory).into_iter().filter(|name| unowned(name));
        strays.extend(loose.map(|name| format!("{kind} {}", directory.join(name).display())));
    }
    strays.sort();
    strays.dedup();
    Ok(strays)
}

/// The uid in a tenant's login.
fn uid_of(login: &str) -> Option<u32> {
    login.strip_prefix('t')?.parse().ok()
}

/// Names in a directory that is there, files that are being written aside.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}
