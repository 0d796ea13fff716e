//! Secrets: in files of their own, and never shown.
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::settings::Setting;

/// Longest secret that is read from a file.
const BYTES_MAX: u64 = 64 << 10;
/// What a file lets everybody on the machine do.
const OTHERS: u32 = 0o007;

/// Whether everybody on the machine may read or change an open file.
pub(super) fn is_open_to_others(file: &std::fs::File) -> std::io::Result<bool> {
    Ok(file.metadata()?.mode() & OTHERS != 0)
}

/// The secret in a file that others cannot read, without the line's end.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if is_open_to_others(&file).map_err(unreadable)? {
        return Err(format!("{shown} is open to everybody on this machine: `chmod o= {shown}`"));
    }
    let mut text = String::new();
    file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("{shown} is longer than {BYTES_MAX} bytes"));
    }
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() { Err(format!("{shown} is empty")) } else { Ok(secret.to_owned()) }
}

/// What may be shown of a value: of a secret only how its address begins, of others all but the password in an address.
pub(super) fn shown(setting: &Setting, value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return if setting.secret { "…".to_owned() } else { value.to_owned() };
    };
    if setting.secret {
        return format!("{scheme}://…");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => value.to_owned(),
    }
}
