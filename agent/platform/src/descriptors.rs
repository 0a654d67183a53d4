//! Descriptors that a process was started with (close_range(2)).

use std::io;

/// Closes every descriptor but standard input, output and error: what a parent
/// forgot to keep to itself is no worker's.
///
/// For the first line of a program: descriptors that its own code holds are
/// closed as well.
///
/// # Errors
/// Kernels before 5.9 cannot.
pub fn close_inherited() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: close_range(2) takes three integers and touches no memory. That
    // nothing in this process owns one of these descriptors is upheld by the
    // callers, which have opened nothing yet.
    match unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    const LEAKED: &str = "WEIGHBRIDGE_TEST_LEAKED";

    #[test]
    fn what_a_parent_forgot_is_closed() {
        let (reader, _writer) = io::pipe().unwrap();
        // As by whoever does not set close-on-exec.
        rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::empty()).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "descriptors::tests::child", "--ignored", "--nocapture"])
            .env(LEAKED, reader.as_raw_fd().to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success() && said.contains("it was there and is gone"), "{said}");
    }

    #[test]
    #[ignore = "started by the test above"]
    fn child() {
        let Ok(number) = std::env::var(LEAKED) else { return };
        let path = PathBuf::from(format!("/proc/self/fd/{number}"));
        assert!(path.symlink_metadata().is_ok(), "the test leaked nothing");
        close_inherited().unwrap();
        assert!(path.symlink_metadata().is_err());
        println!("it was there and is gone");
    }
}
