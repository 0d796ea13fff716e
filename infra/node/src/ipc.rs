//! System V IPC objects: shared memory, semaphores and queues outlive the processes that made them.
use std::fs;

use crate::fault::Outcome;
use crate::system;

const KINDS: [(&str, &str); 3] = [("shm", "-m"), ("sem", "-s"), ("msg", "-q")];

/// Objects owned or made by a uid: kind and id.
pub fn of_uid(uid: u32) -> Vec<String> {
    find(uid).into_iter().map(|(kind, _, id)| format!("{kind} {id}")).collect()
}

fn find(uid: u32) -> Vec<(&'static str, &'static str, String)> {
    let mut found = Vec::new();
    for (kind, option) in KINDS {
        let table = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        found.extend(ids(&table, uid).into_iter().map(|id| (kind, option, id)));
    }
    found
}

/// The columns are named in the first line and differ from kind to kind.
fn ids(table: &str, uid: u32) -> Vec<String> {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let column = |name: &str| header.iter().position(|title| *title == name);
    let (Some(owner), Some(maker)) = (column("uid"), column("cuid")) else {
        return vec![];
    };
    let uid = uid.to_string();
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let ours = [owner, maker].iter().any(|&at| fields.get(at) == Some(&uid.as_str()));
            ours.then(|| fields.get(1).map(|id| (*id).to_owned())).flatten()
        })
        .collect()
}

/// Removes them.
pub fn remove(uid: u32) -> Outcome<()> {
    for (_, option, id) in find(uid) {
        system::run(&["ipcrm", option, &id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn objects_are_found_by_owner_or_maker() {
        let table = "key shmid perms size cpid lpid nattch uid gid cuid cgid\n\
                     0 7 600 4096 1 1 0 20001 20001 20001 20001\n\
                     0 8 600 4096 1 1 0 0 0 20001 20001\n\
                     0 9 600 4096 1 1 0 0 0 0 0\n";
        assert_eq!(ids(table, 20_001), ["7", "8"]);
    }
}
