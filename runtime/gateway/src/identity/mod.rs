//! Who calls: what the kernel says of the other end of a connection, or what
//! a token proves. Never what a request says of itself.

mod diag;
mod sockets;
mod tokens;
mod users;

use std::net::SocketAddr;

use weighbridge_policy::Principal;

pub(crate) use tokens::{Known, Tokens};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For decisions.
    pub principal: Principal,
    /// The operating system's number of the user.
    pub uid: Option<u32>,
    /// The process, if known.
    pub pid: Option<u32>,
    /// Its program, if known.
    pub process: Option<String>,
    /// How it is known.
    pub via: Via,
}

/// How a caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By the owner of its socket on this machine.
    Socket,
    /// By the credentials of its Unix socket.
    Peer,
    /// By a token.
    Token,
    /// Not at all.
    Nothing,
}

impl Caller {
    /// Whom nothing is known of. A workload rather than a user, so that no
    /// account of that name is meant.
    #[must_use]
    pub fn anonymous() -> Self {
        let principal = Principal::Workload("anonymous".to_owned());
        Self { principal, uid: None, pid: None, process: None, via: Via::Nothing }
    }

    fn user(uid: u32, pid: Option<u32>, via: Via) -> Self {
        let process = pid.and_then(sockets::program);
        Self { principal: Principal::User(users::name(uid)), uid: Some(uid), pid, process, via }
    }

    /// The owner of the other end of a TCP connection on this machine, by
    /// whichever of its addresses.
    pub(crate) fn of_tcp(peer: SocketAddr, local: SocketAddr, find_process: bool) -> Self {
        if !sockets::is_here(peer) {
            return Self::anonymous();
        }
        let Some(owner) = sockets::owner(peer, local) else { return Self::anonymous() };
        let pid = if find_process { sockets::holder(owner.inode) } else { None };
        Self::user(owner.uid, pid, Via::Socket)
    }

    /// The other end of a Unix socket.
    pub(crate) fn of_unix(uid: u32, pid: Option<u32>) -> Self {
        Self::user(uid, pid, Via::Peer)
    }

    /// The same connection, by a token for the service `name`.
    pub(crate) fn with_token(&self, name: &str) -> Self {
        Self { principal: Principal::ServiceAccount(name.to_owned()), via: Via::Token, ..self.clone() }
    }

    /// `user:alice`: key of quotas and rates, and name in the record.
    #[must_use]
    pub fn shown(&self) -> String {
        let kind = match &self.principal {
            Principal::User(_) => "user",
            Principal::ServiceAccount(_) => "service-account",
            Principal::Host(_) => "host",
            Principal::Workload(_) => "workload",
        };
        format!("{kind}:{}", self.principal.name())
    }
}
