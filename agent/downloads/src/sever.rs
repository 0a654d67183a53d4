use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use weighbridge_platform::namespace::inside_network;

use crate::diag::Diag;
use crate::download::Download;
use crate::error::DownloadsError;
use crate::procfs;

/// Most namespaces searched for the one of a download.
const NAMESPACES_MAX: usize = 4096;

/// Closes the connections of a download as if the network had failed
/// (`SOCK_DESTROY`, sock_diag(7)), by their cookies, so that no other is hit.
/// Gives how many were closed; those that ended before are not counted.
///
/// # Errors
/// If the kernel cannot or may not do it for us; the process can still be
/// stopped. Sockets closed before the error stay closed.
pub fn sever(download: &Download) -> Result<usize, DownloadsError> {
    let netns = download.netns;
    let unreachable = |source| DownloadsError::Namespace { netns, source };
    if download.sockets.is_empty() {
        return Ok(0);
    }
    if procfs::current().is_ok_and(|ours| ours == netns) {
        return close(download, Diag::open().map_err(unreachable)?);
    }
    let file = match download.pid.map(|pid| procfs::of_process(pid, netns)) {
        Some(Ok(file)) => file,
        // That process is gone; another may hold the socket in the same namespace.
        _ => {
            let (all, _) = procfs::namespaces(NAMESPACES_MAX);
            let pid = all.get(&netns).ok_or_else(|| unreachable(io::ErrorKind::NotFound.into()))?;
            procfs::of_process(*pid, netns).map_err(unreachable)?
        }
    };
    let diag = inside_network(file.as_fd(), Diag::open).and_then(|opened| opened).map_err(unreachable)?;
    close(download, diag)
}

fn close(download: &Download, mut diag: Diag) -> Result<usize, DownloadsError> {
    let pid = download.pid.unwrap_or(0);
    let mut closed: usize = 0;
    for socket in &download.sockets {
        match diag.destroy(socket) {
            Ok(true) => closed = closed.saturating_add(1),
            Ok(false) => {}
            Err(source) => {
                let remote = socket.remote;
                let number = source.raw_os_error().map(Errno::from_raw_os_error);
                return Err(match number {
                    Some(Errno::OPNOTSUPP) => DownloadsError::SeverUnsupported { pid },
                    Some(Errno::PERM | Errno::ACCESS) => DownloadsError::SeverDenied { netns: download.netns },
                    _ => DownloadsError::Sever { remote, pid, source },
                });
            }
        }
    }
    Ok(closed)
}
