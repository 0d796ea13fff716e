//! `cargo xtask sqlx-prepare`: what the checked queries need to know of the schema, from the
//! migrations, without sqlx-cli.
//!
//! sqlx 0.8's macros, when they are online and `SQLX_OFFLINE_DIR` is set, write a `query-….json`
//! per query into that directory while they compile. So: a fresh database, every crate that has
//! such queries compiled anew, and the files moved into place when all of it succeeded.
use crate::Failure;
use crate::database::{Scratch, migrate};
use crate::run::{cargo, root, say, step, target};
use crate::setup::{self, BUILD, DATABASE};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub fn prepare(check_only: bool) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE])?;
    let scratch = Scratch::start("prepare")?;
    let cluster = scratch.cluster()?;
    // A name of our own: a run that was killed may have left its cluster with its database.
    let database = format!("cairn_prepare_{}", std::process::id());
    cluster.create_database(&database).map_err(|error| error.to_string())?;
    migrate(cluster, &database)?;
    let fresh = target().join("sqlx-fresh");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
    force_recheck()?;
    let mut compile = cargo(&["check", "--workspace", "--all-targets"]);
    compile.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &fresh);
    compile.env("DATABASE_URL", cluster.url(&database));
    step("compiling every query against the migrations", &mut compile)?;
    let (new, old) = (contents(&fresh)?, contents(&root().join(".sqlx"))?);
    if new.is_empty() {
        return Err("no query was seen; is sqlx's offline directory called otherwise?".into());
    }
    if new == old {
        say(&format!(".sqlx is up to date ({} queries)", new.len()));
        return Ok(());
    }
    if check_only {
        return Err(".sqlx is out of date: run cargo xtask sqlx-prepare".into());
    }
    replace(&new, &old)
}

fn replace(new: &BTreeMap<String, String>, old: &BTreeMap<String, String>) -> Result<(), Failure> {
    let place = root().join(".sqlx");
    fs::create_dir_all(&place).map_err(|error| format!(".sqlx: {error}"))?;
    for (name, text) in new {
        fs::write(place.join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    let gone: Vec<&String> = old.keys().filter(|name| !new.contains_key(*name)).collect();
    for name in &gone {
        fs::remove_file(place.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    say(&format!("wrote {} queries to .sqlx, removed {}", new.len(), gone.len()));
    Ok(())
}

fn contents(directory: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            let text = fs::read_to_string(entry.path()).map_err(|why| format!("{name}: {why}"))?;
            files.insert(name, text);
        }
    }
    Ok(files)
}

/// Cargo compiles anew what is newer than its last result: so the crates that use sqlx become it.
#[allow(clippy::disallowed_methods, reason = "a file's time is set, nothing is decided by it")]
fn force_recheck() -> Result<(), Failure> {
    let now = SystemTime::now();
    for manifest in crate::tidy::manifests() {
        let text = fs::read_to_string(&manifest).unwrap_or_default();
        if !text.contains("sqlx") {
            continue;
        }
        for file in entry_points(manifest.parent().unwrap_or(Path::new("."))) {
            File::options()
                .append(true)
                .open(&file)
                .and_then(|opened| opened.set_modified(now))
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    Ok(())
}

/// The files cargo knows as the roots of a package's targets.
fn entry_points(package: &Path) -> Vec<PathBuf> {
    let mut files = vec![package.join("src/lib.rs"), package.join("src/main.rs")];
    for directory in ["src/bin", "tests", "benches", "examples"] {
        for entry in fs::read_dir(package.join(directory)).into_iter().flatten().flatten() {
            files.push(entry.path());
            files.push(entry.path().join("main.rs"));
        }
    }
    files.retain(|file| file.is_file());
    files
}
