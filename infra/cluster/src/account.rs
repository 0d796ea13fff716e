//! Whom the server runs as: ourselves, or as root somebody lesser.
use crate::error::{ClusterError, During};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The user and group the server's processes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub uid: u32,
    pub gid: u32,
    /// We are root and must become this account, and give it the files.
    pub drop: bool,
}

impl Account {
    /// Ourselves, unless we are root: then the owner of existing data, else `postgres`, else `nobody`.
    pub fn choose(existing_data: Option<&Path>) -> Result<Self, ClusterError> {
        let (uid, gid) = own_ids()?;
        if uid != 0 {
            return Ok(Self { uid, gid, drop: false });
        }
        if let Some(data) = existing_data {
            let owner = fs::metadata(data).during("look at", data)?;
            if owner.uid() != 0 {
                return Ok(Self { uid: owner.uid(), gid: owner.gid(), drop: true });
            }
        }
        let passwd = Path::new("/etc/passwd");
        let text = fs::read_to_string(passwd).during("read", passwd)?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| lookup(&text, name))
            .map(|(uid, gid)| Self { uid, gid, drop: true })
            .ok_or(ClusterError::NoAccount)
    }

    /// A command that will run as this account, without the caller's PostgreSQL settings.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in POSTGRES_VARIABLES {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        if self.drop {
            command.uid(self.uid).gid(self.gid).env("HOME", "/");
        }
        command
    }

    /// Whether this account can make files in `directory`.
    pub fn can_write(&self, directory: &Path) -> bool {
        self.succeeds("cd \"$1\" && : > .probe && rm .probe", directory)
    }

    /// Whether this account can walk to `directory`.
    pub fn can_enter(&self, directory: &Path) -> bool {
        self.succeeds("cd \"$1\"", directory)
    }

    fn succeeds(&self, script: &str, directory: &Path) -> bool {
        self.command("sh")
            .args(["-c", script, "sh"])
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Makes an open file this account's.
    pub fn own_file(&self, file: &fs::File) -> std::io::Result<()> {
        if self.drop {
            std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }

    /// Makes the path this account's, when it is not already.
    pub fn own(&self, path: &Path) -> Result<(), ClusterError> {
        if self.drop {
            std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
                .during("give away", path)?;
        }
        Ok(())
    }
}

/// What libpq and the server read from the environment: a private cluster heeds none of it.
const POSTGRES_VARIABLES: [&str; 11] = [
    "PGDATA",
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGSERVICE",
    "PGOPTIONS",
    "PGSSLMODE",
];

/// The user and group of this process.
fn own_ids() -> Result<(u32, u32), ClusterError> {
    if let Ok(me) = fs::metadata("/proc/self") {
        return Ok((me.uid(), me.gid()));
    }
    let ask = |flag: &str| -> Result<u32, ClusterError> {
        let output = Command::new("id").arg(flag).output().during("run", Path::new("id"))?;
        String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| ClusterError::Program {
            what: format!("id {flag}"),
            detail: "no number in its answer".into(),
        })
    };
    Ok((ask("-u")?, ask("-g")?))
}

fn lookup(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let mut numbers = fields.skip(1);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::lookup;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "postgresql:x:1:2::/:/bin/sh\npostgres:x:101:104:admin,,,:/var:/bin/bash\n";
        assert_eq!(lookup(passwd, "postgres"), Some((101, 104)));
        assert_eq!(lookup(passwd, "nobody"), None);
    }
}
