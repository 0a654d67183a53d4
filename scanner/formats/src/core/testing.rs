//! Helpers for the formats' tests.

use weighbridge_types::Verdict;

use crate::core::{Input, NoContent, Options, Outcome, inspect};

/// Most positions tried by [`survives_damage`].
const POSITIONS_MAX: usize = 3000;

/// Inspects `content` as a file called `name`.
pub fn inspect_bytes(name: &str, content: &[u8]) -> Outcome {
    let len = content.len() as u64;
    inspect(&Input::file(content.to_vec(), len), name, &Options::default(), &NoContent)
}

/// The worst verdict among the findings.
pub fn verdict(outcome: &Outcome) -> Verdict {
    weighbridge_types::Artifact::verdict_of(&outcome.findings)
}

/// Ids of the rules that hit.
pub fn rules(outcome: &Outcome) -> Vec<&str> {
    outcome.findings.iter().map(|f| f.rule.as_ref()).collect()
}

/// Feeds `sample` cut at every byte and with every byte (and every aligned
/// length-like group) changed. Only that it returns is checked: no panic, no
/// hang, no memory beyond the limits.
pub fn survives_damage(name: &str, sample: &[u8]) {
    let step = (sample.len() / POSITIONS_MAX).max(1);
    for at in (0..sample.len()).step_by(step) {
        inspect_bytes(name, &sample[..at]);
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut damaged = sample.to_vec();
            damaged[at] = value;
            inspect_bytes(name, &damaged);
        }
        for width in [4, 8] {
            let mut damaged = sample.to_vec();
            damaged.iter_mut().skip(at).take(width).for_each(|b| *b = 0xff);
            inspect_bytes(name, &damaged);
        }
    }
}

/// Runs `f` in an inspection of nothing, for codecs.
pub fn with_inspection<T>(f: impl FnOnce(&mut crate::core::Inspection<'_>) -> T) -> T {
    let shared = crate::core::inspection::Shared {
        options: Options::default(),
        content: &NoContent,
        outcome: std::cell::RefCell::default(),
        expanded_bytes: std::cell::Cell::new(0),
        members_seen: std::cell::Cell::new(0),
        work: std::cell::Cell::new(0),
        findings_dropped: std::cell::Cell::new(0),
    };
    f(&mut crate::core::Inspection::root(&shared, crate::core::FileName::new("")))
}
