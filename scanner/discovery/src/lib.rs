//! Finds files worth inspecting and yields them as open handles.
//!
//! Job: walk folders in parallel, know where inference stacks keep models,
//! tell mounts apart. Opens regular files only, never through a symbolic
//! link, and looks at no more than their first and last bytes.
//!
//! Trust boundary: paths and names may be hostile; content is compared with
//! fixed bytes (`weighbridge_formats::triage`) and never parsed here.
//!
//! Deliberately unknown here: what a finding is, what happens to a candidate.
#![forbid(unsafe_code)]

mod candidate;
mod hf_cache;
mod mounts;
mod open;
mod stores;
mod tree;
mod walk;

pub use candidate::{Candidate, FileMeta, Reason, Sink};
pub use mounts::{Mount, local_mounts, pseudo_mounts};
pub use open::{companions, is_candidate, linked, names};
pub use stores::{Store, stores};
pub use tree::{Tree, TreeError, TreeFile, TreeRules};
pub use walk::{Walk, walk};
