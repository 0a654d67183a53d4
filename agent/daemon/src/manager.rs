//! Signs of life for the service manager (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Sends `state` to where the service manager listens, if there is one.
pub fn tell(state: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let _ = send(&place, state);
}

#[cfg(target_os = "linux")]
fn send(place: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::SocketAddr;
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(Path::new(place))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(not(target_os = "linux"))]
fn send(place: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    UnixDatagram::unbound()?.send_to(state.as_bytes(), Path::new(place)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_listens_hears() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("notify");
        let manager = UnixDatagram::bind(&place).unwrap();
        send(place.as_os_str(), "READY=1").unwrap();
        let mut heard = [0; 16];
        let n = manager.recv(&mut heard).unwrap();
        assert_eq!(heard.get(..n), Some(b"READY=1".as_slice()));
        assert!(send(dir.path().join("nobody").as_os_str(), "READY=1").is_err());
    }
}
