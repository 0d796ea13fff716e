//! Cairn's way to its nodes.
//!
//! The vendor is `russh`; nothing of it leaves this crate. OpenSSH on the node guarantees that a certificate opens exactly what it
//! names, for as long as it says. We guarantee that no key that opens a node is ever stored (see ADR 0005), that a node whose
//! host key is not pinned is never spoken to, and that every call ends.
mod authority;
mod client;
mod convert;
mod enrolment;
mod error;
#[cfg(any(test, feature = "scripted"))]
mod fake;
mod identity;
mod nodes;
mod prove;
mod source;

pub use authority::CertificateAuthority;
pub use enrolment::{Admission, Applicant};
pub use error::{AuthorityError, EnrolmentError};
#[cfg(any(test, feature = "scripted"))]
pub use fake::{Call, ScriptedNodes, When};
pub use identity::Credential;
pub use nodes::{SshConfig, SshNodes};
pub use source::{SourceAddress, SourceAddressError};

/// The documents that cross the wire at enrolment, for the HTTP route.
pub use cairn_node::{EnrolRequest, EnrolResponse, SignedEnrolment};
