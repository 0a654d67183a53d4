//! One socket asked for by its two ends (sock_diag(7)): what it costs does not
//! grow with the number of connections, which callers choose.

use std::io;
use std::net::SocketAddr;

use super::sockets::Owner;

/// The owner of the socket whose own address is `own` and which is connected
/// to `other`; `None` if there is none.
///
/// # Errors
/// If the kernel does not answer such questions here.
#[cfg(target_os = "linux")]
pub fn owner(own: SocketAddr, other: SocketAddr) -> io::Result<Option<Owner>> {
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Set once it has answered: from then on, that there is none is an
    /// answer, and not the lack of `tcp_diag`.
    static ANSWERS: AtomicBool = AtomicBool::new(false);

    let found = linux::ask(own, other)?;
    match found {
        Some(_) => ANSWERS.store(true, Ordering::Relaxed),
        None if !ANSWERS.load(Ordering::Relaxed) => return Err(io::ErrorKind::Unsupported.into()),
        None => {}
    }
    Ok(found.flatten())
}

/// Only Linux answers.
#[cfg(not(target_os = "linux"))]
pub fn owner(_: SocketAddr, _: SocketAddr) -> io::Result<Option<Owner>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    use rustix::io::Errno;
    use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

    use super::Owner;

    /// `SOCK_DIAG_BY_FAMILY`, `NLMSG_ERROR`, `NLM_F_REQUEST`, `IPPROTO_TCP`
    /// (`include/uapi/linux/netlink.h`, `sock_diag.h`).
    const BY_FAMILY: u16 = 20;
    const ERROR: u16 = 2;
    const REQUEST: u16 = 1;
    const TCP: u8 = 6;
    const INET: u8 = 2;
    const INET6: u8 = 10;
    /// A socket that listens is no end of a connection.
    const LISTEN: u8 = 10;
    const HEADER_BYTES: usize = 16;

    /// `None` if the kernel knows no such socket, or nothing of TCP;
    /// `Some(None)` if nobody holds it.
    pub fn ask(own: SocketAddr, other: SocketAddr) -> io::Result<Option<Option<Owner>>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
        rustix::net::sendto(&socket, &request(own, other), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut buffer = [0; 4096];
        loop {
            // The answer is there when the question has been sent.
            let (read, _, from) = match rustix::net::recvfrom(&socket, &mut buffer, RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                received => received?,
            };
            let kernel = from.and_then(|from| SocketAddrNetlink::try_from(from).ok()).is_some_and(|f| f.pid() == 0);
            if kernel {
                return answer(buffer.get(..read).unwrap_or_default(), own, other);
            }
        }
    }

    /// `struct nlmsghdr` and `struct inet_diag_req_v2`.
    pub fn request(own: SocketAddr, other: SocketAddr) -> Vec<u8> {
        let (own_ip, other_ip) = (own.ip().to_canonical(), other.ip().to_canonical());
        let family = if own_ip.is_ipv4() && other_ip.is_ipv4() { INET } else { INET6 };
        let mut bytes = Vec::with_capacity(72);
        bytes.extend(72_u32.to_ne_bytes());
        bytes.extend(BY_FAMILY.to_ne_bytes());
        bytes.extend(REQUEST.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend([family, TCP, 0, 0]);
        bytes.extend(u32::MAX.to_ne_bytes());
        bytes.extend(own.port().to_be_bytes());
        bytes.extend(other.port().to_be_bytes());
        for ip in [own_ip, other_ip] {
            let mut octets = [0; 16];
            match ip {
                IpAddr::V4(four) => octets.iter_mut().zip(four.octets()).for_each(|(to, from)| *to = from),
                IpAddr::V6(six) => octets = six.octets(),
            }
            bytes.extend(octets);
        }
        bytes.extend(0_u32.to_ne_bytes());
        // `INET_DIAG_NOCOOKIE`
        bytes.extend([0xff; 8]);
        bytes
    }

    /// `struct nlmsghdr` and `struct inet_diag_msg`, or an error number.
    pub fn answer(message: &[u8], own: SocketAddr, other: SocketAddr) -> io::Result<Option<Option<Owner>>> {
        let broken = || io::Error::from(io::ErrorKind::InvalidData);
        let kind = array(message, 4).map(u16::from_ne_bytes).ok_or_else(broken)?;
        let body = message.get(HEADER_BYTES..).unwrap_or_default();
        if kind == ERROR {
            let number = array(body, 0).map(i32::from_ne_bytes).and_then(i32::checked_neg).ok_or_else(broken)?;
            return if number == Errno::NOENT.raw_os_error() {
                Ok(None)
            } else {
                Err(io::Error::from_raw_os_error(number))
            };
        }
        if kind != BY_FAMILY {
            return Err(broken());
        }
        read(body, own, other).ok_or_else(broken).map(Some)
    }

    fn read(body: &[u8], own: SocketAddr, other: SocketAddr) -> Option<Option<Owner>> {
        let [family, state] = array(body, 0)?;
        let end = |port_at: usize, ip_at: usize| -> Option<(IpAddr, u16)> {
            let ip: IpAddr = match family {
                INET => Ipv4Addr::from(array::<4>(body, ip_at)?).into(),
                INET6 => Ipv6Addr::from(array::<16>(body, ip_at)?).into(),
                _ => return None,
            };
            Some((ip.to_canonical(), u16::from_be_bytes(array(body, port_at)?)))
        };
        let wanted = |of: SocketAddr| (of.ip().to_canonical(), of.port());
        let same = end(4, 8)? == wanted(own) && end(6, 24)? == wanted(other) && state != LISTEN;
        let (uid, inode) = (u32::from_ne_bytes(array(body, 64)?), u32::from_ne_bytes(array(body, 68)?));
        // A socket that its process has closed has neither: its 0 is not root.
        Some((same && inode != 0).then_some(Owner { uid, inode: inode.into() }))
    }

    fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::linux::{answer, request};
    use super::*;

    /// The kernel's answer about the socket that `request` asks for.
    fn answered(own: SocketAddr, other: SocketAddr, state: u8, inode: u32) -> Vec<u8> {
        let asked = request(own, other);
        let mut message = asked[..16].to_vec();
        message.extend([asked[16], state, 0, 0]);
        message.extend(&asked[24..72]);
        message.extend([0; 12]);
        message.extend(1000_u32.to_ne_bytes());
        message.extend(inode.to_ne_bytes());
        message
    }

    #[test]
    fn only_the_other_end_of_this_connection_counts() {
        let (own, other): (SocketAddr, SocketAddr) =
            ("127.0.0.1:4000".parse().unwrap(), "127.0.0.1:11500".parse().unwrap());
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:4000".parse().unwrap();
        let owner = Some(Owner { uid: 1000, inode: 7 });
        assert_eq!(answer(&answered(own, other, 1, 7), own, other).unwrap(), Some(owner));
        assert_eq!(answer(&answered(own, other, 1, 7), mapped, other).unwrap(), Some(owner));
        assert_eq!(answer(&answered(other, own, 1, 7), own, other).unwrap(), Some(None), "the other way round");
        assert_eq!(answer(&answered(own, other, 10, 7), own, other).unwrap(), Some(None), "it listens");
        assert_eq!(answer(&answered(own, other, 6, 0), own, other).unwrap(), Some(None), "it was closed");
    }

    #[test]
    fn answers_cut_at_every_byte_are_none() {
        let (own, other) = ("[::1]:4000".parse().unwrap(), "[::1]:80".parse().unwrap());
        let whole = answered(own, other, 1, 7);
        for cut in 0..whole.len() {
            assert!(answer(&whole[..cut], own, other).is_err(), "cut at {cut}");
        }
        let error = |number: i32| {
            let mut message = request(own, other)[..16].to_vec();
            message[4..6].copy_from_slice(&2_u16.to_ne_bytes());
            message.extend(number.to_ne_bytes());
            answer(&message, own, other)
        };
        assert!(error(-2).unwrap().is_none() && error(-1).is_err());
    }
}
