//! What was done for each allocation: one record per allocation, written whole and synced.
//!
//! Promises: the same key answers the same; an older generation is refused; after a teardown only a
//! newer generation may build again. A failure is not an answer, so its key may try again.
//! One process at a time works on an allocation.
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use cairn_node::{Answer, Operation, Request, TenantArguments};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::fault::{Fault, Outcome, While};
use crate::system;

/// What is remembered of one allocation, also after it is gone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    pub allocation_id: String,
    /// Highest generation seen.
    pub generation: u64,
    /// Generation that was torn down.
    pub torn_down: Option<u64>,
    /// Nobody may log in until the login is brought about again.
    #[serde(default)]
    pub suspended: bool,
    /// What was last asked for.
    pub tenant: Option<TenantArguments>,
    /// Answers by key.
    answers: BTreeMap<String, Given>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Given {
    request: String,
    answer: Answer,
}

impl Record {
    /// Whether it is being built or lived in.
    pub const fn is_live(&self) -> bool {
        self.tenant.is_some() && self.torn_down.is_none()
    }

    /// The first answer to this key, or leave to act.
    pub fn admit(&mut self, request: &Request) -> Outcome<Option<Answer>> {
        if let Some(given) = self.answers.get(&request.key) {
            if given.request != subject(request) {
                return Err(Fault::permanent("key_reused", "the key was used for something else"));
            }
            return Ok(Some(replayed(given.answer.clone())));
        }
        if request.generation < self.generation {
            let message =
                format!("generation {} is behind {}", request.generation, self.generation);
            return Err(Fault::permanent("stale_generation", message));
        }
        let builds = request.op == Operation::Ensure;
        if builds && self.torn_down.is_some_and(|gone| request.generation <= gone) {
            return Err(Fault::permanent("allocation_gone", "this generation was torn down"));
        }
        let wanted = request.args.tenant.as_ref();
        if let (Some(known), Some(wanted)) = (&self.tenant, wanted)
            && known.uid != wanted.uid
            && self.torn_down.is_none()
        {
            return Err(Fault::permanent("tenant_changed", "the allocation has another uid here"));
        }
        self.generation = request.generation;
        match request.op {
            Operation::Ensure => {
                self.torn_down = None;
                self.suspended = false;
                self.tenant = wanted.cloned().or_else(|| self.tenant.take());
            }
            // From here on nobody logs in any more, even if we do not live to finish.
            Operation::Suspend => self.suspended = true,
            Operation::Teardown => self.torn_down = Some(request.generation),
            Operation::Facts
            | Operation::Inspect
            | Operation::Inventory
            | Operation::Certify
            | Operation::Undo => {}
        }
        Ok(None)
    }

    /// Remembers an answer for ever.
    pub fn remember(&mut self, request: &Request, answer: &Answer) {
        let given = Given { request: subject(request), answer: answer.clone() };
        self.answers.insert(request.key.clone(), given);
    }
}

fn subject(request: &Request) -> String {
    let step = request.args.step.map_or("", cairn_node::Step::name);
    format!("{:?} {step} {}", request.op, request.generation)
}

fn replayed(answer: Answer) -> Answer {
    match answer {
        Answer::Done { observed, .. } => Answer::Done { observed, replayed: true },
        Answer::TornDown { left, evidence, .. } => {
            Answer::TornDown { left, evidence, replayed: true }
        }
        other => other,
    }
}

/// A record, held: nobody else works on this allocation until it is dropped.
pub struct Held {
    path: PathBuf,
    pub record: Record,
    _lock: File,
}

impl Held {
    /// Writes the record down.
    pub fn save(&self) -> Outcome<()> {
        let text = serde_json::to_vec(&self.record)
            .map_err(|error| Fault::permanent("journal_invalid", error.to_string()))?;
        system::write_atomically(&self.path, &text, 0o600)
    }
}

/// Takes hold of an allocation's record, waiting for whoever has it.
pub fn hold(config: &Config, allocation_id: &str) -> Outcome<Held> {
    check_allocation_id(allocation_id)?;
    let directory = config.records();
    system::make_directory(&directory, 0o700)?;
    let lock_path = directory.join(format!("{allocation_id}.lock"));
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .doing(format_args!("opening {}", lock_path.display()))?;
    lock.lock().doing("locking the record")?;
    // Programs we start inherit the lock: when we are killed, the next one waits until they have ended too.
    fcntl_setfd(&lock, FdFlags::empty()).map_err(io::Error::from).doing("sharing the lock")?;
    let path = directory.join(format!("{allocation_id}.json"));
    let record = match system::read(&path)? {
        None => Record { allocation_id: allocation_id.to_owned(), ..Record::default() },
        Some(text) => serde_json::from_str(&text).map_err(|error| {
            Fault::permanent("journal_invalid", format!("{}: {error}", path.display()))
        })?,
    };
    Ok(Held { path, record, _lock: lock })
}

/// The allocation that has taken a uid, if any.
pub fn owner_of(config: &Config, uid: u32) -> Outcome<Option<String>> {
    let text = system::read(&config.uids().join(uid.to_string()))?;
    Ok(text.map(|text| text.trim().to_owned()))
}

/// Ids of all allocations with a record.
pub fn all(config: &Config) -> Outcome<Vec<String>> {
    let directory = config.records();
    if !directory.exists() {
        return Ok(vec![]);
    }
    let entries = fs::read_dir(&directory).doing("listing records")?;
    let mut ids: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .filter(|id| check_allocation_id(id).is_ok())
        .collect();
    ids.sort();
    Ok(ids)
}

/// An id is a path component and a cgroup name: nothing but its own alphabet may pass.
pub fn check_allocation_id(id: &str) -> Outcome<()> {
    let body = id.strip_prefix("alloc_").unwrap_or_default();
    let fits =
        body.len() == 26 && body.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if fits {
        Ok(())
    } else {
        Err(Fault::permanent("allocation_id_invalid", "not an allocation id"))
    }
}

#[cfg(test)]
mod tests {
    use cairn_node::{Answer, Arguments, Operation, Request};

    use super::{Record, check_allocation_id};

    fn request(op: Operation, key: &str, generation: u64) -> Request {
        let args = Arguments::default();
        Request { op, allocation_id: String::new(), generation, key: key.to_owned(), args }
    }

    fn done() -> Answer {
        Answer::Done { observed: "so".to_owned(), replayed: false }
    }

    #[test]
    fn the_same_key_answers_the_same() {
        let mut record = Record::default();
        let first = request(Operation::Ensure, "k1", 1);
        assert_eq!(record.admit(&first), Ok(None));
        record.remember(&first, &done());
        let again = record.admit(&first);
        assert_eq!(again, Ok(Some(Answer::Done { observed: "so".to_owned(), replayed: true })));
    }

    #[test]
    fn a_key_used_for_something_else_is_refused() {
        let mut record = Record::default();
        record.remember(&request(Operation::Ensure, "k1", 1), &done());
        let other = record.admit(&request(Operation::Teardown, "k1", 1));
        assert_eq!(other.map_err(|fault| fault.code), Err("key_reused"));
    }

    #[test]
    fn an_older_generation_is_refused() {
        let mut record = Record::default();
        assert_eq!(record.admit(&request(Operation::Ensure, "k2", 2)), Ok(None));
        let late = record.admit(&request(Operation::Ensure, "k1", 1));
        assert_eq!(late.map_err(|fault| fault.code), Err("stale_generation"));
    }

    #[test]
    fn a_late_step_cannot_rebuild_what_was_torn_down() {
        let mut record = Record { torn_down: Some(3), generation: 3, ..Record::default() };
        let late = record.admit(&request(Operation::Ensure, "k1", 3));
        assert_eq!(late.map_err(|fault| fault.code), Err("allocation_gone"));
        assert_eq!(record.admit(&request(Operation::Ensure, "k2", 4)), Ok(None));
        assert_eq!(record.torn_down, None);
    }

    #[test]
    fn an_id_that_could_leave_its_directory_is_refused() {
        assert!(check_allocation_id("alloc_01J00000000000000000000000").is_ok());
        assert!(check_allocation_id("alloc_../../../../../../etc/pas").is_err());
        assert!(check_allocation_id("").is_err());
    }
}
