//! Enrolment, seen from the control plane: who applies, and what they are answered.
use std::net::IpAddr;

use cairn_core::{NodeId, Timestamp};
use cairn_fleet::{HostKey, NodeFacts};
use cairn_node::{EnrolRequest, EnrolResponse, SignedEnrolment};
use russh::keys::PublicKey;
use sha2::{Digest, Sha256};

use crate::authority::CertificateAuthority;
use crate::convert::facts_from_wire;
use crate::error::{AuthorityError, EnrolmentError};
use crate::identity::key_error;

/// More host keys than any machine has.
const HOST_KEYS_MAX: usize = 8;

/// A node that asks to be let in, its words checked for form. Whether its token is good is for the domain to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Applicant {
    pub node_id: NodeId,
    pub token: String,
    pub address: String,
    pub port: u16,
    pub host_keys: Vec<HostKey>,
    pub facts: NodeFacts,
}

/// What an applicant gets, once the domain has let it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Serial of its host certificates.
    pub host_certificate_serial: u64,
    /// The body of the answer.
    pub answer: SignedEnrolment,
}

impl Applicant {
    /// Reads what a node posted; `peer` is where it came from.
    ///
    /// # Errors
    /// When the words are not well formed, or the node says itself that it is not ready.
    pub fn try_from_request(request: &EnrolRequest, peer: IpAddr) -> Result<Self, EnrolmentError> {
        let node_id = request.node_id().parse().map_err(|_| EnrolmentError::BadToken)?;
        let named = request.address.clone().unwrap_or_else(|| peer.to_string());
        let address = address(&named).ok_or(EnrolmentError::BadAddress(named))?;
        if request.host_keys.is_empty() || request.host_keys.len() > HOST_KEYS_MAX {
            return Err(EnrolmentError::BadHostKey(format!("{} of them", request.host_keys.len())));
        }
        let host_keys: Result<_, _> = request.host_keys.iter().map(|key| canonical(key)).collect();
        if !request.facts.missing.is_empty() {
            return Err(EnrolmentError::NotReady(request.facts.missing.join(", ")));
        }
        Ok(Self {
            node_id,
            token: request.token.clone(),
            address,
            port: request.port,
            host_keys: host_keys?,
            facts: facts_from_wire(&request.facts),
        })
    }
}

impl CertificateAuthority {
    /// Signs an applicant's host keys and the answer that brings them. Nothing is granted by this: the domain decides whether the
    /// answer is sent.
    ///
    /// # Errors
    /// When a key cannot be signed.
    pub fn admit(
        &self,
        applicant: &Applicant,
        now: Timestamp,
    ) -> Result<Admission, AuthorityError> {
        let node = (applicant.node_id, applicant.address.as_str());
        let host = self.certify(node, &applicant.host_keys, now)?;
        let host_certificate_serial = host.serial;
        let response = EnrolResponse {
            node_id: applicant.node_id.to_string(),
            token_sha256: hex::encode(Sha256::digest(&applicant.token)),
            host,
            host_authority: self.host_authority()?,
            control_authority: self.control_authority()?,
            tenant_authority: self.tenant_authority()?,
        };
        let answer = serde_json::to_string(&response).map_err(key_error)?;
        let signature = self.sign_answer(answer.as_bytes())?;
        let answer = SignedEnrolment { answer, signature };
        Ok(Admission { host_certificate_serial, answer })
    }
}

/// `type base64`, whatever comment it came with.
pub fn canonical(text: &str) -> Result<HostKey, EnrolmentError> {
    let bad = |_| EnrolmentError::BadHostKey(text.chars().take(80).collect());
    let mut key = PublicKey::from_openssh(text).map_err(bad)?;
    key.set_comment("");
    key.to_openssh().map_err(bad)
}

/// One way only to write it: two nodes with one address are found out by comparing.
fn address(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let is_name = !text.is_empty() && text.len() <= 253 && !text.starts_with('-');
    let text = text.strip_suffix('.').unwrap_or(text);
    (is_name && text.bytes().all(name)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use cairn_core::{NodeId, Timestamp};
    use cairn_node::{EnrolRequest, EnrolResponse, Facts, Resources};
    use russh::keys::Certificate;

    use super::Applicant;
    use crate::authority::CertificateAuthority;
    use crate::error::EnrolmentError;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB6NDJ3IX4iL9qqcEXRqPrgAwn0kQ0IJc6cj4vG6OQZ1";

    fn request() -> EnrolRequest {
        let facts = Facts {
            hostname: "n1".to_owned(),
            os: "Debian".to_owned(),
            helper_version: "0.1.0".to_owned(),
            cgroup: "v2".to_owned(),
            home_limit: "loop".to_owned(),
            boot_id: String::new(),
            uptime_millis: 0,
            clock_micros: 0,
            certified_until_micros: None,
            total: Resources::default(),
            last_uid: 0,
            usage: None,
            missing: vec![],
        };
        EnrolRequest {
            token: format!("{}.00ff", NodeId::from_bits(7)),
            hostname: "n1".to_owned(),
            address: None,
            port: 22,
            host_keys: vec![KEY.to_owned()],
            facts,
        }
    }

    #[test]
    fn a_node_is_found_where_it_came_from_unless_it_says_otherwise() {
        let applicant = Applicant::try_from_request(&request(), PEER).unwrap();
        assert_eq!(applicant.address, "192.0.2.7");
        let told = EnrolRequest { address: Some("n1.example.org".to_owned()), ..request() };
        assert_eq!(Applicant::try_from_request(&told, PEER).unwrap().address, "n1.example.org");
        let odd = EnrolRequest { address: Some("-oProxyCommand=sh".to_owned()), ..request() };
        assert!(matches!(
            Applicant::try_from_request(&odd, PEER),
            Err(EnrolmentError::BadAddress(_))
        ));
    }

    #[test]
    fn an_address_is_written_in_one_way() {
        let cases = [
            ("::FFFF:192.0.2.7", "192.0.2.7"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("N1.Example.org.", "n1.example.org"),
        ];
        for (said, written) in cases {
            let told = EnrolRequest { address: Some(said.to_owned()), ..request() };
            assert_eq!(Applicant::try_from_request(&told, PEER).unwrap().address, written);
        }
        let mapped = "::ffff:192.0.2.9".parse().unwrap();
        assert_eq!(Applicant::try_from_request(&request(), mapped).unwrap().address, "192.0.2.9");
    }

    #[test]
    fn host_keys_must_be_keys() {
        let none = EnrolRequest { host_keys: vec![], ..request() };
        assert!(matches!(
            Applicant::try_from_request(&none, PEER),
            Err(EnrolmentError::BadHostKey(_))
        ));
        let odd = EnrolRequest { host_keys: vec!["ssh-ed25519 zzz".to_owned()], ..request() };
        assert!(matches!(
            Applicant::try_from_request(&odd, PEER),
            Err(EnrolmentError::BadHostKey(_))
        ));
    }

    #[test]
    fn a_token_without_a_node_is_refused() {
        let odd = EnrolRequest { token: "secret".to_owned(), ..request() };
        assert_eq!(Applicant::try_from_request(&odd, PEER), Err(EnrolmentError::BadToken));
    }

    #[test]
    fn the_host_certificate_names_the_node_and_its_address() {
        let directory = tempfile::tempdir().unwrap();
        let authority = CertificateAuthority::open(&directory.path().join("a")).unwrap();
        let applicant = Applicant::try_from_request(&request(), PEER).unwrap();
        let admission = authority.admit(&applicant, Timestamp::from_secs(1_800_000_000)).unwrap();
        let response: EnrolResponse = serde_json::from_str(&admission.answer.answer).unwrap();
        let certificate = Certificate::from_openssh(&response.host.certificates[0]).unwrap();
        let node = NodeId::from_bits(7).to_string();
        assert_eq!(certificate.valid_principals(), [node, "192.0.2.7".to_owned()]);
        assert_eq!(certificate.serial(), admission.host_certificate_serial);
        assert_eq!(certificate.valid_before(), 1_800_000_000 + 90 * 86_400);
    }
}
