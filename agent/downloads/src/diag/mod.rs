//! Sockets of one network namespace as the kernel lists them (sock_diag(7)).

mod message;
mod socket;

pub use message::Sample;
pub use socket::{Destroyed, Diag};
