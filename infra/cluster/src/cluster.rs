//! The handle: one user of a private cluster.
use crate::error::{ClusterError, During};
use crate::home::Home;
use crate::server;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the users of a cluster have to start a server that stopped, before somebody who wants
/// to join them gives up.
const REVIVED_WITHIN: Duration = Duration::from_secs(15);
/// How long other sessions may be in the way of a new database.
const TEMPLATE_FREE_WITHIN: Duration = Duration::from_secs(10);

/// Which cluster, and how it should treat its disk.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The cluster's own directory, made when missing.
    pub directory: PathBuf,
    /// True: an acknowledged commit survives power loss. False: for tests, as fast as it goes; what
    /// was made so is made anew when nobody uses it.
    pub durable: bool,
    /// More settings of `postgresql.conf`, name and value; they win over this crate's.
    pub settings: Vec<(String, String)>,
}

/// One user of a private PostgreSQL cluster; dropping it leaves, and the last to leave stops it.
#[derive(Debug)]
pub struct Cluster {
    config: ClusterConfig,
    home: Home,
    users: File,
    child: Option<Child>,
    bin: PathBuf,
}

impl Cluster {
    /// Starts the cluster of this directory, or joins it where another process runs it already.
    ///
    /// A server whose every user died is stopped and started anew, so its settings are ours.
    /// A cluster that was joined keeps the settings of whoever started it.
    ///
    /// # Errors
    /// What is missing or in the way, in words: see [`ClusterError`].
    pub fn start(config: ClusterConfig) -> Result<Self, ClusterError> {
        let home = Home::prepare(&config.directory)?;
        let users = home.users()?;
        let deadline = Instant::now() + REVIVED_WITHIN;
        loop {
            let turn = home.lock_start()?;
            let alone = users.try_lock().is_ok();
            let child = if alone {
                server::stop(&home, None)?;
                server::forget_volatile(&home)?;
                let bin = server::binaries(&home, config.durable)?;
                Some(launch(&home, &bin, &config)?)
            } else if server::wait_ready(&home)? {
                None
            } else if Instant::now() < deadline {
                // Its users are about to start it again, which needs the turn.
                drop(turn);
                sleep(Duration::from_millis(100));
                continue;
            } else {
                return Err(ClusterError::InUse(home.base));
            };
            let bin = server::binaries(&home, config.durable)?;
            // Nobody can take the lock alone in between: that needs the turn, which is ours.
            users.lock_shared().during("lock", &home.base)?;
            drop(turn);
            return Ok(Self { config, home, users, child, bin });
        }
    }

    /// Where to connect, as the superuser, for the database of this name.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let directory = percent_encoded(&self.home.run);
        format!("postgres://postgres@localhost:5432/{database}?host={directory}")
    }

    /// Where the socket is; what `psql -h` wants.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.home.run
    }

    /// Where data and log really are: not below the directory asked for when the server's account
    /// could not have entered it.
    #[must_use]
    pub fn location(&self) -> &Path {
        &self.home.base
    }

    /// The directory of the server's programs, `psql` among them.
    #[must_use]
    pub fn binaries(&self) -> &Path {
        &self.bin
    }

    /// Makes the database when it is not there yet.
    ///
    /// # Errors
    /// What `psql` said.
    pub fn create_database(&self, name: &str) -> Result<(), ClusterError> {
        let identifier = name.replace('"', "\"\"");
        let what = format!("creating the database {name}");
        let mut command = self.home.account.command(self.bin.join("psql"));
        command.arg("-h").arg(&self.home.run).args(["-p", "5432", "-U", "postgres", "-d"]);
        command.args(["postgres", "-qX", "-v", "VERBOSITY=verbose", "-c"]);
        command.arg(format!("CREATE DATABASE \"{identifier}\""));
        let deadline = Instant::now() + TEMPLATE_FREE_WITHIN;
        loop {
            let output = command.output().during("run", &self.bin.join("psql"))?;
            let said = String::from_utf8_lossy(&output.stderr);
            // 42P04: duplicate_database. 23505: the same, from somebody who makes it at this moment.
            if output.status.success() || said.contains("42P04") || said.contains("23505") {
                return Ok(());
            }
            // 55006: somebody is copying the template.
            if !said.contains("55006") || Instant::now() > deadline {
                return Err(ClusterError::Program { what, detail: said.trim().to_owned() });
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Leaves; the last user stops the server. The same as dropping, said aloud.
    pub fn stop(self) {
        drop(self);
    }

    /// Leaves and removes everything, data included, unless somebody else still uses it.
    pub fn remove(mut self) {
        if self.leave() {
            let _ = fs::remove_dir_all(&self.home.run);
            let _ = fs::remove_dir_all(&self.home.base);
            let _ = fs::remove_dir_all(&self.config.directory);
        }
    }

    /// SIGKILL to the server and every process below it at one moment: for fault tests.
    pub fn kill_tree(&mut self) {
        let Ok(_turn) = self.home.lock_start() else { return };
        let mut child = self.child.take();
        if let Ok(Some(pid)) = server::running(&self.home, child.as_mut()) {
            server::kill(pid, child);
        }
    }

    /// Heals what is broken and starts the server again, unless it runs: another user may have been
    /// first. Returns whether it had to.
    ///
    /// # Errors
    /// As for [`Cluster::start`]; also when it cannot be told whether the server runs.
    pub fn restart(&mut self) -> Result<bool, ClusterError> {
        let _turn = self.home.lock_start()?;
        if server::wait_ready(&self.home)? {
            return Ok(false);
        }
        server::stop(&self.home, self.child.take())?;
        self.child = Some(launch(&self.home, &self.bin, &self.config)?);
        Ok(true)
    }

    /// Whether the server is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// The server's process id, while it is known to run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        server::postmaster(&self.home).ok().flatten()
    }

    /// True when we were the last and the server is stopped.
    fn leave(&mut self) -> bool {
        let Ok(_turn) = self.home.lock_start() else { return false };
        let child = self.child.take();
        let _ = self.users.unlock();
        let last = self.users.try_lock().is_ok();
        let stopped = last && server::stop(&self.home, child).is_ok();
        let _ = self.users.unlock();
        stopped
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Heals and starts; the caller holds the turn and knows that no server runs.
fn launch(home: &Home, bin: &Path, config: &ClusterConfig) -> Result<Child, ClusterError> {
    server::heal(home)?;
    server::spawn(home, bin, &settings(home, config))
}

fn settings(home: &Home, config: &ClusterConfig) -> Vec<(String, String)> {
    let sockets = home.run.to_string_lossy().replace('"', "\"\"");
    let mut settings = vec![
        ("listen_addresses", String::new()),
        ("port", "5432".into()),
        ("unix_socket_directories", format!("\"{sockets}\"")),
        ("unix_socket_permissions", "0700".into()),
        ("max_connections", "200".into()),
        ("timezone", "UTC".into()),
        ("log_timezone", "UTC".into()),
    ];
    if !config.durable {
        let off = ["fsync", "synchronous_commit", "full_page_writes"];
        settings.extend(off.map(|name| (name, "off".to_owned())));
    }
    let ours = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    ours.chain(config.settings.iter().cloned()).collect()
}

/// A path as the value of a URL's parameter.
fn percent_encoded(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' => {
                text.push(char::from(*byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;
    use std::path::Path;

    #[test]
    fn a_socket_directory_with_spaces_survives_the_url() {
        assert_eq!(percent_encoded(Path::new("/tmp/a b&c")), "/tmp/a%20b%26c");
    }
}
