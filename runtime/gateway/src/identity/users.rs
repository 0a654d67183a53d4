//! Names of users, as the machine's user database has them.

use std::io::Read;

/// Largest user database read, bytes.
const BYTES_MAX: u64 = 4 << 20;

/// The name of `uid`, or its number. Users of a directory service are known by
/// number, as everywhere in Weighbridge.
pub fn name(uid: u32) -> String {
    let mut text = String::new();
    let read = std::fs::File::open("/etc/passwd").and_then(|f| f.take(BYTES_MAX).read_to_string(&mut text));
    let found = if read.is_ok() { find(&text, uid) } else { None };
    found.map_or_else(|| uid.to_string(), str::to_owned)
}

/// `name:x:uid:gid:…` (passwd(5)); the first line counts.
fn find(text: &str, uid: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|n| !n.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_number_names_it() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:7:7\nbob:x:1000:1001::/:\nrob:x:1000:1::/:\n";
        assert_eq!((find(text, 0), find(text, 1000), find(text, 7)), (Some("root"), Some("bob"), None));
    }
}
