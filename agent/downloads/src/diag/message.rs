//! Requests and replies of inet_diag, `include/uapi/linux/inet_diag.h`.
//!
//! Own code over slices: the crate for it allocates per socket and refuses a
//! `tcp_info` that is shorter than its own, which older kernels send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::download::Socket;

const HEADER_BYTES: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const ATTRIBUTE_INFO: u16 = 2;
const TCP: u8 = 6;
/// `tcpi_bytes_received`, RFC 4898 tcpEStatsAppHCThruOctetsReceived.
const BYTES_RECEIVED_AT: usize = 128;
/// ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING: the
/// states in which bytes may have come.
const STATES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// IPv4.
pub const INET: u8 = 2;
/// IPv6.
pub const INET6: u8 = 10;

/// One socket at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Which socket.
    pub socket: Socket,
    /// Its owner.
    pub uid: u32,
    /// As in `/proc/PID/fd`; 0 if no process holds it any more.
    pub inode: u32,
    /// Payload bytes so far; 0 where the kernel keeps no count.
    pub bytes_received: u64,
}

/// One message of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// A socket.
    Socket(Sample),
    /// The list is complete.
    Done,
    /// The request failed with this error number, 0 for success.
    Error(i32),
}

/// A request for all TCP sockets of a family, with their counters.
pub fn dump(family: u8, sequence: u32) -> Vec<u8> {
    request(BY_FAMILY, REQUEST | DUMP, sequence, family, 1 << (ATTRIBUTE_INFO - 1), STATES, &[0; 48])
}

/// A request to close one socket as if its owner had lost the connection.
pub fn destroy(socket: &Socket, sequence: u32) -> Vec<u8> {
    let mut id = Vec::with_capacity(48);
    id.extend(socket.local.port().to_be_bytes());
    id.extend(socket.remote.port().to_be_bytes());
    id.extend(address_bytes(socket.local.ip()));
    id.extend(address_bytes(socket.remote.ip()));
    id.extend(socket.interface.to_ne_bytes());
    // Two words, the lower one first on every machine.
    id.extend(u32::try_from(socket.cookie & 0xffff_ffff).unwrap_or_default().to_ne_bytes());
    id.extend(u32::try_from(socket.cookie >> 32).unwrap_or_default().to_ne_bytes());
    let family = if socket.local.is_ipv4() { INET } else { INET6 };
    request(DESTROY, REQUEST | ACK, sequence, family, 0, u32::MAX, &id)
}

fn address_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(v4.octets()) {
                *to = from;
            }
            bytes
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn request(kind: u16, flags: u16, sequence: u32, family: u8, extensions: u8, states: u32, id: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(72);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family, TCP, extensions, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(id);
    bytes
}

/// The messages of one datagram with `sequence`, without copies. What is cut
/// off or of another kind is left out.
pub fn replies(datagram: &[u8], sequence: u32) -> impl Iterator<Item = Reply> + '_ {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        loop {
            let length = usize::try_from(u32_at(rest, 0)?).ok()?;
            let message = rest.get(..length).filter(|m| m.len() >= HEADER_BYTES)?;
            rest = rest.get(aligned(length)..).unwrap_or_default();
            if u32_at(message, 8)? != sequence {
                continue;
            }
            let body = message.get(HEADER_BYTES..)?;
            match u16_at(message, 4)? {
                DONE => return Some(Reply::Done),
                ERROR => return Some(Reply::Error(u32_at(body, 0)?.cast_signed().checked_neg()?)),
                BY_FAMILY | DESTROY => {
                    if let Some(sample) = sample(body) {
                        return Some(Reply::Socket(sample));
                    }
                }
                _ => {}
            }
        }
    })
}

/// `struct inet_diag_msg` and its attributes.
fn sample(body: &[u8]) -> Option<Sample> {
    let family = *body.first()?;
    let address = |at: usize, port_at: usize| -> Option<SocketAddr> {
        let ip: IpAddr = match family {
            INET => Ipv4Addr::from(array::<4>(body, at)?).into(),
            INET6 => Ipv6Addr::from(array::<16>(body, at)?).into(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(array(body, port_at)?)))
    };
    let cookie = u64::from(u32_at(body, 44)?) | u64::from(u32_at(body, 48)?) << 32;
    let socket = Socket { cookie, local: address(8, 4)?, remote: address(24, 6)?, interface: u32_at(body, 40)? };
    let (uid, inode) = (u32_at(body, 64)?, u32_at(body, 68)?);
    let bytes_received = tcp_info(body.get(72..)?).and_then(|info| array(info, BYTES_RECEIVED_AT));
    Some(Sample { socket, uid, inode, bytes_received: bytes_received.map_or(0, u64::from_ne_bytes) })
}

fn tcp_info(mut attributes: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(4..length)?;
        if u16_at(attributes, 2)? == ATTRIBUTE_INFO {
            return Some(value);
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    /// A socket as the kernel would describe it, from the request for it.
    fn listed(socket: &Socket, bytes: u64, info_bytes: usize) -> Vec<u8> {
        let request = destroy(socket, 0);
        let mut body = vec![if socket.local.is_ipv4() { INET } else { INET6 }, 1, 0, 0];
        body.extend(&request[24..72]);
        body.extend([0; 12]);
        body.extend(1000_u32.to_ne_bytes());
        body.extend(4242_u32.to_ne_bytes());
        // One attribute of odd length before the one that counts.
        body.extend([5, 0, 8, 0, 1, 0, 0, 0]);
        body.extend(u16::try_from(4 + info_bytes).unwrap().to_ne_bytes());
        body.extend(ATTRIBUTE_INFO.to_ne_bytes());
        let mut info = vec![0; 128];
        info.extend(bytes.to_ne_bytes());
        info.resize(info_bytes, 0);
        body.extend(info);
        message(BY_FAMILY, &body)
    }

    fn socket(local: &str, remote: &str) -> Socket {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        Socket { cookie: 0x1_0000_0002, local, remote, interface: 3 }
    }

    #[test]
    fn a_list_gives_its_sockets_and_its_end() {
        let (v4, v6) = (socket("127.0.0.1:80", "10.1.2.3:4000"), socket("[::ffff:1.2.3.4]:1", "[2001:db8::1]:443"));
        let mut datagram = listed(&v4, 5_000_000_000, 240);
        datagram.extend(listed(&v6, 9, 136));
        datagram.extend(message(DONE, &[0; 4]));
        let sample = |socket, bytes_received| Reply::Socket(Sample { socket, uid: 1000, inode: 4242, bytes_received });
        let seen: Vec<Reply> = replies(&datagram, 7).collect();
        assert_eq!(seen, [sample(v4, 5_000_000_000), sample(v6, 9), Reply::Done]);
        assert_eq!(replies(&datagram, 8).count(), 0, "answers to another request");
    }

    #[test]
    fn a_tcp_info_without_the_count_reads_as_zero() {
        let datagram = listed(&socket("127.0.0.1:80", "10.1.2.3:4000"), 77, 104);
        assert!(matches!(replies(&datagram, 7).next(), Some(Reply::Socket(Sample { bytes_received: 0, .. }))));
    }

    #[test]
    fn an_error_carries_its_number() {
        let datagram = message(ERROR, &(-95_i32).to_ne_bytes());
        assert_eq!(replies(&datagram, 7).next(), Some(Reply::Error(95)));
    }

    #[test]
    fn a_list_cut_at_every_byte_ends_quietly() {
        let mut datagram = listed(&socket("127.0.0.1:80", "10.1.2.3:4000"), 5, 240);
        let first = datagram.len();
        datagram.extend(message(DONE, &[0; 4]));
        for cut in 0..datagram.len() {
            let sockets = replies(&datagram[..cut], 7).count();
            assert_eq!(sockets, usize::from(cut >= first), "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_byte_is_survived() {
        let whole = listed(&socket("127.0.0.1:80", "10.1.2.3:4000"), 5, 240);
        for at in 0..whole.len() {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut datagram = whole.clone();
                datagram[at] = value;
                assert!(replies(&datagram, 7).count() <= 1);
            }
        }
    }
}
