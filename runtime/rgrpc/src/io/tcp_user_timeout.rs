//! The TCP user timeout of sockets (RFC 5482; gRFC A18).
//!
//! Set by the task of the attempt to connect and by the accept loop, before the handshake.

use std::any::Any;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{Connected, Io};

/// The default TCP user timeout: the time that grpc-go waits for the acknowledgement of a keepalive
/// PING, to which it sets the option.
pub(crate) const DEFAULT_TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

impl Connected {
    /// Sets the TCP user timeout of a TCP socket, unless it has one. No effect where the operating
    /// system lacks the option.
    pub(crate) fn set_tcp_user_timeout(&self, timeout: Duration) {
        let any: &dyn Any = &*self.io as &dyn Io;
        let Some(stream) = any.downcast_ref::<TcpStream>() else {
            return;
        };
        if let Err(error) = set(stream, timeout) {
            let peer = &self.peer.remote;
            tracing::debug!(%peer, %error, "the TCP user timeout could not be set");
        }
    }
}

#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
fn set(stream: &TcpStream, timeout: Duration) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    if socket.tcp_user_timeout()?.is_none_or(|set| set.is_zero()) {
        // The kernel counts milliseconds and uses its own default for 0.
        let timeout = timeout.clamp(Duration::from_millis(1), MAX);
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    Ok(())
}

/// The maximum timeout of the kernel's type.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const MAX: Duration = Duration::from_millis(i32::MAX as u64);

#[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
fn set(_: &TcpStream, _: Duration) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(
    test,
    any(target_os = "android", target_os = "fuchsia", target_os = "linux")
))]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;
    use crate::io::{Address, Dial, Listener, SystemDialer};

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the option of a connection's socket.
    fn of(connected: &Connected) -> Option<Duration> {
        let any: &dyn Any = &*connected.io as &dyn Io;
        let stream = any.downcast_ref::<TcpStream>().expect("TCP");
        let timeout = SockRef::from(stream).tcp_user_timeout();
        timeout.expect("a socket").filter(|set| !set.is_zero())
    }

    #[tokio::test]
    async fn the_timeout_is_set_on_dialed_and_accepted_sockets_without_one() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = Address::Tcp(listener.local_addr().expect("bound"));
        let dialed = SystemDialer.dial(address).await.expect("it listens");
        let accepted = Listener::accept(&mut listener).await.expect("dialed");
        for connected in [dialed, accepted.expect("open")] {
            assert_eq!(of(&connected), None);
            connected.set_tcp_user_timeout(7 * SECOND);
            assert_eq!(of(&connected), Some(7 * SECOND));
            connected.set_tcp_user_timeout(9 * SECOND);
            assert_eq!(
                of(&connected),
                Some(7 * SECOND),
                "a timeout that is set is kept"
            );
        }
    }

    #[tokio::test]
    async fn any_duration_can_be_set() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = Address::Tcp(listener.local_addr().expect("bound"));
        for (timeout, expected) in [
            (Duration::from_nanos(1), Duration::from_millis(1)),
            (Duration::MAX, MAX),
        ] {
            let dialed = SystemDialer
                .dial(address.clone())
                .await
                .expect("it listens");
            dialed.set_tcp_user_timeout(timeout);
            assert_eq!(of(&dialed), Some(expected));
        }
    }

    #[test]
    fn a_connection_other_than_a_tcp_socket_is_unchanged() {
        let (io, _) = tokio::io::duplex(1);
        let peer = crate::io::Peer::new(Address::Pipe, Address::Pipe);
        Connected::new(Box::new(io), peer).set_tcp_user_timeout(SECOND);
    }
}
