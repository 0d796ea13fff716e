//! Masks: another text of the same form, the same one for the same text, that tells nothing about it.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_core::Text;
use cairn_core::texts::{for_each, given_by_provider};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fold::TextAt;

/// Makes the masks of one export. Who does not know its secret cannot try names until one fits.
#[derive(Clone)]
pub struct Masks(String);

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masks")
    }
}

impl Masks {
    /// The same secret makes the same masks.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Masks a payload, each text by what it is said to be; what nobody classified is taken for something said.
    pub(super) fn payload(&self, payload: &mut Value, text: TextAt) {
        for_each(payload, &mut |path, said| {
            *said = self.mask(text(path).unwrap_or(Text::Said), said);
        });
    }

    fn mask(&self, text: Text, said: &str) -> String {
        if said.is_empty() {
            return String::new();
        }
        match text {
            Text::Kept => said.to_owned(),
            Text::Movement => match given_by_provider(said) {
                Some(given) => {
                    let source = &said[..said.len() - given.len()];
                    format!("{source}{}", self.mask(Text::ProviderId, given))
                }
                None => said.to_owned(),
            },
            Text::ProviderId | Text::Instrument => {
                let kind = said.split_once('_').map_or("id", |(kind, _)| kind);
                format!("{kind}_{}", self.hex("provider", said, 8))
            }
            Text::Name => format!("name-{}", self.hex("name", said, 6)),
            // The prefix of addresses that stand in documentation and lead nowhere.
            Text::Address => {
                let hex = self.hex("address", said, 12);
                let groups: Vec<_> = (0..6).map(|at| &hex[at * 4..at * 4 + 4]).collect();
                format!("2001:db8:{}", groups.join(":"))
            }
            Text::PublicKey => {
                let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
                blob.extend(self.hash("key", said));
                format!("ssh-ed25519 {}", STANDARD.encode(blob))
            }
            Text::Hash | Text::Credential => self.hex("hash", said, 32),
            Text::Secret => format!("sealed-{}", self.hex("sealed", said, 8)),
            Text::Said | Text::Reported => format!("said {}", self.hex("said", said, 6)),
        }
    }

    fn hex(&self, kind: &str, said: &str, bytes: usize) -> String {
        hex::encode(&self.hash(kind, said)[..bytes])
    }

    /// Over length-prefixed texts.
    fn hash(&self, kind: &str, said: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [self.0.as_str(), kind, said] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use cairn_core::Text;

    use super::Masks;

    const ALL: [Text; 9] = [
        Text::Name,
        Text::Address,
        Text::PublicKey,
        Text::Hash,
        Text::Secret,
        Text::ProviderId,
        Text::Instrument,
        Text::Said,
        Text::Reported,
    ];

    #[test]
    fn the_same_text_has_the_same_mask_and_another_secret_another_one() {
        let (ours, theirs) = (Masks::new("one"), Masks::new("two"));
        for text in ALL {
            let mask = ours.mask(text, "ch_secret");
            assert_eq!(mask, ours.mask(text, "ch_secret"));
            assert_ne!(mask, ours.mask(text, "ch_other"));
            assert_ne!(mask, theirs.mask(text, "ch_secret"));
            assert!(!mask.contains("secret"), "{mask}");
        }
    }

    #[test]
    fn a_masked_key_is_a_whole_key() {
        let mask = Masks::new("one").mask(Text::PublicKey, "ssh-rsa AAAA");
        cairn_compute::check_public_key(&mask).unwrap();
        let address = Masks::new("one").mask(Text::Address, "10.0.0.2");
        address.parse::<std::net::Ipv6Addr>().unwrap();
    }

    #[test]
    fn a_providers_id_is_masked_alike_wherever_it_stands() {
        let masks = Masks::new("one");
        let id = masks.mask(Text::ProviderId, "re_1");
        assert!(id.starts_with("re_"), "{id}");
        assert_eq!(masks.mask(Text::Movement, "re_1"), id);
        assert_eq!(masks.mask(Text::Movement, "stripe/re_1"), format!("stripe/{id}"));
    }
}
