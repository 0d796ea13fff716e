//! From SMTP's errors to the caller's only question: again, never like this, or not with this server?
use std::error::Error as _;
use std::io;

use cairn_commands::ports::{FailureKind, PortError};
use lettre::transport::smtp::Error;

/// Replies to our login rather than to the message (RFC 4954): the message is as good as before once somebody has mended that.
const LOGIN: [u16; 4] = [530, 534, 535, 538];

/// The message was not handed over. What a server says may repeat the address, which is nobody's business.
pub(crate) fn undelivered(error: &Error, to: &str) -> PortError {
    let says = error.to_string().replace(to, "…");
    let status = error.status().map(u16::from);
    if status.is_some_and(|code| LOGIN.contains(&code)) {
        return PortError::transient("mail_login_refused", says);
    }
    if error.is_permanent() {
        return PortError::permanent("mail_refused", says);
    }
    if error.is_transient() {
        return PortError::transient("mail_deferred", says);
    }
    if error.is_tls() || error.is_client() || is_handshake(error) {
        return PortError::new(FailureKind::Untrusted, "mail_unsealed", says);
    }
    PortError::transient("mail_unreachable", says)
}

/// Whether TLS itself failed, which comes as an error of reading.
fn is_handshake(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        source = error.source();
    }
    false
}

/// The message can never be written down.
pub(crate) fn malformed(what: &str, why: impl std::fmt::Display) -> PortError {
    PortError::permanent("mail_malformed", format!("{what}: {why}"))
}

/// The configuration is of no use.
pub(crate) fn config(why: impl std::fmt::Display) -> PortError {
    PortError::permanent("mail_config", why.to_string())
}
