//! E-mail: the mail port over SMTP, or into a folder. The only crate that names lettre.
//!
//! What the server gives us: `250` after the text means that it has the message and will carry it on or tell the sender. What we
//! add: nothing leaves this machine without TLS, every attempt bears the same `Message-ID`, and no attempt waits for ever.
mod config;
mod error;
mod folder;
mod mailer;
mod message;
mod smtp;

pub use config::{MailConfig, Malformed, Place, Sender, SmtpPlace, Tls};
pub use mailer::Mailer;
