//! Step 5: the customer's key and session certificates open a login; nothing else does.
//!
//! Both files belong to root and lie outside the home, so that a tenant cannot let anybody else in.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cairn_node::tenant_principal;

use super::Allocation;
use crate::fault::Outcome;
use crate::system;

/// Files of an allocation and what must be in them. sshd reads them as the tenant, so they are world-readable.
fn files(allocation: Allocation<'_>) -> [(PathBuf, String); 2] {
    let (config, login) = (allocation.config, &allocation.tenant.login);
    let principal = tenant_principal(allocation.id);
    [
        (config.principals().join(login), format!("{principal}\n")),
        (config.keys().join(login), format!("restrict,pty {}\n", allocation.tenant.ssh_public_key)),
    ]
}

pub fn inspect(allocation: Allocation<'_>) -> Outcome<Option<String>> {
    for (path, content) in files(allocation) {
        if system::read(&path)?.as_deref() != Some(&content) || !is_guarded(&path) {
            return Ok(None);
        }
    }
    let principal = tenant_principal(allocation.id);
    Ok(Some(format!("one key, restricted, and certificates of {principal}")))
}

fn is_guarded(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| {
        file.is_file() && file.uid() == 0 && file.permissions().mode() & 0o7777 == 0o644
    })
}

pub fn act(allocation: Allocation<'_>) -> Outcome<()> {
    system::make_directory(&allocation.config.ssh_dir, 0o755)?;
    for (path, content) in files(allocation) {
        if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
            system::make_directory(directory, 0o755)?;
        }
        system::write_atomically(&path, content.as_bytes(), 0o644)?;
    }
    Ok(())
}

pub fn undo(allocation: Allocation<'_>) -> Outcome<()> {
    for (path, _) in files(allocation) {
        system::remove_file(&path)?;
    }
    Ok(())
}

/// One line, a known key type, base 64: nothing that could end a line or begin an option.
pub fn is_public_key(text: &str) -> bool {
    let Some((kind, body)) = text.split_once(' ') else {
        return false;
    };
    let known = matches!(
        kind,
        "ssh-ed25519"
            | "ecdsa-sha2-nistp256"
            | "ecdsa-sha2-nistp384"
            | "ecdsa-sha2-nistp521"
            | "ssh-rsa"
            | "sk-ssh-ed25519@openssh.com"
            | "sk-ecdsa-sha2-nistp256@openssh.com"
    );
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    known && body.starts_with("AAAA") && body.len() <= 2_048 && body.bytes().all(base64)
}

#[cfg(test)]
mod tests {
    use super::is_public_key;

    #[test]
    fn a_key_that_could_smuggle_an_option_or_a_line_is_refused() {
        assert!(is_public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMq"));
        assert!(!is_public_key("ssh-ed25519 AAAAC3\ncommand=\"sh\" ssh-ed25519 AAAA"));
        assert!(!is_public_key("command=\"sh\" ssh-ed25519 AAAA"));
        assert!(!is_public_key("ssh-ed25519 AAAA comment"));
        assert!(!is_public_key(""));
    }
}
