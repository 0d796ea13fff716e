//! E-mail: one text to one address, and what is attached to it.
use async_trait::async_trait;

use super::PortError;

/// A message to one address.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Ours, and the same in every attempt: what the recipient's server knows a repeated message by. Letters, digits, `-`, `_`, `.`.
    pub message_id: String,
    /// The address it goes to.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// Files that come with it.
    pub attachments: Vec<Attachment>,
}

/// A file that comes with a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is called. Letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// What it is, for example `application/pdf`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Shows neither the address nor the text, which may hold a token.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Hands e-mail to a server that carries it on.
#[async_trait]
pub trait MailPort: Send + Sync {
    /// Hands a message over. `Ok` is the server's word that it has it; who repeats a message says the same `message_id`, and the
    /// recipient may yet see it twice.
    async fn send(&self, mail: Mail) -> Result<(), PortError>;
}

/// Where nobody has said how e-mail leaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMail;

#[async_trait]
impl MailPort for NoMail {
    async fn send(&self, _mail: Mail) -> Result<(), PortError> {
        Err(PortError::permanent("mail_unconfigured", "no mail.url is set: no e-mail leaves"))
    }
}
