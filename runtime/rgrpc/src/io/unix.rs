//! Unix sockets, for the system's dialer and for servers.
//!
//! Called on the task of the attempt to connect, and by accept loops.

use std::io;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::{Address, Connected, Listener, Peer};

/// Connects to the socket at a path.
pub(super) async fn connect(path: PathBuf) -> io::Result<Connected> {
    let stream = UnixStream::connect(&path).await?;
    let peer = Peer::new(Address::Unix(Some(path)), Address::Unix(None));
    Ok(Connected::new(Box::new(stream), peer))
}

/// Connects to a socket in Linux's abstract namespace.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) async fn connect_abstract(name: String) -> io::Result<Connected> {
    // A leading zero byte distinguishes the name from a path.
    let stream = UnixStream::connect(format!("\0{name}")).await?;
    let peer = Peer::new(Address::UnixAbstract(name), Address::Unix(None));
    Ok(Connected::new(Box::new(stream), peer))
}

impl Listener for UnixListener {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        let (stream, remote) = UnixListener::accept(self).await?;
        let peer = Peer::new(address(remote.into()), self.local_address());
        Ok(Some(Connected::new(Box::new(stream), peer)))
    }

    fn local_address(&self) -> Address {
        match self.local_addr() {
            Ok(local) => address(local.into()),
            Err(_) => Address::Unix(None),
        }
    }
}

fn address(address: SocketAddr) -> Address {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_name() {
        return Address::UnixAbstract(String::from_utf8_lossy(name).into_owned());
    }
    Address::Unix(address.as_pathname().map(Path::to_owned))
}
