//! The loader of policy repositories, with whatever the fuzzer makes up in the
//! file that `WEIGHBRIDGE_FUZZ_FILE` names: it must return, and so must what
//! is asked of a repository that it accepts.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use weighbridge_policy::{
    Action, Assessment, Context, Principal, Repository, Request, Resource, decide, explain, run_tests,
};

const PERMIT: &str = r#"
@id("fuzz-permit") @owner("o") @rationale("r") @severity("low")
permit (principal, action, resource is Model) when { resource in Publisher::"known" };
"#;

static REPOSITORY: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let file = std::env::var("WEIGHBRIDGE_FUZZ_FILE").expect("WEIGHBRIDGE_FUZZ_FILE names a file of a repository");
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    let file = folder.join(file);
    let policies = folder.join("policies");
    for parent in [policies.as_path(), file.parent().unwrap_or(&folder)] {
        std::fs::create_dir_all(parent).expect("an empty folder");
    }
    // One policy, so that there is something to decide by; few, so that a run
    // is short.
    std::fs::write(policies.join("permit.cedar"), PERMIT).expect("a file that can be written");
    (folder, file)
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
