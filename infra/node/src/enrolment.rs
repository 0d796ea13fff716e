//! Enrolment: the node presents a one-time token and its host keys, and is answered with the keys it is to trust.
//!
//! The answer holds keys, never configuration: the node writes its own sshd configuration.
use serde::{Deserialize, Serialize};

use crate::{Facts, HostCertificates};

/// Namespace of the signature over an [`EnrolResponse`].
pub const ENROL_NAMESPACE: &str = "cairn-enrol";

/// What a node posts to `/v1/nodes/enrol`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// One-time token from the invitation: `<node id>.<secret>`.
    pub token: String,
    /// Host name the node gives itself.
    pub hostname: String,
    /// Address the control plane shall connect to; by default the one the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Port of its SSH server.
    pub port: u16,
    /// Its public host keys, `type base64`.
    pub host_keys: Vec<String>,
    /// What it is and has.
    pub facts: Facts,
}

impl EnrolRequest {
    /// The node that the invitation was for.
    #[must_use]
    pub fn node_id(&self) -> &str {
        node_of_token(&self.token)
    }
}

/// The node that a token was made for; says nothing about whether it is good.
#[must_use]
pub fn node_of_token(token: &str) -> &str {
    token.split_once('.').map_or("", |(node, _)| node)
}

/// What the control plane answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// The node.
    pub node_id: String,
    /// SHA-256 of the token in hexadecimal: binds the answer to this enrolment.
    pub token_sha256: String,
    /// Its host certificates, one per host key.
    pub host: HostCertificates,
    /// Public key that signs host certificates and this answer.
    pub host_authority: String,
    /// Public key that signs the control plane's own certificates.
    pub control_authority: String,
    /// Public key that signs tenants' session certificates.
    pub tenant_authority: String,
}

/// The answer as it travels: the exact bytes that were signed, and the signature of the host authority over them
/// (`ssh-keygen -Y verify -n cairn-enrol`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedEnrolment {
    /// An [`EnrolResponse`] as JSON text.
    pub answer: String,
    /// Armoured SSH signature.
    pub signature: String,
}
