//! The system calls a confined process may make, by profile: data, each with
//! its reason. Everything else answers EPERM.

use crate::Profile;

/// A call allowed with any arguments.
pub struct Allowed {
    /// Number on this architecture.
    pub number: libc::c_long,
    /// Which part of the worker calls it.
    pub reason: &'static str,
}

/// A call allowed if one argument is as it must be.
pub struct AllowedIf {
    /// Number on this architecture.
    pub number: libc::c_long,
    /// What it is held against.
    pub argument: Argument,
    /// Which part of the worker calls it.
    pub reason: &'static str,
}

/// What an argument must be; the first number is its place.
#[derive(Clone, Copy)]
pub enum Argument {
    /// Without these bits.
    Without(u8, u32),
    /// This value.
    Exactly(u8, u64),
    /// The number of the calling process.
    OwnProcess(u8),
}

macro_rules! allow {
    ($($name:ident: $reason:literal,)*) => {
        &[$(Allowed { number: libc::$name, reason: $reason },)*]
    };
}

macro_rules! allow_if {
    ($($name:ident($argument:expr): $reason:literal,)*) => {
        &[$(AllowedIf { number: libc::$name, argument: $argument, reason: $reason },)*]
    };
}

/// What `profile` allows.
pub fn of(profile: Profile) -> (impl Iterator<Item = &'static Allowed>, impl Iterator<Item = &'static AllowedIf>) {
    let (any, more, some, some_more): (&[Allowed], &[Allowed], &[AllowedIf], &[AllowedIf]) = match profile {
        Profile::Scan => (SCAN, &[], WITHOUT_EXEC, &[]),
        Profile::ModelLoad => (MODEL, MODEL_LOAD, MODEL_IF, MODEL_LOAD_IF),
        Profile::ModelRun => (MODEL, &[], MODEL_IF, &[]),
    };
    let memory: &[AllowedIf] = if profile == Profile::Scan { &[] } else { WITHOUT_EXEC };
    (any.iter().chain(more), some.iter().chain(some_more).chain(memory))
}

const EXEC: u32 = libc::PROT_EXEC.unsigned_abs();
const THREAD: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID)
    .unsigned_abs() as u64;
const NO_NEW_PRIVILEGES: u64 = libc::PR_SET_NO_NEW_PRIVS.unsigned_abs() as u64;
const NAME: u64 = libc::PR_SET_NAME.unsigned_abs() as u64;
const SEALS: u64 = libc::F_GET_SEALS.unsigned_abs() as u64;
const SET_FILTER: u64 = libc::SECCOMP_SET_MODE_FILTER as u64;

/// Scan workers: calls allowed with any arguments.
const SCAN: &[Allowed] = allow! {
    SYS_read: "requests, and files without pread",
    SYS_pread64: "the file under inspection, at the offsets parsers ask for",
    SYS_write: "replies, and panic messages to standard error",
    SYS_writev: "panic messages to standard error",
    SYS_recvmsg: "requests with descriptors",
    SYS_sendmsg: "replies",
    SYS_sendto: "replies through send()",
    SYS_recvfrom: "requests through recv()",
    SYS_lseek: "length of a handed file",
    SYS_fstat: "whether a file changed while it was read",
    SYS_newfstatat: "the same, as the C library spells it",
    SYS_statx: "the same, as the standard library spells it",
    SYS_close: "handed descriptors, when done",
    SYS_fadvise64: "sequential read-ahead on the file under inspection",
    SYS_ppoll: "waiting for a request",
    SYS_munmap: "the allocator gives memory back",
    SYS_mremap: "the allocator grows a large block",
    SYS_madvise: "the allocator gives memory back",
    SYS_brk: "the allocator",
    SYS_futex: "locks of the standard library",
    SYS_getrandom: "seeds of hash maps",
    SYS_clock_gettime: "time limits, where the vDSO is not available",
    SYS_rt_sigreturn: "returning from a handler",
    SYS_rt_sigprocmask: "panics and aborts",
    SYS_rt_sigaction: "abort() restores the default handler",
    SYS_sigaltstack: "the stack-overflow handler of the standard library",
    SYS_gettid: "abort() addresses its own thread",
    SYS_getpid: "abort() addresses its own thread",
    SYS_getppid: "libraries take for granted that it cannot fail",
    SYS_geteuid: "libraries take for granted that it cannot fail",
    SYS_tgkill: "abort(), to itself",
    SYS_sched_yield: "spinning locks",
    SYS_sched_getaffinity: "how many cores there are",
    SYS_restart_syscall: "calls interrupted by a stop signal",
    SYS_exit: "the end",
    SYS_exit_group: "the end",
};

/// Calls that map memory: unless they ask for executable pages.
const WITHOUT_EXEC: &[AllowedIf] = allow_if! {
    SYS_mmap(Argument::Without(2, EXEC)): "the allocator, and files handed over",
    SYS_mprotect(Argument::Without(2, EXEC)): "the allocator grows an arena",
};

/// Model workers, loading and running: calls allowed with any arguments.
const MODEL: &[Allowed] = allow! {
    SYS_read: "the rest of a frame, where the standard library reads sockets so",
    SYS_recvmsg: "frames from the gateway",
    SYS_recvfrom: "the rest of a frame",
    SYS_sendmsg: "frames to the gateway",
    SYS_sendto: "the rest of a frame",
    SYS_write: "the rest of a frame, and panic messages to standard error",
    SYS_writev: "panic messages of the C library to standard error",
    SYS_close: "handed descriptors, when mapped",
    SYS_munmap: "the allocator gives memory back",
    SYS_mremap: "the allocator grows a large block",
    SYS_madvise: "the allocator gives memory back; huge pages for keys and values",
    SYS_brk: "the allocator",
    SYS_futex: "locks and waiting threads",
    SYS_getrandom: "seeds of hash maps and of sampling",
    SYS_clock_gettime: "time limits, where the vDSO is not available",
    SYS_rt_sigreturn: "returning from a handler",
    SYS_rt_sigprocmask: "panics, aborts, and the start of a thread",
    SYS_rt_sigaction: "abort() restores the default handler",
    SYS_sigaltstack: "the stack-overflow handler of the standard library",
    SYS_gettid: "abort() addresses its own thread",
    SYS_getpid: "abort() addresses its own thread",
    SYS_sched_yield: "spinning locks and the compute pool",
    SYS_set_robust_list: "a thread begins, possibly after its starter has narrowed the calls",
    SYS_rseq: "a thread begins; the C library aborts without it",
    SYS_restart_syscall: "calls interrupted by a stop signal",
    SYS_exit: "the end of a thread",
    SYS_exit_group: "the end",
};

/// Model workers, loading and running: calls allowed with some arguments.
const MODEL_IF: &[AllowedIf] = allow_if! {
    SYS_tgkill(Argument::OwnProcess(0)): "abort(), to itself",
};

/// Model workers, only while loading: calls allowed with any arguments.
const MODEL_LOAD: &[Allowed] = allow! {
    SYS_clone3: "never succeeds: another filter answers ENOSYS, so that clone is used",
    SYS_sched_getaffinity: "how many cores there are",
    SYS_fstat: "length of handed memory",
};

/// Model workers, only while loading: calls allowed with some arguments.
const MODEL_LOAD_IF: &[AllowedIf] = allow_if! {
    SYS_clone(Argument::Exactly(0, THREAD)): "the start of a thread, never of a process",
    SYS_fcntl(Argument::Exactly(1, SEALS)): "whether handed memory is sealed",
    SYS_prctl(Argument::Exactly(0, NAME)): "names of threads",
    SYS_prctl(Argument::Exactly(0, NO_NEW_PRIVILEGES)): "before the filter that ends loading",
    SYS_seccomp(Argument::Exactly(0, SET_FILTER)): "the filter that ends loading",
};

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [Profile; 3] = [Profile::Scan, Profile::ModelLoad, Profile::ModelRun];

    #[test]
    fn each_entry_stands_once_with_a_reason() {
        for profile in PROFILES {
            let (any, some) = of(profile);
            let (any, some): (Vec<_>, Vec<_>) = (any.collect(), some.collect());
            assert!(any.iter().map(|a| a.reason).chain(some.iter().map(|s| s.reason)).all(|r| !r.is_empty()));
            let mut numbers: Vec<_> = any.iter().map(|a| a.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), any.len(), "{profile:?}");
            assert!(some.iter().all(|s| !numbers.contains(&s.number)), "a rule for any argument defeats one for some");
        }
    }

    #[test]
    fn running_allows_nothing_that_loading_does_not() {
        let numbers = |profile| {
            let (any, some) = of(profile);
            any.map(|a| a.number).chain(some.map(|s| s.number)).collect::<Vec<_>>()
        };
        let (load, run) = (numbers(Profile::ModelLoad), numbers(Profile::ModelRun));
        assert!(run.iter().all(|n| load.contains(n)));
        for gone in [libc::SYS_clone, libc::SYS_seccomp, libc::SYS_prctl, libc::SYS_fcntl] {
            assert!(load.contains(&gone) && !run.contains(&gone), "{gone}");
        }
    }

    #[test]
    fn nothing_that_opens_connects_or_spawns_is_listed() {
        for profile in PROFILES {
            let (any, some) = of(profile);
            let listed: Vec<_> = any.map(|a| a.number).chain(some.map(|s| s.number)).collect();
            for number in FORBIDDEN {
                assert!(!listed.contains(number), "system call {number} must not be allowed in {profile:?}");
            }
            let anything: Vec<_> = of(profile).0.map(|a| a.number).collect();
            for number in [libc::SYS_clone, libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_prctl, libc::SYS_seccomp] {
                assert!(!anything.contains(&number), "system call {number} with any argument in {profile:?}");
            }
        }
    }

    const FORBIDDEN: &[libc::c_long] = &[
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_open_by_handle_at,
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_accept4,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_io_uring_setup,
        libc::SYS_memfd_create,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pkey_mprotect,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_ioctl,
        libc::SYS_dup3,
        libc::SYS_setuid,
        libc::SYS_setresuid,
        libc::SYS_capset,
        libc::SYS_prlimit64,
    ];
}
