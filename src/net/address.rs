//! Blocks of IP addresses, and which addresses belong to the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that share their first bits (CIDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    first: IpAddr,
    /// Number of shared bits.
    prefix: u8,
}

impl Block {
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    const fn v6(a: u16, b: u16, prefix: u8) -> Self {
        Self { first: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), prefix }
    }

    /// Parses `ADDRESS/PREFIX`; `ADDRESS` alone is the block of that address. `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().ok()?;
        let bits = if first.is_ipv4() { 32 } else { 128 };
        let prefix =
            prefix.map_or(Some(bits), |prefix| prefix.parse().ok()).filter(|prefix| *prefix <= bits)?;
        Some(Self { first, prefix })
    }

    /// Whether the address lies in the block; false for an address of the other family.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => (first.to_bits() ^ address.to_bits()).leading_zeros(),
            (IpAddr::V6(first), IpAddr::V6(address)) => (first.to_bits() ^ address.to_bits()).leading_zeros(),
            _ => return false,
        };
        differing >= self.prefix.into()
    }
}

/// IPv4 blocks that are not public, with their purposes (IANA IPv4 Special-Purpose Address Registry).
const SPECIAL_V4: [(Block, &str); 17] = [
    (Block::v4(0, 0, 0, 0, 8), "this network"),
    (Block::v4(10, 0, 0, 0, 8), "private"),
    (Block::v4(100, 64, 0, 0, 10), "shared by a carrier"),
    (Block::v4(127, 0, 0, 0, 8), "loopback"),
    // A public address, but on Azure's virtual machines it is their metadata service, which hands out secrets.
    (Block::v4(168, 63, 129, 16, 32), "a cloud's metadata"),
    (Block::v4(169, 254, 0, 0, 16), "link-local"),
    (Block::v4(172, 16, 0, 0, 12), "private"),
    (Block::v4(192, 0, 0, 0, 24), "reserved"),
    (Block::v4(192, 0, 2, 0, 24), "for documentation"),
    (Block::v4(192, 88, 99, 0, 24), "reserved"),
    (Block::v4(192, 168, 0, 0, 16), "private"),
    (Block::v4(198, 18, 0, 0, 15), "for benchmarks"),
    (Block::v4(198, 51, 100, 0, 24), "for documentation"),
    (Block::v4(203, 0, 113, 0, 24), "for documentation"),
    (Block::v4(224, 0, 0, 0, 4), "multicast"),
    (Block::v4(255, 255, 255, 255, 32), "broadcast"),
    (Block::v4(240, 0, 0, 0, 4), "reserved"),
];

/// IPv6 blocks that are not public, with their purposes (IANA IPv6 Special-Purpose Address Registry). The first block
/// that contains an address names its purpose, so a block comes before the larger ones around it.
const SPECIAL_V6: [(Block, &str); 10] = [
    (Block::v6(0, 0, 80), "unspecified, loopback or an IPv4 address in disguise"),
    (Block::v6(0xfc00, 0, 7), "private"),
    (Block::v6(0xfe80, 0, 10), "link-local"),
    (Block::v6(0xfec0, 0, 10), "site-local"),
    (Block::v6(0xff00, 0, 8), "multicast"),
    (Block::v6(0x2001, 0, 32), "a tunnel's"),
    (Block::v6(0x2001, 0, 23), "reserved"),
    (Block::v6(0x2001, 0xdb8, 32), "for documentation"),
    (Block::v6(0x3fff, 0, 20), "for documentation"),
    (Block::v6(0x0064, 0xff9b, 32), "a translator's"),
];

/// The only part of IPv6 from which public addresses are assigned.
const PUBLIC_V6: Block = Block::v6(0x2000, 0, 3);

/// The purpose of an address that is not public; `None` for a public one.
pub(super) fn why_not_public(address: IpAddr) -> Option<&'static str> {
    let special = |blocks: &[(Block, &'static str)]| {
        blocks.iter().find(|(block, _)| block.contains(address)).map(|(_, what)| *what)
    };
    match address {
        IpAddr::V4(_) => special(&SPECIAL_V4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => why_not_public(v4.into()),
            None => special(&SPECIAL_V6).or((!PUBLIC_V6.contains(address)).then_some("reserved")),
        },
    }
}

/// The IPv4 address that a translator (NAT64, RFC 6052) or a tunnel (6to4, RFC 3056) would connect to for an IPv6
/// address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(Ipv4Addr::from_bits(bits as u32)),
        [0x2002, ..] => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_what_shares_their_prefix() {
        for (block, inside, outside) in [
            ("10.1.2.3/8", "10.255.0.0", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "0.0.0.1"),
            ("10.0.0.0/31", "10.0.0.1", "10.0.0.2"),
        ] {
            let block = Block::parse(block).unwrap();
            assert!(block.contains(inside.parse().unwrap()), "{block:?} {inside}");
            assert!(!block.contains(outside.parse().unwrap()), "{block:?} {outside}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "10.0.0.0/-1", "host"] {
            assert_eq!(Block::parse(text), None, "{text}");
        }
    }
}
