mod filter;
mod paths;
mod syscalls;
mod user;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{Confinement, Layer, Limits, Profile};

pub use user::hide_processes;

pub fn confine(profile: Profile, limits: &Limits) -> Confinement {
    let user = user::drop_root();
    let namespaces = user::own_namespaces(profile);
    let limits = set_limits(limits);
    // Both Landlock and seccomp need it, and neither can be undone by exec then.
    let no_new_privileges = rustix::thread::set_no_new_privs(true);
    let landlock = no_new_privileges.map_err(|e| e.to_string()).and_then(|()| paths::deny_all());
    // Last: it takes away the calls that the steps above need.
    let seccomp = filter::install(profile);
    Confinement {
        user: Layer::of(user),
        namespaces: Layer::of(namespaces),
        landlock: Layer::of(landlock),
        seccomp: Layer::of(seccomp),
        limits: Layer::of(limits),
    }
}

pub fn narrow(profile: Profile) -> Result<(), String> {
    filter::narrow(profile)
}

pub fn calls(profile: Profile) -> Vec<(i64, &'static str)> {
    let (any, some) = syscalls::of(profile);
    any.map(|a| (a.number, a.reason)).chain(some.map(|s| (s.number, s.reason))).collect()
}

fn set_limits(limits: &Limits) -> rustix::io::Result<()> {
    let fixed = |n| Rlimit { current: Some(n), maximum: Some(n) };
    setrlimit(Resource::Data, fixed(limits.memory_bytes))?;
    if let Some(bytes) = limits.address_bytes {
        setrlimit(Resource::As, fixed(bytes))?;
    }
    setrlimit(Resource::Nofile, fixed(limits.descriptors))?;
    setrlimit(Resource::Core, fixed(0))?;
    setrlimit(Resource::Fsize, fixed(0))?;
    setrlimit(Resource::Nproc, fixed(limits.threads))?;
    // Whoever started us may be gone any time; do not outlive them.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}
