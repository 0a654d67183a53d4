use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::message::{self, INET, INET6, Reply, Sample, replies};
use crate::download::Socket;

/// What one read takes at most; the kernel fills up to 32 KiB.
const BUFFER_BYTES: usize = 64 * 1024;
/// Room for socket ends that wait to be read: about 4,000.
const QUEUE_BYTES: usize = 4 << 20;
/// Longest wait for the next part of a list.
const REPLY_MS: u64 = 2_000;
/// Most sockets read from one list; beyond, the rest is left unread.
const SOCKETS_MAX: usize = 1 << 20;
/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY`, as bits.
const GROUPS: u32 = 0b101;

/// A way to ask the kernel about the sockets of the namespace it was opened in.
#[derive(Debug)]
pub struct Diag {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Diag {
    /// Opens it in the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let fd = netlink(0)?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Hands every TCP socket to `each`.
    ///
    /// # Errors
    /// A list that broke off; what came before has been handed over.
    pub fn list(&mut self, mut each: impl FnMut(Sample)) -> io::Result<()> {
        let mut left = SOCKETS_MAX;
        for family in [INET, INET6] {
            let sequence = self.ask(|sequence| message::dump(family, sequence))?;
            self.answer(sequence, |reply| match reply {
                Reply::Done => Some(Ok(())),
                // No such family on this machine: IPv6 may be switched off.
                Reply::Error(number) if family == INET6 && number == Errno::NOENT.raw_os_error() => Some(Ok(())),
                Reply::Error(number) => Some(Err(io::Error::from_raw_os_error(number))),
                Reply::Socket(sample) => {
                    each(sample);
                    left = left.saturating_sub(1);
                    (left == 0).then(|| Err(io::Error::other("too many sockets")))
                }
            })?;
        }
        Ok(())
    }

    /// Closes one socket; `false` if it is gone already.
    pub fn destroy(&mut self, socket: &Socket) -> io::Result<bool> {
        let sequence = self.ask(|sequence| message::destroy(socket, sequence))?;
        let mut result = Ok(true);
        self.answer(sequence, |reply| match reply {
            Reply::Error(0) | Reply::Done => Some(Ok(())),
            Reply::Error(number) if number == Errno::NOENT.raw_os_error() => {
                result = Ok(false);
                Some(Ok(()))
            }
            Reply::Error(number) => Some(Err(io::Error::from_raw_os_error(number))),
            Reply::Socket(_) => None,
        })?;
        result
    }

    fn ask(&mut self, request: impl FnOnce(u32) -> Vec<u8>) -> io::Result<u32> {
        // 0 marks what the kernel sends of its own accord.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let to_kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.fd, &request(self.sequence), SendFlags::empty(), &to_kernel)?;
        Ok(self.sequence)
    }

    fn answer(&mut self, sequence: u32, mut each: impl FnMut(Reply) -> Option<io::Result<()>>) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_millis(REPLY_MS);
        loop {
            let Some(datagram) = receive(&self.fd, &mut self.buffer)? else {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                wait(&[self.fd.as_fd()], left)?;
                continue;
            };
            for reply in replies(datagram, sequence) {
                if let Some(end) = each(reply) {
                    return end;
                }
            }
        }
    }
}

/// News of sockets that ended, with their last counts.
#[derive(Debug)]
pub struct Destroyed {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Destroyed {
    /// Listens in the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let fd = netlink(GROUPS)?;
        // More than the default needs CAP_NET_ADMIN; without it, as much as is allowed.
        if sockopt::set_socket_recv_buffer_size_force(&fd, QUEUE_BYTES).is_err() {
            sockopt::set_socket_recv_buffer_size(&fd, QUEUE_BYTES)?;
        }
        Ok(Self { fd, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Hands over what has come since the last call.
    ///
    /// # Errors
    /// `ENOBUFS` if some were lost.
    pub fn drain(&mut self, mut each: impl FnMut(Sample)) -> io::Result<()> {
        // Bounded, so that a storm of connections cannot hold us here.
        for _ in 0..SOCKETS_MAX {
            let Some(datagram) = receive(&self.fd, &mut self.buffer)? else { break };
            for reply in replies(datagram, 0) {
                if let Reply::Socket(sample) = reply {
                    each(sample);
                }
            }
        }
        Ok(())
    }
}

impl AsFd for Destroyed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until one of `fds` can be read, or for `time`.
pub fn wait(fds: &[BorrowedFd<'_>], time: Duration) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn netlink(groups: u32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
    rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
    Ok(fd)
}

/// The next datagram of the kernel itself: the root of a container could send
/// us forged ones.
fn receive<'b>(fd: &OwnedFd, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
    loop {
        let (read, _, from) = match rustix::net::recvfrom(fd, &mut *buffer, RecvFlags::empty()) {
            Ok(received) => received,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let kernel = from.and_then(|from| SocketAddrNetlink::try_from(from).ok()).is_some_and(|from| from.pid() == 0);
        if kernel {
            return Ok(buffer.get(..read));
        }
    }
}
