//! The loader of policy repositories, with whatever the fuzzer makes up in the
//! file that `WEIGHBRIDGE_FUZZ_FILE` names: it must return, and so must what
//! is asked of a repository that it accepts.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use weighbridge_policy::{
    Action, Assessment, Context, Principal, Repository, Request, Resource, decide, explain, init, run_tests,
};

static REPOSITORY: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let file = std::env::var("WEIGHBRIDGE_FUZZ_FILE").expect("WEIGHBRIDGE_FUZZ_FILE names a file of a repository");
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    init(&folder).expect("an empty folder");
    (folder.clone(), folder.join(file))
});

fuzz_target!(|data: &[u8]| {
    let (folder, file) = &*REPOSITORY;
    std::fs::write(file, data).expect("a file that can be written");
    let repository = Repository::load(folder);
    let _ = run_tests(&repository, Timestamp::UNIX_EPOCH);
    let Ok(set) = repository.into_set() else { return };
    let (principal, context) = (Principal::User("bob".to_owned()), Context::at(Timestamp::UNIX_EPOCH));
    let model = Assessment::default();
    for action in Action::ALL {
        let request = Request { principal: &principal, action, resource: Resource::Model(&model), context: &context };
        let _ = (decide(&request, &set), explain(&request, &set));
    }
});
