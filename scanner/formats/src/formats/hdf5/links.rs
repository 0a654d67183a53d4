//! Soft links, followed to see whether they come to an end.

use std::collections::HashMap;

use crate::codec::hdf5::{Object, Target};

/// Most soft links looked at in one file.
const SOFT_LINKS_MAX: usize = 10_000;
/// Links followed one after the other before they count as endless
/// (`H5L_NUM_LINKS`, by default 16, is what the library allows).
const STEPS_MAX: usize = 64;

/// The soft links of a file by their path.
#[derive(Debug, Default)]
pub(super) struct SoftLinks(HashMap<String, String>);

impl SoftLinks {
    pub fn note(&mut self, object: &Object) {
        for link in &object.links {
            if let Target::Soft(target) = &link.target
                && self.0.len() < SOFT_LINKS_MAX
            {
                self.0.insert(absolute(&object.path, &link.name), absolute(&object.path, target));
            }
        }
    }

    /// A soft link that leads to soft links without end.
    pub fn first_loop(&self) -> Option<&str> {
        self.0.keys().find(|start| self.is_endless(start)).map(String::as_str)
    }

    fn is_endless(&self, start: &str) -> bool {
        let mut at = start;
        for _ in 0..STEPS_MAX {
            match self.0.get(at) {
                Some(next) => at = next,
                None => return false,
            }
        }
        true
    }
}

/// `path`, seen from `group`, without leading slash and empty or `.` parts.
fn absolute(group: &str, path: &str) -> String {
    let from_root = path.starts_with('/');
    let parts = if from_root { "" } else { group }.split('/').chain(path.split('/'));
    parts.filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}
