use std::collections::HashMap;
use std::io::Read;
use std::time::SystemTime;

/// Bytes of the user database that are read.
const PASSWD_BYTES_MAX: u64 = 8 << 20;
const PASSWD: &str = "/etc/passwd";

/// Names of users, read again when the database changes. Users of directory
/// services are not in it and have none.
#[derive(Debug, Default)]
pub(super) struct Users {
    names: HashMap<u32, String>,
    read_at: Option<SystemTime>,
}

impl Users {
    pub(super) fn refresh(&mut self) {
        let changed = std::fs::metadata(PASSWD).and_then(|m| m.modified()).ok();
        if changed.is_some() && changed == self.read_at {
            return;
        }
        let mut text = Vec::new();
        if std::fs::File::open(PASSWD).and_then(|f| f.take(PASSWD_BYTES_MAX).read_to_end(&mut text)).is_ok() {
            self.names = parse(&String::from_utf8_lossy(&text));
            self.read_at = changed;
        }
    }

    pub(super) fn name(&self, uid: u32) -> Option<String> {
        self.names.get(&uid).cloned()
    }
}

fn parse(passwd: &str) -> HashMap<u32, String> {
    let mut out = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|u| u.parse().ok())) {
            // The first name for an id is its name, as getpwuid(3) has it.
            out.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_name_of_an_id_counts() {
        let users = super::parse("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:\n\nbad\nx:y:z:\nnobody:x:65534:1::/:\n");
        assert_eq!(users.len(), 2);
        assert_eq!(users.get(&0).map(String::as_str), Some("root"));
    }
}
