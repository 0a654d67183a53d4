use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use weighbridge_console_authority::AuthorityError;
use weighbridge_console_http::TlsError;
use weighbridge_console_store::StoreError;

/// Why the console cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file or folder.
    #[error("cannot {action} `{}`", .path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// Another program listens there, or nobody may.
    #[error("cannot listen on {address}; another program may, or choose another with `--listen`")]
    Listen { address: SocketAddr, source: io::Error },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The system gives no threads or signals.
    #[error("the system gives not what is needed")]
    System(#[from] io::Error),
}
