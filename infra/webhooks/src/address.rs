//! Which addresses are somewhere on the public internet.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};

/// Networks that are not on the public internet, or that nobody answers from (IANA's special-purpose registries).
const NOT_PUBLIC_4: [&str; 17] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// Of IPv6 only this is handed out for the public internet,
const PUBLIC_6: &str = "2000::/3";

/// and of it not these: they carry IPv4 within, or are for documents and experiments.
const NOT_PUBLIC_6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

struct Networks {
    not_public_4: Vec<Ipv4Net>,
    public_6: Vec<Ipv6Net>,
    not_public_6: Vec<Ipv6Net>,
}

static NETWORKS: LazyLock<Networks> = LazyLock::new(|| Networks {
    not_public_4: NOT_PUBLIC_4.iter().filter_map(|text| text.parse().ok()).collect(),
    public_6: PUBLIC_6.parse().into_iter().collect(),
    not_public_6: NOT_PUBLIC_6.iter().filter_map(|text| text.parse().ok()).collect(),
});

/// Whether an address is on the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    NETWORKS.not_public_4.iter().all(|network| !network.contains(&address))
}

fn is_public_6(address: Ipv6Addr) -> bool {
    NETWORKS.public_6.iter().any(|network| network.contains(&address))
        && NETWORKS.not_public_6.iter().all(|network| !network.contains(&address))
}

/// Whether an address is this machine. One of IPv4 that is wrapped in IPv6 is not let through as one.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::{NETWORKS, NOT_PUBLIC_4, NOT_PUBLIC_6, is_public};

    #[test]
    fn every_network_is_read() {
        assert_eq!(NETWORKS.not_public_4.len(), NOT_PUBLIC_4.len());
        assert_eq!(NETWORKS.not_public_6.len(), NOT_PUBLIC_6.len());
        assert_eq!(NETWORKS.public_6.len(), 1);
    }

    #[test]
    fn nothing_inside_is_public() {
        let inside = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in inside {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in
            ["8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
