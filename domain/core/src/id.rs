//! Ids: a prefix that names the kind and 26 characters of time-ordered Crockford base 32 (`alloc_01J…`).
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wire;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// What each byte is worth as a digit; 32 and above is none.
const DIGITS: [u8; 256] = digits();
/// Digits of an id.
const LENGTH: usize = 26;

const fn digits() -> [u8; 256] {
    let (mut digits, mut at) = ([u8::MAX; 256], 0_u8);
    while (at as usize) < ALPHABET.len() {
        digits[ALPHABET[at as usize] as usize] = at;
        at += 1;
    }
    digits
}

/// The text is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an id of the form {prefix}_ and 26 characters of base 32")]
pub struct IdError {
    /// What was given.
    pub text: String,
    /// The prefix of the kind asked for.
    pub prefix: &'static str,
}

/// 128 bits as 26 characters of Crockford base 32, the form of a ULID.
fn encode(bits: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; LENGTH];
    for (place, byte) in text.iter_mut().rev().enumerate() {
        let digit = usize::try_from((bits >> (place * 5)) & 31).unwrap_or_default();
        *byte = ALPHABET[digit];
    }
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != LENGTH || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0_u128, |bits, byte| {
        let digit = DIGITS[usize::from(byte)];
        (digit < 32).then(|| (bits << 5) | u128::from(digit))
    })
}

/// Joins 48 bits of milliseconds and 80 bits of randomness, as a ULID does.
#[must_use]
pub const fn time_ordered(millis: u64, random: u128) -> u128 {
    ((millis as u128) << 80) | (random & ((1 << 80) - 1))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The prefix of this kind of id.
            pub const PREFIX: &'static str = $prefix;

            /// From 128 bits: time-ordered for new things, a hash for derived ones.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// The 128 bits.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                encode(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or_else(|| IdError { text: text.to_owned(), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                wire::parsed(deserializer)
            }
        }
    )+
        /// Whether a text is an id of any kind.
        #[must_use]
        pub fn is_id(text: &str) -> bool {
            [$($name::PREFIX),+].iter().any(|prefix| {
                let rest = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
                rest.and_then(decode).is_some()
            })
        }
    };
}

ids! {
    /// An organisation: owns wallets, keys and allocations.
    OrganisationId = "org";
    /// An API key.
    ApiKeyId = "key";
    /// A node.
    NodeId = "node";
    /// An allocation of compute.
    AllocationId = "alloc";
    /// A hold on a wallet.
    HoldId = "hold";
    /// A top-up by payment.
    PaymentId = "pay";
    /// A refund of a payment.
    RefundId = "refund";
    /// A discount of an organisation.
    DiscountId = "discount";
    /// A dispute about a payment; from the provider's id of it.
    DisputeId = "dispute";
    /// A payout of the provider to our bank; from the provider's id of it.
    PayoutId = "payout";
    /// What an organisation pays with, kept at the provider.
    PaymentMethodId = "method";
    /// Promotional credit in a wallet.
    CreditId = "credit";
    /// A person who signs in.
    UserId = "user";
    /// A person's session in one browser or terminal.
    SessionId = "sess";
    /// An invitation into an organisation.
    InvitationId = "inv";
    /// A customer's leave for support to look.
    GrantId = "grant";
    /// An endpoint that webhooks go to.
    WebhookEndpointId = "whe";
    /// A program that an organisation knows by name: who its keys are.
    ServiceAccountId = "sa";
    /// A project of an organisation.
    ProjectId = "proj";
    /// The case of a break between the books and the provider's book.
    BreakId = "break";
}

#[cfg(test)]
mod tests {
    use super::{AllocationId, NodeId, time_ordered};

    #[test]
    fn an_id_survives_its_text() {
        let id = AllocationId::from_bits(time_ordered(1_700_000_000_000, 42));
        assert_eq!(id.to_string().len(), "alloc_".len() + 26);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn later_ids_sort_later_as_text() {
        let early = AllocationId::from_bits(time_ordered(1, u128::MAX)).to_string();
        let late = AllocationId::from_bits(time_ordered(2, 0)).to_string();
        assert!(early < late);
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        let node = NodeId::from_bits(7).to_string();
        assert!(node.parse::<AllocationId>().is_err());
        assert!("alloc_zzz".parse::<AllocationId>().is_err());
        assert!("alloc_8ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<AllocationId>().is_err());
    }
}
