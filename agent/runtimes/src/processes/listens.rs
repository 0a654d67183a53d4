use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Listen;
use super::procfs::Process;

/// Most listening sockets of one network namespace.
const LISTENING_MAX: usize = 65_536;
/// Longest line of a table: fixed columns, some 180 bytes.
const LINE_BYTES_MAX: u64 = 512;
/// `TCP_LISTEN`.
const LISTENING: &str = "0A";

/// Listening sockets by inode, one table per network namespace, of one
/// snapshot.
#[derive(Debug, Default)]
pub(super) struct Listening {
    tables: HashMap<u64, HashMap<u64, (IpAddr, u16)>>,
}

impl Listening {
    /// Where `process`, which has these sockets, listens.
    pub(super) fn of(&mut self, process: &Process, sockets: &[u64]) -> Vec<Listen> {
        if sockets.is_empty() {
            return Vec::new();
        }
        let Ok(netns) = process.namespace("net") else { return Vec::new() };
        let table = self.tables.entry(netns).or_insert_with(|| read(process));
        let found = |inode: &u64| {
            let (address, port) = *table.get(inode)?;
            Some(Listen { address, port, exposed: !loopback(address), netns })
        };
        let mut out: Vec<Listen> = sockets.iter().filter_map(found).collect();
        out.sort();
        out
    }
}

fn read(process: &Process) -> HashMap<u64, (IpAddr, u16)> {
    let mut out = HashMap::new();
    for name in ["net/tcp", "net/tcp6"] {
        if let Ok(file) = process.file(name) {
            collect(file, &mut out);
        }
    }
    out
}

/// Listening sockets stand before all others in the table (tcp_seq_start in
/// net/ipv4/tcp_ipv4.c), so a busy server's connections are not read.
fn collect(file: impl Read, out: &mut HashMap<u64, (IpAddr, u16)>) {
    let mut reader = BufReader::with_capacity(16 << 10, file);
    let mut line = Vec::new();
    for row in 0..=LISTENING_MAX {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if row == 0 {
            continue;
        }
        match entry(&String::from_utf8_lossy(&line)) {
            Some((inode, at)) => out.insert(inode, at),
            None => return,
        };
    }
}

fn entry(line: &str) -> Option<(u64, (IpAddr, u16))> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    if fields.nth(1)? != LISTENING {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some((inode, (parse_address(address)?, u16::from_str_radix(port, 16).ok()?)))
}

/// The kernel prints each 32-bit word of the address as a number in its own
/// byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    if hex.len() != 32 {
        return None;
    }
    let mut bytes = [0; 16];
    for (to, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
        to.copy_from_slice(&word(at)?);
    }
    Some(Ipv6Addr::from(bytes).to_canonical())
}

fn loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn row(address: &str, state: &str, inode: u64) -> String {
        format!(
            "   0: {address}:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"
        )
    }

    fn table(rows: &[String]) -> HashMap<u64, (IpAddr, u16)> {
        let mut out = HashMap::new();
        collect(format!("{HEADER}{}", rows.concat()).as_bytes(), &mut out);
        out
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_of_both_families_are_read() {
        let rows = [
            row("0100007F", "0A", 1),
            row("00000000", "0A", 2),
            row("00000000000000000000000001000000", "0A", 3),
            row("0000000000000000FFFF00000100007F", "0A", 4),
            row("00000000000000000000000000000000", "0A", 5),
        ];
        let table = table(&rows);
        let exposed: Vec<bool> = (1..=5).map(|i| !loopback(table[&i].0)).collect();
        assert_eq!(exposed, [false, true, false, false, true]);
        assert_eq!(table[&1], ("127.0.0.1".parse().unwrap(), 8080));
        assert_eq!(table[&3].0, "::1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn connections_end_the_list_and_damage_does_not_panic() {
        assert_eq!(table(&[row("0100007F", "0A", 1), row("0100007F", "01", 2), row("0100007F", "0A", 3)]).len(), 1);
        let whole = row("0100007F", "0A", 1);
        for end in 0..whole.len() {
            let _ = entry(&whole[..end]);
        }
        assert_eq!(parse_address("0100007F0"), None);
        assert_eq!(parse_address("ééé0"), None);
    }
}
