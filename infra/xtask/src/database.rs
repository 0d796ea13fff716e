//! A private PostgreSQL for one run: fast instead of durable, gone afterwards.
use crate::Failure;
use crate::run::{root, target};
use cairn_cluster::{Cluster, ClusterConfig};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A cluster that also goes away when we are interrupted or killed.
pub struct Scratch {
    cluster: Option<Cluster>,
    watcher: Option<Child>,
}

impl Scratch {
    /// Starts it in a directory of this name below the target directory.
    pub fn start(name: &str) -> Result<Self, Failure> {
        let config = ClusterConfig {
            directory: target().join("clusters").join(name),
            durable: false,
            settings: vec![("max_connections".into(), "400".into())],
        };
        let cluster = Cluster::start(config).map_err(|error| error.to_string())?;
        let watcher = cluster.pid().and_then(watch);
        Ok(Self { cluster: Some(cluster), watcher })
    }

    pub fn cluster(&self) -> Result<&Cluster, Failure> {
        self.cluster.as_ref().ok_or_else(|| "the cluster is gone".into())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The watcher first: the number it watches may soon belong to somebody else.
        if let Some(mut watcher) = self.watcher.take() {
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
        if let Some(cluster) = self.cluster.take() {
            cluster.remove();
        }
    }
}

/// A shell that waits for the end of its input, which comes with our end, and stops the server.
fn watch(server: u32) -> Option<Child> {
    let script = "read _; kill -s INT \"$0\" 2>/dev/null";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, &server.to_string()]).stdin(Stdio::piped()).process_group(0);
    shell.spawn().ok()
}

/// The forward halves of all migrations, in their order.
pub fn migrations() -> Result<Vec<PathBuf>, Failure> {
    let directory = root().join("migrations");
    let entries = fs::read_dir(&directory).map_err(|error| format!("migrations: {error}"))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".up.sql"))
        .collect();
    files.sort();
    Ok(files)
}

/// Applies every migration to this database, each in its own transaction.
pub fn migrate(cluster: &Cluster, database: &str) -> Result<(), Failure> {
    for file in migrations()? {
        let output = Command::new(cluster.binaries().join("psql"))
            .args(["-qX", "-1", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(cluster.url(database))
            .arg("-f")
            .arg(&file)
            .output()
            .map_err(|error| format!("psql: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}", file.display(), said.trim()));
        }
    }
    Ok(())
}
