//! The operating system: programs by argument vector (never a shell), files written whole or not at all.
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fault::{Fault, Outcome, While};

/// The path programs are looked up in, whatever the caller's environment says.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program said.
pub struct Said {
    pub success: bool,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end, whatever its exit status.
pub fn ask<S: AsRef<OsStr>>(argv: &[S]) -> Outcome<Said> {
    ask_from(argv, Stdio::null())
}

/// As [`ask`], with something to read.
pub fn ask_from<S: AsRef<OsStr>>(argv: &[S], input: Stdio) -> Outcome<Said> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Fault::permanent("system_error", "no program given"));
    };
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .stdin(input)
        .output()
        .map_err(|error| {
            let name = program.as_ref().to_string_lossy();
            Fault::permanent("program_missing", format!("{name}: {error}"))
        })?;
    Ok(Said {
        success: output.status.success(),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Runs a program that must succeed; answers what it printed.
pub fn run<S: AsRef<OsStr>>(argv: &[S]) -> Outcome<String> {
    let said = ask(argv)?;
    if said.success {
        return Ok(said.stdout);
    }
    let name = argv.first().map(|name| name.as_ref().to_string_lossy().into_owned());
    let message = format!("{} ended with {}: {}", name.unwrap_or_default(), said.code, said.stderr);
    Err(Fault::permanent("program_failed", message))
}

/// Writes a file so that a reader, or a crash, sees the old content or the new, never half of it.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> Outcome<()> {
    let write = || -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!(".{name}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_directory(directory)
    };
    write().doing(format_args!("writing {}", path.display()))
}

/// Makes what was made and removed in a directory outlive a loss of power.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes a file; an absent one is fine.
pub fn remove_file(path: &Path) -> Outcome<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(format_args!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads a text file; `None` when there is none.
pub fn read(path: &Path) -> Outcome<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(format_args!("reading {}", path.display())),
    }
}

/// Makes a directory and its parents with this mode for the last one.
pub fn make_directory(path: &Path, mode: u32) -> Outcome<()> {
    let make = || -> io::Result<()> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    make().doing(format_args!("making {}", path.display()))
}

/// An account as the name service sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub login: String,
    pub uid: u32,
    /// Of its own group.
    pub gid: u32,
    pub home: String,
}

/// Looks an account up by login or by uid.
pub fn account(key: &str) -> Outcome<Option<Account>> {
    let said = ask(&["getent", "passwd", key])?;
    if said.code == 2 {
        return Ok(None);
    }
    if !said.success {
        return Err(Fault::transient("name_service", format!("getent passwd: {}", said.stderr)));
    }
    let unreadable = format!("unreadable account {}", said.stdout);
    let found = read_account(said.stdout.trim_end());
    found.map(Some).ok_or_else(|| Fault::permanent("name_service", unreadable))
}

fn read_account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let (login, home) = ((*fields.first()?).to_owned(), (*fields.get(5)?).to_owned());
    let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    Some(Account { login, uid, gid, home })
}

/// Every account that the name service lists.
pub fn accounts() -> Outcome<Vec<Account>> {
    Ok(run(&["getent", "passwd"])?.lines().filter_map(read_account).collect())
}

/// The number of a group; `None` when there is no such group.
pub fn group_id(name: &str) -> Outcome<Option<String>> {
    let said = ask(&["getent", "group", name])?;
    Ok(said.success.then(|| said.stdout.split(':').nth(2).unwrap_or_default().to_owned()))
}
