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
    let limits = set_limits(limits, namespaces.is_ok());
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

fn set_limits(limits: &Limits, own_namespace: bool) -> rustix::io::Result<()> {
    let fixed = |n| Rlimit { current: Some(n), maximum: Some(n) };
    setrlimit(Resource::Data, fixed(limits.memory_bytes))?;
    if let Some(bytes) = limits.address_bytes {
        setrlimit(Resource::As, fixed(bytes))?;
    }
    setrlimit(Resource::Nofile, fixed(limits.descriptors))?;
    setrlimit(Resource::Core, fixed(0))?;
    setrlimit(Resource::Fsize, fixed(0))?;
    // Otherwise all processes of this user in the system count as well, and no
    // thread could be started; the filter still refuses processes.
    if limits.threads == 0 || (own_namespace && counts_by_namespace()) {
        setrlimit(Resource::Nproc, fixed(limits.threads))?;
    }
    // Whoever started us may be gone any time; do not outlive them.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}

/// Whether processes are counted in each user namespace (since Linux 5.14).
fn counts_by_namespace() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    let version = numbers.next().zip(numbers.next());
    version.is_some_and(|version| version >= (5, 14))
}
