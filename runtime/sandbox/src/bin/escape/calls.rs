//! Attempts by bare system calls, as an attacker's code would make them.

use std::os::fd::AsRawFd;
use std::ptr::{null, null_mut};

use crate::Held;

/// Whether the attempt worked; `None` if there is none of that name.
pub fn attempt(name: &str, held: &Held) -> Option<bool> {
    // SAFETY: getppid(2) takes nothing and touches no memory.
    let parent = unsafe { libc::getppid() };
    let folder = held.folder.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let namespace = held.namespace.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let parent_id = libc::c_long::from(parent);
    let flags = |bits: libc::c_int| libc::c_long::from(bits);
    Some(match name {
        "open-beside" => call(libc::SYS_openat, &[folder.into(), at(c"etc/hostname"), 0, 0]),
        "open-by-handle" => {
            // An empty handle is EINVAL where the call itself is allowed.
            let handle = [0_u32; 8];
            call(libc::SYS_open_by_handle_at, &[folder.into(), handle.as_ptr().addr() as libc::c_long, 0])
        }
        "connect-abstract" => call(libc::SYS_socket, &[libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0]),
        "exec" => {
            let arguments = [c"true".as_ptr(), null()];
            call(libc::SYS_execve, &[at(c"/bin/true"), arguments.as_ptr().addr() as libc::c_long, 0])
        }
        "exec-descriptor" => {
            let file = held.file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            call(libc::SYS_execveat, &[file.into(), at(c""), 0, 0, flags(libc::AT_EMPTY_PATH)])
        }
        "fork" => forked(call_number(libc::SYS_clone, &[flags(libc::SIGCHLD), 0, 0, 0, 0])) || forked(vfork()),
        "clone" => {
            let mut arguments = [0_u64; 11];
            if let Some(signal) = arguments.get_mut(4) {
                *signal = 17; // SIGCHLD
            }
            forked(call_number(libc::SYS_clone3, &[arguments.as_ptr().addr() as libc::c_long, 88]))
        }
        "clone-namespace" => {
            let thread = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
            [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID]
                .iter()
                .any(|space| forked(call_number(libc::SYS_clone, &[flags(thread | space), 0, 0, 0, 0])))
        }
        "map-exec" => {
            let rights = flags(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
            let kind = flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            call(libc::SYS_mmap, &[0, 4096, rights, kind, -1, 0])
                || call(libc::SYS_mmap, &[0, 4096, flags(libc::PROT_EXEC), kind, -1, 0])
        }
        "protect-exec" => {
            let page = page();
            let rights = flags(libc::PROT_READ | libc::PROT_EXEC);
            page == 0 || call(libc::SYS_mprotect, &[page, 4096, rights])
        }
        "protect-exec-key" => {
            let page = page();
            page == 0 || call(libc::SYS_pkey_mprotect, &[page, 4096, flags(libc::PROT_EXEC), -1])
        }
        "kill" => call(libc::SYS_kill, &[parent_id, 0]) || call(libc::SYS_kill, &[1, 0]),
        "kill-all" => call(libc::SYS_kill, &[-1, 0]) || call(libc::SYS_kill, &[0, 0]),
        "kill-thread" => call(libc::SYS_tgkill, &[parent_id, parent_id, 0]) || call(libc::SYS_tkill, &[parent_id, 0]),
        "kill-descriptor" => call(libc::SYS_pidfd_open, &[parent_id, 0]),
        "trace" => call(libc::SYS_ptrace, &[flags(0x4206), parent_id, 0, 0]),
        "trace-me" => call(libc::SYS_ptrace, &[0, 0, 0, 0]),
        "read-process" => call(libc::SYS_process_vm_readv, &[parent_id, 0, 0, 0, 0, 0]),
        "write-process" => call(libc::SYS_process_vm_writev, &[parent_id, 0, 0, 0, 0, 0]),
        "take-descriptor" => call(libc::SYS_pidfd_getfd, &[0, 0, 0]),
        "become-root" => call(libc::SYS_setuid, &[0]) || call(libc::SYS_setresuid, &[0, 0, 0]),
        "memfd" => call(libc::SYS_memfd_create, &[at(c"x"), 0]),
        "socket" => [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_VSOCK, libc::AF_PACKET, libc::AF_ALG]
            .iter()
            .any(|family| call(libc::SYS_socket, &[flags(*family), libc::SOCK_DGRAM.into(), 0])),
        "ring" => {
            let parameters = [0_u64; 16];
            call(libc::SYS_io_uring_setup, &[4, parameters.as_ptr().addr() as libc::c_long])
        }
        "enter-namespace" => call(libc::SYS_setns, &[namespace.into(), 0]),
        "new-namespace" => call(libc::SYS_unshare, &[flags(libc::CLONE_NEWUSER)]) || call(libc::SYS_unshare, &[0]),
        "mount" => {
            call(libc::SYS_mount, &[at(c"none"), at(c"/tmp"), at(c"tmpfs"), 0, 0])
                || call(libc::SYS_umount2, &[at(c"/tmp"), 0])
                || call(libc::SYS_chroot, &[at(c"/tmp")])
        }
        "bpf" => call(libc::SYS_bpf, &[0, 0, 0]),
        "keys" => call(libc::SYS_keyctl, &[0, -3, 1]) || call(libc::SYS_add_key, &[0, 0, 0, 0, 0]),
        "faults" => call(libc::SYS_userfaultfd, &[1]),
        "counters" => call(libc::SYS_perf_event_open, &[0, 0, -1, -1, 0]),
        "limit" => {
            let most = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
            let most = (&raw const most).addr() as libc::c_long;
            call(libc::SYS_prlimit64, &[0, libc::c_long::from(libc::RLIMIT_DATA), most, 0])
        }
        "ioctl" => call(libc::SYS_ioctl, &[2, 0x5412, at(c"x")]) || call(libc::SYS_ioctl, &[2, 0x541b, 0]),
        "dumpable" => call(libc::SYS_prctl, &[flags(libc::PR_SET_DUMPABLE), 1, 0, 0, 0]),
        "filter" => call(libc::SYS_seccomp, &[1, 0, 0]) || call(libc::SYS_prctl, &[22, 0, 0, 0, 0]),
        _ => return None,
    })
}

fn at(text: &'static std::ffi::CStr) -> libc::c_long {
    text.as_ptr().addr() as libc::c_long
}

/// A page of our own.
fn page() -> libc::c_long {
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: mmap(2): a new mapping at an address of the kernel's choice
    // overlaps nothing.
    let page = unsafe { libc::mmap(null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, kind, -1, 0) };
    if page == libc::MAP_FAILED { 0 } else { page.addr() as libc::c_long }
}

/// Whether a call got past the filter. Whatever the kernel itself answers
/// (EINVAL, EFAULT, ESRCH) means that it ran.
fn call(number: libc::c_long, arguments: &[libc::c_long]) -> bool {
    match call_number(number, arguments) {
        Ok(_) => {
            eprintln!("system call {number} worked");
            true
        }
        Err(libc::EPERM | libc::ENOSYS | libc::EACCES) => false,
        Err(error) => {
            eprintln!("system call {number} reached the kernel, which answered {error}");
            true
        }
    }
}

fn call_number(number: libc::c_long, arguments: &[libc::c_long]) -> Result<libc::c_long, libc::c_int> {
    let of = |place: usize| arguments.get(place).copied().unwrap_or(0);
    // SAFETY: every call tried here is given memory of this process or none,
    // and is expected to be refused before it acts (seccomp(2)); one that acts
    // fails the test.
    let answer = unsafe { libc::syscall(number, of(0), of(1), of(2), of(3), of(4), of(5)) };
    if answer < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(answer) }
}

#[cfg(target_arch = "x86_64")]
fn vfork() -> Result<libc::c_long, libc::c_int> {
    call_number(libc::SYS_fork, &[])
}

#[cfg(not(target_arch = "x86_64"))]
fn vfork() -> Result<libc::c_long, libc::c_int> {
    Err(libc::ENOSYS)
}

/// Whether there is a child; the child itself ends at once.
fn forked(answer: Result<libc::c_long, libc::c_int>) -> bool {
    match answer {
        Ok(0) => std::process::exit(1),
        Ok(_) => true,
        Err(libc::EPERM | libc::ENOSYS) => false,
        Err(error) => {
            eprintln!("the kernel looked at it and answered {error}");
            true
        }
    }
}
