use std::io;

/// Why downloads cannot be watched or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadsError {
    /// No socket statistics at all.
    #[error("cannot read the sockets of this machine; the kernel needs CONFIG_INET_DIAG (module `inet_diag`)")]
    Diag(#[source] io::Error),
    /// The watching thread did not start.
    #[error("cannot start the thread that watches downloads; free some processes")]
    Thread(#[source] io::Error),
    /// The kernel cannot close sockets of others.
    #[error(
        "this kernel cannot close a connection for its owner (CONFIG_INET_DIAG_DESTROY is off); stop process `{pid}` instead"
    )]
    SeverUnsupported {
        /// Who downloads; 0 if unknown.
        pid: u32,
    },
    /// We may not.
    #[error("closing connections in network namespace `{netns}` needs CAP_NET_ADMIN there; run the daemon as root")]
    SeverDenied {
        /// Inode of the namespace.
        netns: u64,
    },
    /// Nobody in that namespace is left, or it cannot be entered.
    #[error("cannot enter network namespace `{netns}`; if its last process is gone, so is the download")]
    Namespace {
        /// Inode of the namespace.
        netns: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Any other refusal.
    #[error("cannot close the connection to `{remote}`; stop process `{pid}` instead")]
    Sever {
        /// The far end.
        remote: std::net::SocketAddr,
        /// Who downloads; 0 if unknown.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
}
