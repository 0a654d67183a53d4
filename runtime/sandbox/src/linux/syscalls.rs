//! The system calls a confined worker may make: data, each with its reason.
//! Everything else answers EPERM.

/// Name, number, and why the worker needs it.
pub struct Allowed {
    /// Number on this architecture.
    pub number: libc::c_long,
    /// Which part of the worker calls it.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people and by the test of this list"))]
    pub reason: &'static str,
}

macro_rules! allow {
    ($($name:ident: $reason:literal,)*) => {
        &[$(Allowed { number: libc::$name, reason: $reason },)*]
    };
}

/// Calls allowed with any arguments.
pub const ALLOWED: &[Allowed] = allow! {
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

/// Calls that map memory: allowed unless they ask for executable pages. The
/// number is that of the protection argument.
pub const WITHOUT_EXEC: &[(libc::c_long, u8)] = &[(libc::SYS_mmap, 2), (libc::SYS_mprotect, 2)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_stands_once_with_a_reason() {
        let mut numbers: Vec<_> = ALLOWED.iter().map(|a| a.number).chain(WITHOUT_EXEC.iter().map(|w| w.0)).collect();
        assert!(ALLOWED.iter().all(|a| !a.reason.is_empty()));
        numbers.sort_unstable();
        let before = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), before);
    }

    #[test]
    fn nothing_that_opens_connects_or_spawns_is_listed() {
        for number in [
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_ptrace,
            libc::SYS_kill,
            libc::SYS_io_uring_setup,
            libc::SYS_memfd_create,
            libc::SYS_process_vm_readv,
            libc::SYS_bpf,
            libc::SYS_unshare,
            libc::SYS_mount,
        ] {
            assert!(ALLOWED.iter().all(|a| a.number != number), "system call {number} must not be allowed");
        }
    }
}
