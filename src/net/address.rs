//! Which addresses a name may lead to.
//!
//! The hard problem: whoever answers for a name can answer with an address of this host, or of what only this host can
//! reach: the metadata service of its cloud hands out credentials (DNS rebinding). The answer: such addresses are
//! reached by those who name them as addresses, never by a name. Private networks (RFC 1918, RFC 4193) are let through,
//! for secret managers live there.
//!
//! An IPv6 address that has an IPv4 address inside is judged by that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a name must not lead there.
#[must_use]
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_forbidden_v4(address),
        IpAddr::V6(address) => is_forbidden_v6(address) || inside(address).into_iter().any(is_forbidden_v4),
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // 0.0.0.0/8 is this host (RFC 1122, section 3.2.1.3); from 224 on: multicast, reserved, broadcast.
    first == 0
        || first >= 224
        || address.is_loopback()
        || address.is_link_local()
        // Metadata outside of 169.254.0.0/16: Alibaba Cloud; Azure's host.
        || [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)].contains(&address)
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let is_of_metadata = matches!(segments, [0xfd00, 0x0ec2, ..]) // EC2
        || segments == [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]; // Google Compute Engine
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || is_of_metadata
}

/// The IPv4 addresses that it may stand for.
fn inside(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
    let last = at([12, 13, 14, 15]);
    match address.segments() {
        // Mapped and "compatible" (RFC 4291, section 2.5.5), translated (RFC 6145), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            vec![last]
        }
        // NAT64 by local choice (RFC 8215): prefixes of 48, 56, 64 and 96 bits fit in (RFC 6052, section 2.2).
        [0x64, 0xff9b, 1, ..] => {
            let places = [at([6, 7, 9, 10]), at([7, 9, 10, 11]), at([9, 10, 11, 12]), last];
            // Where the prefix is another one, there are zeros.
            places.into_iter().filter(|address| address.octets()[0] != 0).collect()
        }
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        // Teredo (RFC 4380, section 4): the server, and the client with its bits turned over.
        [0x2001, 0, ..] => vec![at([4, 5, 6, 7]), Ipv4Addr::from_bits(!last.to_bits())],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_the_world_and_to_private_networks() {
        for fine in [
            "1.1.1.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.7.7",
            "100.64.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "fd12:3456::1",
            "::ffff:10.1.2.3",
            "64:ff9b::8.8.8.8",
            "2002:0808:0808::1",
            "64:ff9b:1::8.8.8.8",
        ] {
            assert!(!is_forbidden(fine.parse().unwrap()), "{fine}");
        }
    }

    #[test]
    fn a_name_does_not_lead_to_this_host_nor_to_what_only_it_can_reach() {
        for evil in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "169.254.0.1",
            "224.0.0.1",
            "239.9.9.9",
            "240.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:127.0.0.1",
            "::ffff:0:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1:7f00:0:100::",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2001:0:7f00:1::1",
            "2001:0:808:808:0:0:80ff:fffe",
        ] {
            assert!(is_forbidden(evil.parse().unwrap()), "{evil}");
        }
    }
}
