//! People on this machine, as its user database names them.

use std::collections::BTreeMap;

/// Most users read; more are known by number only.
const USERS_MAX: usize = 10_000;
/// Largest user database read, bytes.
const BYTES_MAX: usize = 4 << 20;

/// Names by number.
#[derive(Debug, Clone, Default)]
pub struct Users {
    names: BTreeMap<u32, String>,
    groups: BTreeMap<u32, u32>,
}

impl Users {
    /// Those in `/etc/passwd`.
    pub fn read() -> Self {
        Self::parse(&std::fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    /// `name:x:uid:gid:…` (passwd(5)).
    fn parse(text: &str) -> Self {
        let mut users = Self::default();
        for line in text.get(..BYTES_MAX).unwrap_or(text).lines().take(USERS_MAX) {
            let mut fields = line.split(':');
            let (Some(name), Some(uid), Some(gid)) = (fields.next(), fields.nth(1), fields.next()) else { continue };
            if let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) {
                users.names.entry(uid).or_insert_with(|| name.to_owned());
                users.groups.entry(uid).or_insert(gid);
            }
        }
        users
    }

    /// The name of `uid`, or its number.
    pub fn name(&self, uid: u32) -> String {
        self.names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// The primary group of `uid`.
    pub fn group(&self, uid: u32) -> Option<u32> {
        self.groups.get(&uid).copied()
    }

    /// People rather than services: root, and the numbers from 1000 on.
    pub fn people(&self) -> impl Iterator<Item = (u32, &str)> {
        let person = |uid: u32| uid == 0 || (1000..65_534).contains(&uid);
        self.names.iter().filter(move |(uid, _)| person(**uid)).map(|(uid, name)| (*uid, name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_skipped() {
        let users =
            Users::parse("root:x:0:0:root:/root:/bin/sh\nbroken\nbob:x:1000:1001::/home/bob:/bin/sh\nx:x:-1:0:::\n");
        assert_eq!((users.name(0).as_str(), users.name(1000).as_str(), users.name(7).as_str()), ("root", "bob", "7"));
        assert_eq!((users.group(1000), users.people().count()), (Some(1001), 2));
    }
}
