//! Where a login may come from: sshd's `source-address`.
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address, or a network in CIDR notation, that the control plane connects from.
///
/// sshd refuses a certificate with a list that it cannot read, so nothing else can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceAddress {
    network: IpAddr,
    /// `None` for one address.
    prefix: Option<u8>,
}

/// Neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an address or a network such as 192.0.2.0/24")]
pub struct SourceAddressError(String);

impl From<IpAddr> for SourceAddress {
    fn from(address: IpAddr) -> Self {
        // sshd sees IPv4 as IPv4, whatever its socket.
        Self { network: address.to_canonical(), prefix: None }
    }
}

impl FromStr for SourceAddress {
    type Err = SourceAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || SourceAddressError(text.to_owned());
        let Some((network, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| wrong());
        };
        let network: IpAddr = network.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let (bits, width) = match network {
            IpAddr::V4(it) => (u128::from(it.to_bits()) << 96, 32),
            IpAddr::V6(it) => (it.to_bits(), 128),
        };
        let outside = bits.checked_shl(u32::from(prefix)).unwrap_or_default();
        if prefix > width || outside != 0 || network.to_canonical() != network {
            return Err(wrong());
        }
        Ok(Self { network, prefix: Some(prefix) })
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.network),
            None => self.network.fmt(f),
        }
    }
}

/// As the critical option says it; `None` for anywhere.
pub fn option(sources: &[SourceAddress]) -> Option<String> {
    let texts: Vec<_> = sources.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::{SourceAddress, option};

    fn parsed(text: &str) -> Result<String, String> {
        let address = text.parse::<SourceAddress>();
        address.map(|it| it.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_and_networks_are_said_as_sshd_reads_them() {
        for text in ["192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "192.0.2.7/32", "2001:db8::/32"] {
            assert_eq!(parsed(text).unwrap(), text);
        }
        assert_eq!(parsed("::ffff:192.0.2.7").unwrap(), "192.0.2.7");
        let both = ["192.0.2.7", "::1"].map(|text| text.parse().unwrap());
        assert_eq!(option(&both).unwrap(), "192.0.2.7,::1");
        assert_eq!(option(&[]), None);
    }

    #[test]
    fn what_sshd_would_stumble_over_is_refused() {
        let wrong = ["", "here", "192.0.2.0/33", "192.0.2.7/24", "1.2.3.4/", "!1.2.3.4", "::1/0"];
        for text in [&wrong[..], &["192.0.2.0/24,::1", "::ffff:192.0.2.0/120"]].concat() {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
