//! Where a cluster lives on disk, and the two locks that keep its users apart.
//!
//! ```text
//! <directory>/data          the cluster
//! <directory>/run           the socket; nobody but the server's account (and root) may enter
//! <directory>/postgres.log  what the server said
//! <directory>/start.lock    held while somebody starts, stops or heals
//! <directory>/users.lock    held shared by every process that uses the cluster
//! <directory>/volatile      only when the data was made without durability
//! <directory>/LOCATION      only when all of this had to live elsewhere: where
//! ```
//! Elsewhere is `/var/lib/cairn/…`, chosen when root made the directory below one that the
//! server's lesser account cannot enter, such as `/root`.
use crate::account::Account;
use crate::error::{ClusterError, During};
use crate::process::found;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Write as _};
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
        // One after the other, so that two first starts agree on the place.
        let here = Self::at(asked.clone())?;
        let _turn = here.lock_start()?;
        if let Some(elsewhere) = location(&asked)? {
            return Self::usable_at(elsewhere);
        }
        if here.is_usable() {
            return Ok(here);
        }
        if here.data().exists() {
            return Err(here.closed());
        }
        let parent = Path::new(ELSEWHERE);
        fs::create_dir_all(parent).during("make the directory", parent)?;
        open_to_all(parent)?;
        let home = Self::usable_at(parent.join(fingerprint(&asked)?))?;
        note_location(&asked, &home.base)?;
        Ok(home)
    }

    /// The home at a place that was chosen because the server's account can work there.
    fn usable_at(base: PathBuf) -> Result<Self, ClusterError> {
        let home = Self::at(base)?;
        if home.is_usable() { Ok(home) } else { Err(home.closed()) }
    }

    fn is_usable(&self) -> bool {
        self.account.can_write(&self.run) && self.account.can_enter(&self.base)
    }

    fn closed(&self) -> ClusterError {
        ClusterError::Program {
            what: format!("entering {}", self.base.display()),
            detail: format!("user id {} may not: open the parents to it", self.account.uid),
        }
    }

    /// The home at exactly this place.
    fn at(base: PathBuf) -> Result<Self, ClusterError> {
        fs::create_dir_all(&base).during("make the directory", &base)?;
        let data = base.join("data");
        let account = Account::choose(data.exists().then_some(data.as_path()))?;
        if account.drop {
            open_to_all(&base)?;
        }
        let mut run = base.join("run");
        if run.as_os_str().len() + SOCKET_NAME.len() > SOCKET_PATH_BYTES_MAX {
            run = Path::new("/tmp").join(format!("cairn-{}", fingerprint(&base)?));
        }
        private_directory(&run, account)?;
        Ok(Self { base, run, account })
    }

    pub fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.base.join("postgres.log")
    }

    pub fn volatile(&self) -> PathBuf {
        self.base.join("volatile")
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
        let file = self.open(&path, OpenOptions::new().write(true))?;
        file.lock().during("lock", &path)?;
        Ok(file)
    }

    /// The file whose shared lock says "I use this cluster"; not locked yet.
    pub fn users(&self) -> Result<File, ClusterError> {
        self.open(&self.base.join("users.lock"), OpenOptions::new().write(true))
    }

    /// Opens a file, made for the server's account when it is not there: who runs Cairn as that
    /// account later must be able to open it too.
    pub fn open(&self, path: &Path, how: &mut OpenOptions) -> Result<File, ClusterError> {
        match how.clone().create_new(true).open(path) {
            Ok(file) => {
                self.account.own_file(&file).during("give away", path)?;
                Ok(file)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                how.open(path).during("open", path)
            }
            Err(error) => Err(error).during("make", path),
        }
    }
}

/// Where the cluster of this directory lives when it could not live there. A note without a word
/// is none: whoever wrote it was interrupted.
fn location(asked: &Path) -> Result<Option<PathBuf>, ClusterError> {
    let note = asked.join("LOCATION");
    let text = found(fs::read_to_string(&note)).during("read", &note)?.unwrap_or_default();
    let text = text.trim();
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// Written beside its place and moved there whole.
fn note_location(asked: &Path, base: &Path) -> Result<(), ClusterError> {
    let (note, draft) = (asked.join("LOCATION"), asked.join("LOCATION.draft"));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(base.as_os_str().as_encoded_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &note)
    };
    write().during("write", &note)
}

/// Lets everybody walk through, whatever the caller's umask was.
fn open_to_all(directory: &Path) -> Result<(), ClusterError> {
    let mode = fs::metadata(directory).during("look at", directory)?.mode();
    fs::set_permissions(directory, Permissions::from_mode((mode & 0o7777) | 0o001))
        .during("open", directory)
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
