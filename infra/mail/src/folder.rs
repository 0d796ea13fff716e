//! E-mail that stays on this machine: one file each, as a mail program opens it.
use std::path::PathBuf;

use cairn_commands::ports::PortError;

/// A folder of messages.
#[derive(Debug)]
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    /// Writes a message down, whole or not at all; the same id is the same file. Only we may read it: it may hold a token.
    pub async fn keep(&self, id: &str, bytes: Vec<u8>) -> Result<(), PortError> {
        let (file, part) = (self.0.join(format!("{id}.eml")), self.0.join(format!(".{id}.part")));
        let written = async {
            tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).await?;
            tokio::fs::write(&part, bytes).await?;
            tokio::fs::rename(&part, &file).await
        };
        written.await.map_err(|error: std::io::Error| {
            PortError::transient("mail_folder", format!("{}: {error}", self.0.display()))
        })
    }
}
