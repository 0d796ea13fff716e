//! Three certificate authorities: one for nodes' host keys, one for the control plane's logins, one for tenants' sessions.
//!
//! Each has its own key, so that none can speak for another; the principals `ctl:<node>` and `alloc:<id>` are disjoint as well.
//! The keys are made on first use, in a directory that only its owner can enter.
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use cairn_core::{AllocationId, NodeId, Timestamp};
use cairn_fleet::HostKey;
use cairn_node::{
    CONTROL_COMMAND, ENROL_NAMESPACE, HostCertificates, control_principal, tenant_principal,
};
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::{LineEnding, public::KeyData};
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey};

use crate::error::AuthorityError;
use crate::identity::{Credential, key_error, new_key, random, serial};
use crate::source::{self, SourceAddress};

/// A clock may be this far behind ours.
const SKEW_SECONDS: i64 = 30;
const HOST_SECONDS: i64 = 90 * 24 * 3_600;
/// Time to connect, not time to work: an open session outlives its certificate.
const CONTROL_SECONDS: i64 = 120;
const SESSION_SECONDS: i64 = 60;

/// Signs who is who.
pub struct CertificateAuthority {
    host: PrivateKey,
    control: PrivateKey,
    tenant: PrivateKey,
}

/// What a certificate says beside its key.
struct Claim<'a> {
    kind: CertType,
    key_id: String,
    principals: Vec<String>,
    from: Timestamp,
    seconds: i64,
    serial: u64,
    /// One command, whatever is asked for.
    command: Option<&'a str>,
    /// Where it may be used from; anywhere when empty.
    sources: &'a [SourceAddress],
    extensions: &'a [&'a str],
}

impl CertificateAuthority {
    /// Opens the authorities in a directory, making what is missing. Blocks on files.
    ///
    /// # Errors
    /// When a key cannot be read, written or made, or is readable by others.
    pub fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let io = |source| AuthorityError::Io { path: directory.display().to_string(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        check_closed(directory)?;
        let key = |name: &str| open_key(&directory.join(name), name);
        Ok(Self { host: key("host_ca")?, control: key("control_ca")?, tenant: key("tenant_ca")? })
    }

    /// What an enrolment command names: `SHA256:…` of the key that signs host certificates.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.host.public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    /// Line for customers' `known_hosts`: trusts every node of this control plane, whatever its address.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn known_hosts_line(&self) -> Result<String, AuthorityError> {
        Ok(format!("@cert-authority * {}", self.host_authority()?))
    }

    pub(crate) fn host_authority(&self) -> Result<String, AuthorityError> {
        public_text(&self.host)
    }

    pub(crate) fn control_authority(&self) -> Result<String, AuthorityError> {
        public_text(&self.control)
    }

    pub(crate) fn tenant_authority(&self) -> Result<String, AuthorityError> {
        public_text(&self.tenant)
    }

    /// Certificates for a node's host keys: principals are the node and its address, for 90 days.
    pub(crate) fn certify(
        &self,
        (node_id, address): (NodeId, &str),
        host_keys: &[HostKey],
        now: Timestamp,
    ) -> Result<HostCertificates, AuthorityError> {
        let serial = serial()?;
        let certify = |text: &HostKey| {
            let claim = Claim {
                kind: CertType::Host,
                key_id: format!("host:{node_id}"),
                principals: vec![node_id.to_string(), address.to_owned()],
                from: now,
                seconds: HOST_SECONDS,
                serial,
                command: None,
                sources: &[],
                extensions: &[],
            };
            let key = PublicKey::from_openssh(text).map_err(key_error)?;
            sign(&self.host, key.key_data(), claim)?.to_openssh().map_err(key_error)
        };
        let certificates: Result<_, _> = host_keys.iter().map(certify).collect();
        let until_micros = now.plus_secs(HOST_SECONDS).as_micros();
        Ok(HostCertificates { certificates: certificates?, serial, until_micros })
    }

    /// A login of the control plane to one node, good for two minutes from these addresses (anywhere, when there are none): one
    /// forced command, no terminal, no forwarding.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn mint_control(
        &self,
        node_id: NodeId,
        sources: &[SourceAddress],
        now: Timestamp,
    ) -> Result<Credential, AuthorityError> {
        let claim = Claim {
            kind: CertType::User,
            key_id: format!("control:{node_id}"),
            principals: vec![control_principal(&node_id.to_string())],
            from: now,
            seconds: CONTROL_SECONDS,
            serial: serial()?,
            command: Some(CONTROL_COMMAND),
            sources,
            extensions: &[],
        };
        mint(&self.control, claim)
    }

    /// A login as a tenant, good for one minute from these addresses (anywhere, when there are none). The session's id goes into
    /// sshd's log.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn mint_session(
        &self,
        allocation_id: AllocationId,
        session_id: &str,
        sources: &[SourceAddress],
        now: Timestamp,
    ) -> Result<Credential, AuthorityError> {
        let claim = Claim {
            kind: CertType::User,
            key_id: format!("session:{session_id}"),
            principals: vec![tenant_principal(&allocation_id.to_string())],
            from: now,
            seconds: SESSION_SECONDS,
            serial: serial()?,
            command: None,
            sources,
            extensions: &["permit-pty"],
        };
        mint(&self.tenant, claim)
    }

    /// Signs the answer to an enrolment as the host authority.
    pub(crate) fn sign_answer(&self, answer: &[u8]) -> Result<String, AuthorityError> {
        let signed = self.host.sign(ENROL_NAMESPACE, HashAlg::Sha512, answer).map_err(key_error)?;
        signed.to_pem(LineEnding::LF).map_err(key_error)
    }
}

fn mint(authority: &PrivateKey, claim: Claim<'_>) -> Result<Credential, AuthorityError> {
    let key = new_key(&claim.key_id)?;
    let certificate = sign(authority, key.public_key().key_data(), claim)?;
    Ok(Credential { key, certificate })
}

fn sign(
    authority: &PrivateKey,
    subject: &KeyData,
    claim: Claim<'_>,
) -> Result<Certificate, AuthorityError> {
    let seconds = |at: Timestamp| u64::try_from(at.as_micros() / 1_000_000).unwrap_or_default();
    let (from, until) = (claim.from.plus_secs(-SKEW_SECONDS), claim.from.plus_secs(claim.seconds));
    let nonce = random::<32>()?;
    let mut builder =
        Builder::new(nonce, subject.clone(), seconds(from), seconds(until)).map_err(key_error)?;
    builder.cert_type(claim.kind).map_err(key_error)?;
    builder.serial(claim.serial).map_err(key_error)?;
    builder.key_id(claim.key_id).map_err(key_error)?;
    for principal in claim.principals {
        builder.valid_principal(principal).map_err(key_error)?;
    }
    if let Some(command) = claim.command {
        builder.critical_option("force-command", command).map_err(key_error)?;
    }
    if let Some(addresses) = source::option(claim.sources) {
        builder.critical_option("source-address", addresses).map_err(key_error)?;
    }
    for name in claim.extensions {
        builder.extension(*name, "").map_err(key_error)?;
    }
    builder.sign(authority).map_err(key_error)
}

fn public_text(key: &PrivateKey) -> Result<String, AuthorityError> {
    key.public_key().to_openssh().map_err(key_error)
}

fn check_closed(path: &Path) -> Result<(), AuthorityError> {
    let name = path.display().to_string();
    let metadata =
        fs::metadata(path).map_err(|source| AuthorityError::Io { path: name.clone(), source })?;
    if metadata.permissions().mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(AuthorityError::Exposed(name))
    }
}

/// Reads a key, making it if there is none. Of several makers the first wins, and a crash leaves no half key.
fn open_key(path: &Path, name: &str) -> Result<PrivateKey, AuthorityError> {
    let io = |source| AuthorityError::Io { path: path.display().to_string(), source };
    if !path.exists() {
        let text =
            new_key(&format!("cairn {name}"))?.to_openssh(LineEnding::LF).map_err(key_error)?;
        let suffix = hex::encode(random::<8>()?);
        let draft = path.with_file_name(format!(".{name}.{suffix}"));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let written = made.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            match fs::hard_link(&draft, path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        });
        let removed = fs::remove_file(&draft);
        written.and(removed).map_err(io)?;
    }
    check_closed(path)?;
    let text = fs::read_to_string(path).map_err(io)?;
    PrivateKey::from_openssh(text).map_err(key_error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use cairn_core::{AllocationId, NodeId, Timestamp};

    use super::CertificateAuthority;
    use crate::error::AuthorityError;
    use crate::source::SourceAddress;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn the_keys_are_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authority");
        let first = CertificateAuthority::open(&path).unwrap();
        let again = CertificateAuthority::open(&path).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert!(first.fingerprint().starts_with("SHA256:"));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3);
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authority");
        CertificateAuthority::open(&path).unwrap();
        fs::set_permissions(path.join("host_ca"), fs::Permissions::from_mode(0o644)).unwrap();
        let opened = CertificateAuthority::open(&path);
        assert!(matches!(opened, Err(AuthorityError::Exposed(_))));
    }

    #[test]
    fn a_control_login_can_do_one_thing_on_one_node_for_two_minutes() {
        let directory = tempfile::tempdir().unwrap();
        let authority = CertificateAuthority::open(&directory.path().join("a")).unwrap();
        let node = NodeId::from_bits(7);
        let minted = authority.mint_control(node, &[], NOW).unwrap().certificate;
        assert_eq!(minted.valid_principals(), [format!("ctl:{node}")]);
        assert_eq!(minted.critical_options().get("force-command").unwrap(), "cairn-node serve");
        assert!(minted.extensions().is_empty());
        assert_eq!(minted.valid_before(), 1_800_000_120);
    }

    #[test]
    fn a_login_says_where_it_may_come_from_only_when_that_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let authority = CertificateAuthority::open(&directory.path().join("a")).unwrap();
        let said = |sources: &[SourceAddress]| {
            let control = authority.mint_control(NodeId::from_bits(7), sources, NOW).unwrap();
            let session = authority.mint_session(AllocationId::from_bits(7), "s", sources, NOW);
            [control, session.unwrap()]
                .map(|minted| minted.certificate.critical_options().get("source-address").cloned())
        };
        assert_eq!(said(&[]), [None, None]);
        let sources = ["192.0.2.0/24", "2001:db8::1"].map(|text| text.parse().unwrap());
        let both = Some("192.0.2.0/24,2001:db8::1".to_owned());
        assert_eq!(said(&sources), [both.clone(), both]);
    }

    #[test]
    fn no_two_logins_share_a_key_or_a_serial() {
        let directory = tempfile::tempdir().unwrap();
        let authority = CertificateAuthority::open(&directory.path().join("a")).unwrap();
        let allocation = AllocationId::from_bits(7);
        let mint = || authority.mint_session(allocation, "s", &[], NOW).unwrap().certificate;
        let (one, two) = (mint(), mint());
        assert_ne!(one.public_key(), two.public_key());
        assert_ne!(one.serial(), two.serial());
        assert_eq!(one.valid_before(), 1_800_000_060);
        assert_ne!(one.signature_key(), authority.control.public_key().key_data());
    }
}
