use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::syscalls::{self, Argument};
use crate::Profile;

/// Installs the allow-list of `profile` on every thread of the process.
pub fn install(profile: Profile) -> Result<(), String> {
    if profile == Profile::ModelLoad {
        // Its flags lie in memory, where a filter cannot look. The C library
        // falls back to clone(2), whose flags are looked at.
        let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        apply(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()))?;
    }
    narrow(profile)
}

/// Installs the allow-list alone, beside what is installed.
pub fn narrow(profile: Profile) -> Result<(), String> {
    let rules = rules(profile).map_err(|e| e.to_string())?;
    apply(rules, SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::Allow)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn apply(rules: Rules, others: SeccompAction, listed: SeccompAction) -> Result<(), String> {
    let program = || -> Result<BpfProgram, seccompiler::BackendError> {
        let arch: TargetArch = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules, others, listed, arch)?.try_into()
    };
    let program = program().map_err(|e| e.to_string())?;
    seccompiler::apply_filter_all_threads(&program).map_err(|e| e.to_string())
}

fn rules(profile: Profile) -> Result<Rules, seccompiler::BackendError> {
    let (any, some) = syscalls::of(profile);
    let mut rules: Rules = any.map(|a| (a.number, Vec::new())).collect();
    for one in some {
        let (place, length, operator, value) = match one.argument {
            Argument::Without(place, bits) => (place, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits.into()), 0),
            Argument::Exactly(place, value) => (place, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
            Argument::OwnProcess(place) => {
                (place, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, std::process::id().into())
            }
        };
        let condition = SeccompCondition::new(place, length, operator, value)?;
        rules.entry(one.number).or_default().push(SeccompRule::new(vec![condition])?);
    }
    Ok(rules)
}
