//! Where a demo keeps its data: a directory of its own, held by a lock, emptied when it begins, healed of demos that were killed.
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use cairn_cluster::{Cluster, ClusterConfig};

use super::DemoArgs;
use crate::cli::exit::{CliError, Exit};
use crate::config::Config;

/// Marks a directory as a demo's own, which the next one may empty; locked while a demo runs in it.
const MARK: &str = "cairn-demo";

/// A held directory. The lock ends with the process, however it ends.
pub(super) struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Takes the directory asked for: by default `<data>/demo`, or one that is removed at the end for `--once`.
    pub(super) fn take(config: &Config, args: &DemoArgs) -> Result<Self, CliError> {
        let ours =
            if args.once { format!("demo-{}", std::process::id()) } else { "demo".to_owned() };
        let path = args.data.clone().unwrap_or_else(|| config.data.join(ours));
        sweep(&config.data);
        match abandoned(&path)? {
            true => discard(&path),
            false if path.exists() && path.read_dir()?.next().is_some() => {
                let message = format!("{} is not empty and not a demo's", path.display());
                return Err(CliError::usage(message));
            }
            false => {}
        }
        fs::create_dir_all(&path)?;
        let lock = File::create(path.join(MARK))?;
        lock.try_lock().map_err(|_| in_use(&path))?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything.
    pub(super) fn remove(self) {
        discard(&self.path);
    }
}

fn in_use(path: &Path) -> CliError {
    let message = format!("another demo runs in {}", path.display());
    CliError::new(Exit::Unavailable, "demo_in_use", message)
}

/// Whether a demo was here and is gone.
fn abandoned(path: &Path) -> Result<bool, CliError> {
    let Ok(mark) = File::open(path.join(MARK)) else { return Ok(false) };
    match mark.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Removes what demos with `--once` have left that were killed.
fn sweep(data: &Path) {
    let entries = fs::read_dir(data).into_iter().flatten().flatten();
    let once = entries.filter(|e| e.file_name().to_string_lossy().starts_with("demo-"));
    for path in once.map(|entry| entry.path()) {
        if abandoned(&path).unwrap_or(false) {
            discard(&path);
        }
    }
}

/// Stops a cluster that may still run there, and removes everything.
fn discard(path: &Path) {
    let directory = path.join("postgres");
    if directory.exists() {
        let config = ClusterConfig { directory, durable: false, settings: vec![] };
        if let Ok(cluster) = Cluster::start(config) {
            cluster.remove();
        }
    }
    let _ = fs::remove_dir_all(path);
}
