//! Entering the network namespaces of other processes (setns(2)).

use std::io;
use std::os::fd::BorrowedFd;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `work` inside the network namespace that `namespace` refers to (an
/// open `/proc/PID/ns/net`), on a thread that ends with it: no thread of the
/// pool is left in a foreign namespace, and a socket made inside stays there.
///
/// # Errors
/// That of setns(2): `EPERM` without `CAP_SYS_ADMIN` in the owner of the
/// namespace and in our own, `EINVAL` if it is not a network namespace; that
/// of clone(2) if no thread can be started.
pub fn inside_network<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let entered = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, move || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
            io::Result::Ok(work())
        })?;
        entered.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace panicked")))
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        let file = File::open("/proc/self/status").unwrap();
        let error = inside_network(file.as_fd(), || ()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::INVAL.raw_os_error()));
    }

    #[test]
    fn the_caller_stays_where_it_was() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: setns needs root");
            return;
        }
        let mut sleeper = std::process::Command::new("unshare").args(["-n", "sleep", "30"]).spawn().unwrap();
        let link = |path: &str| std::fs::read_link(path).unwrap();
        let (ours, path) = (link("/proc/thread-self/ns/net"), format!("/proc/{}/ns/net", sleeper.id()));
        while std::fs::read_link(&path).unwrap() == ours {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        let file = File::open(&path).unwrap();
        let seen = inside_network(file.as_fd(), || link("/proc/thread-self/ns/net")).unwrap();
        assert_eq!(seen, link(&path));
        assert_eq!(link("/proc/thread-self/ns/net"), ours);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
