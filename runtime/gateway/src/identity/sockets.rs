//! Owners of sockets, as the kernel tells them, or, where it may not be asked
//! for one, lists them all in `/proc/net/tcp` (proc_pid_net(5)).

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use super::diag;

/// Most text read of one table, bytes: a line is 150 bytes.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// Most processes and descriptors looked at for one socket.
const PROCESSES_MAX: usize = 65_536;
const DESCRIPTORS_MAX: usize = 65_536;

/// Who made a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub inode: u64,
}

/// Whether `peer` is on this machine: only its own addresses can be bound.
pub fn is_here(mut peer: SocketAddr) -> bool {
    peer.set_ip(peer.ip().to_canonical());
    peer.set_port(0);
    peer.ip().is_loopback() || UdpSocket::bind(peer).is_ok()
}

/// The owner of the socket whose own address is `peer` and which is connected
/// to `local`.
pub fn owner(peer: SocketAddr, local: SocketAddr) -> Option<Owner> {
    diag::owner(peer, local).unwrap_or_else(|_| listed(peer, local))
}

/// The same from the list of all.
fn listed(peer: SocketAddr, local: SocketAddr) -> Option<Owner> {
    let four = (peer.ip().to_canonical(), local.ip().to_canonical());
    let look = |file: &str, own: String, other: String| {
        let table = std::fs::File::open(file).ok()?;
        find(BufReader::with_capacity(1 << 16, table.take(TABLE_BYTES_MAX)), &own, &other)
    };
    if let (IpAddr::V4(_), IpAddr::V4(_)) = four {
        let own = shown(four.0, peer.port());
        if let Some(found) = look("/proc/net/tcp", own, shown(four.1, local.port())) {
            return Some(found);
        }
    }
    // A client's IPv6 socket can speak IPv4, and is then in this table.
    look("/proc/net/tcp6", shown(six(peer.ip()), peer.port()), shown(six(local.ip()), local.port()))
}

fn six(ip: IpAddr) -> IpAddr {
    IpAddr::V6(match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    })
}

/// As the table has it: words of four bytes in the machine's own order.
fn shown(ip: IpAddr, port: u16) -> String {
    let octets = match ip {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => Ipv6Addr::octets(&six).to_vec(),
    };
    let mut text = String::with_capacity(40);
    for word in octets.as_chunks::<4>().0 {
        text.push_str(&format!("{:08X}", u32::from_ne_bytes(*word)));
    }
    text.push_str(&format!(":{port:04X}"));
    text
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`
fn find(table: impl BufRead, own: &str, other: &str) -> Option<Owner> {
    table.lines().skip(1).map_while(Result::ok).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        if fields.next() != Some(own) || fields.next() != Some(other) {
            return None;
        }
        // skip st, tx:rx, tr:when, retrnsmt
        let uid = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        // A socket that its process has closed has neither: its 0 is not root.
        (inode != 0).then_some(Owner { uid, inode })
    })
}

/// A process that holds the socket `inode`.
pub fn holder(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries.flatten().take(PROCESSES_MAX).filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut links = entries.flatten().take(DESCRIPTORS_MAX).map(|e| std::fs::read_link(e.path()));
        links.any(|link| link.is_ok_and(|l| l.as_os_str() == wanted.as_str()))
    })
}

/// The name of the program of `pid`: 15 bytes at most, chosen by itself.
pub fn program(pid: u32) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(format!("/proc/{pid}/comm")).ok()?;
    file.take(64).read_to_string(&mut text).ok()?;
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn both_ends_of_a_connection_of_ours_are_ours() {
        use std::os::unix::fs::MetadataExt;
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                println!("skipped: {address} cannot be listened on");
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let found = owner(peer, server.local_addr().unwrap()).unwrap();
            assert_eq!(found.uid, std::fs::metadata("/proc/self").unwrap().uid());
            assert_eq!(listed(peer, server.local_addr().unwrap()), Some(found));
            assert_eq!(holder(found.inode), Some(std::process::id()));
            // Once the client has let go, its place in the table names nobody.
            let local = server.local_addr().unwrap();
            drop(client);
            assert_eq!(owner(peer, local), None);
        }
        assert!(program(std::process::id()).is_some_and(|name| !name.is_empty()));
    }

    #[test]
    fn this_machine_is_known_by_all_its_addresses() {
        assert!(is_here("127.0.0.1:80".parse().unwrap()) && is_here("[::ffff:127.0.0.1]:80".parse().unwrap()));
        // TEST-NET-1 (RFC 5737) is nobody's.
        assert!(!is_here("192.0.2.1:80".parse().unwrap()));
        // Which address is used to go elsewhere; nothing is sent.
        let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
        if probe.connect("192.0.2.1:9").is_ok() {
            assert!(is_here(probe.local_addr().unwrap()));
        }
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let line = |uid: &str, inode: &str| format!("   1: A:1 B:2 01 0:0 00:0 0 {uid} 0 {inode} 1 x\n");
        let ask = |text: String| find(text.as_bytes(), "A:1", "B:2");
        assert_eq!(ask(format!("{head}{}", line("1000", "77"))), Some(Owner { uid: 1000, inode: 77 }));
        assert_eq!(ask(format!("{head}{}", line("0", "0"))), None);
        assert_eq!(ask(format!("{head}{}", line("-1", "5"))), None);
        assert_eq!(ask(format!("{head}   1: A:1 B:2 01\n\n{}", line("3", "4"))), Some(Owner { uid: 3, inode: 4 }));
        assert_eq!(ask(head.to_owned()), None);
    }
}
