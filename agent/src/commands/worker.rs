use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::exit::{Failure, Outcome};

/// Serves assessments on standard input, which is a socket to the scanner.
pub fn run() -> Result<Outcome, Failure> {
    // Kernels that cannot leave what the parent closes anyhow.
    #[cfg(target_os = "linux")]
    let _ = weighbridge_platform::descriptors::close_inherited();
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from)?;
    weighbridge_scanner::worker::run(&socket)?;
    Ok(Outcome::Yes)
}
