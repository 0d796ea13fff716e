//! A user's own service manager (`user@<uid>.service`) runs outside the cgroup of the allocation: where systemd runs, a tenant has none.
//!
//! polkit lets everybody ask for one that outlives the sessions (`loginctl enable-linger`); a masked unit cannot be started at all.
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::fault::{Outcome, While};
use crate::system;

const NOTHING: &str = "/dev/null";

/// Where systemd says that it runs, and where its units are masked.
pub struct Units {
    running: PathBuf,
    directory: PathBuf,
}

impl Default for Units {
    fn default() -> Self {
        Self { running: "/run/systemd/system".into(), directory: "/etc/systemd/system".into() }
    }
}

impl Units {
    fn mask_of(&self, uid: u32) -> PathBuf {
        self.directory.join(format!("user@{uid}.service"))
    }

    fn is_masked(&self, uid: u32) -> bool {
        fs::read_link(self.mask_of(uid)).is_ok_and(|target| target == Path::new(NOTHING))
    }

    /// Whether the uid has no service manager.
    pub fn is_denied(&self, uid: u32) -> bool {
        !self.running.exists() || self.is_masked(uid)
    }

    /// Sees to it that it gets none, and ends one that runs.
    pub fn deny(&self, uid: u32) -> Outcome<()> {
        if self.is_denied(uid) {
            return Ok(());
        }
        system::make_directory(&self.directory, 0o755)?;
        let mask = self.mask_of(uid);
        match symlink(NOTHING, &mask) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(error).doing(format_args!("masking {}", mask.display()))?;
            }
            _ => {}
        }
        reload(&["stop", &format!("user@{uid}.service")]);
        Ok(())
    }

    /// The mask, if there is one.
    pub fn mask_left(&self, uid: u32) -> Option<PathBuf> {
        self.is_masked(uid).then(|| self.mask_of(uid))
    }

    /// Takes the mask away, also where systemd has gone meanwhile.
    pub fn allow(&self, uid: u32) -> Outcome<()> {
        if self.is_masked(uid) {
            system::remove_file(&self.mask_of(uid))?;
            reload(&[]);
        }
        Ok(())
    }
}

/// systemd looks at the file again when the unit is next started; a manager that is known already needs to be told.
fn reload(then: &[&str]) {
    for argv in [&["daemon-reload"][..], then] {
        if !argv.is_empty() {
            let _told = system::ask(&[&["systemctl"], argv].concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Units;

    #[test]
    fn a_tenant_has_no_service_manager_where_systemd_runs() {
        let place = tempfile::tempdir().unwrap();
        let [running, directory] = ["run", "units"].map(|name| place.path().join(name));
        let units = Units { running: running.clone(), directory: directory.clone() };
        let mask = directory.join("user@20000.service");
        units.deny(20_000).unwrap();
        assert!(units.is_denied(20_000) && !mask.exists(), "there is no systemd yet");
        fs::create_dir(&running).unwrap();
        assert!(!units.is_denied(20_000));
        units.deny(20_000).unwrap();
        units.deny(20_000).unwrap();
        assert_eq!(fs::read_link(&mask).unwrap().to_str(), Some("/dev/null"));
        assert!(units.is_denied(20_000) && !units.is_denied(20_001));
        units.allow(20_000).unwrap();
        units.allow(20_000).unwrap();
        assert!(fs::symlink_metadata(&mask).is_err());
    }

    #[test]
    fn a_unit_that_is_not_ours_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let (running, directory) = (place.path().to_owned(), place.path().join("units"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("user@20000.service"), "[Unit]").unwrap();
        let units = Units { running, directory };
        units.deny(20_000).unwrap();
        assert!(!units.is_denied(20_000), "what is in the way is not overwritten");
        units.allow(20_000).unwrap();
        assert!(place.path().join("units/user@20000.service").exists());
    }
}
