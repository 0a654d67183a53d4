//! Why the daemon could not run.

/// See the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The configuration cannot be used.
    #[error("the configuration `{path}` cannot be used: {reason}")]
    Config {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The state cannot be used.
    #[error("the state in `{path}` cannot be used: {reason}")]
    State {
        /// The folder.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Another daemon has the socket, or it cannot be made.
    #[error("cannot listen on `{path}`: {reason}")]
    Socket {
        /// The socket.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The daemon cannot be reached.
    #[error("cannot reach the daemon on `{path}`: {source}; is `weighbridge daemon` running?")]
    Unreachable {
        /// The socket.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The daemon said no.
    #[error("{0}")]
    Refused(String),
    /// Something the daemon cannot do without.
    #[error("cannot {what}")]
    System {
        /// What.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}
