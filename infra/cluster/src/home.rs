//! Where a cluster lives on disk, and the two locks that keep its users apart.
//!
//! ```text
//! <directory>/data          the cluster
//! <directory>/run           the socket; nobody but the server's account (and root) may enter
//! <directory>/postgres.log  what the server said
//! <directory>/start.lock    held while somebody starts, stops or heals
//! <directory>/users.lock    held shared by every process that uses the cluster
//! <directory>/LOCATION      only when all of this had to live elsewhere: where
//! ```
//! Elsewhere is `/var/lib/cairn/…`, chosen when root made the directory below one that the
//! server's lesser account cannot enter, such as `/root`.
use crate::account::Account;
use crate::error::{ClusterError, During};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A unix socket's whole path, its end included, must fit into 108 bytes.
const SOCKET_PATH_BYTES_MAX: usize = 107;
const SOCKET_NAME: &str = "/.s.PGSQL.5432";
const ELSEWHERE: &str = "/var/lib/cairn";

#[derive(Debug)]
pub(crate) struct Home {
    pub base: PathBuf,
    pub run: PathBuf,
    pub account: Account,
}

impl Home {
    /// Makes the directories, owned and closed as they must be.
    pub fn prepare(directory: &Path) -> Result<Self, ClusterError> {
        fs::create_dir_all(directory).during("make the directory", directory)?;
        let asked = fs::canonicalize(directory).during("find", directory)?;
        let note = asked.join("LOCATION");
        if let Ok(elsewhere) = fs::read_to_string(&note) {
            return Self::at(PathBuf::from(elsewhere.trim())).map(|(home, _)| home);
        }
        let (home, usable) = Self::at(asked.clone())?;
        if usable {
            return Ok(home);
        }
        if home.data().exists() {
            return Err(ClusterError::Program {
                what: format!("entering {}", home.data().display()),
                detail: format!("user id {} may not: open the parents to it", home.account.uid),
            });
        }
        let elsewhere = Path::new(ELSEWHERE).join(fingerprint(&asked)?);
        let (home, _) = Self::at(elsewhere)?;
        fs::write(&note, home.base.as_os_str().as_encoded_bytes()).during("write", &note)?;
        Ok(home)
    }

    /// The home at exactly this place, and whether the server's account can work there.
    fn at(base: PathBuf) -> Result<(Self, bool), ClusterError> {
        fs::create_dir_all(&base).during("make the directory", &base)?;
        let data = base.join("data");
        let account = Account::choose(data.exists().then_some(data.as_path()))?;
        if account.drop {
            let mode = fs::metadata(&base).during("look at", &base)?.mode();
            fs::set_permissions(&base, Permissions::from_mode((mode & 0o7777) | 0o001))
                .during("open", &base)?;
        }
        let mut run = base.join("run");
        if run.as_os_str().len() + SOCKET_NAME.len() > SOCKET_PATH_BYTES_MAX {
            run = Path::new("/tmp").join(format!("cairn-{}", fingerprint(&base)?));
        }
        private_directory(&run, account)?;
        let usable = account.can_write(&run) && account.can_enter(&base);
        Ok((Self { base, run, account }, usable))
    }

    pub fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.base.join("postgres.log")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    pub fn sockets(&self) -> [PathBuf; 2] {
        let socket = self.run.join(&SOCKET_NAME[1..]);
        let lock = self.run.join(format!("{}.lock", &SOCKET_NAME[1..]));
        [socket, lock]
    }

    /// Waits for its turn to start, stop or heal; the turn ends when the file is dropped.
    pub fn lock_start(&self) -> Result<File, ClusterError> {
        let path = self.base.join("start.lock");
        let file = open_lock(&path)?;
        file.lock().during("lock", &path)?;
        Ok(file)
    }

    /// The file whose shared lock says "I use this cluster"; not locked yet.
    pub fn users(&self) -> Result<File, ClusterError> {
        open_lock(&self.base.join("users.lock"))
    }
}

fn open_lock(path: &Path) -> Result<File, ClusterError> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path).during("open", path)
}

/// A directory only the account may enter; one that somebody else put there is refused.
fn private_directory(path: &Path, account: Account) -> Result<(), ClusterError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).during("make the directory", path);
        }
        Ok(()) => account.own(path)?,
        Err(_) => {}
    }
    let found = fs::symlink_metadata(path).during("look at", path)?;
    let ours = found.is_dir() && (found.uid() == account.uid || (account.drop && found.uid() == 0));
    if !ours {
        return Err(ClusterError::NotOurs {
            path: path.to_owned(),
            owner: found.uid(),
            expected: account.uid,
        });
    }
    account.own(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700)).during("close", path)
}

/// A name for this very directory: another one made later at the same path gets another name.
fn fingerprint(directory: &Path) -> Result<String, ClusterError> {
    let found = fs::metadata(directory).during("look at", directory)?;
    let mut hasher = DefaultHasher::new();
    (directory, found.dev(), found.ino(), found.uid()).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}
