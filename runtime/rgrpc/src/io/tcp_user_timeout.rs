use std::any::Any;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{Connected, Io};

/// The TCP user timeout (RFC 5482) of connections that have no other: the time that grpc-go gives
/// a peer for the answer of a keepalive PING, which is what it sets the option to.
pub(crate) const DEFAULT_TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

impl Connected {
    /// Sets the TCP user timeout of a connection that is a socket of TCP, unless whoever made it
    /// has set one. Of no effect where the operating system has no such option.
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
        // The kernel counts milliseconds, and takes 0 for its own default.
        let timeout = timeout.clamp(Duration::from_millis(1), MAX);
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    Ok(())
}

/// The largest timeout that the kernel's type holds.
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

    /// The option of a connection's socket.
    fn of(connected: &Connected) -> Option<Duration> {
        let any: &dyn Any = &*connected.io as &dyn Io;
        let stream = any.downcast_ref::<TcpStream>().expect("TCP");
        let timeout = SockRef::from(stream).tcp_user_timeout();
        timeout.expect("a socket").filter(|set| !set.is_zero())
    }

    #[tokio::test]
    async fn it_is_set_on_dialed_and_on_accepted_sockets_that_have_none() {
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
                "whoever made it has set it"
            );
        }
    }

    #[tokio::test]
    async fn any_time_can_be_set() {
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
    fn what_is_no_socket_of_tcp_is_left_alone() {
        let (io, _) = tokio::io::duplex(1);
        let peer = crate::io::Peer::new(Address::Pipe, Address::Pipe);
        Connected::new(Box::new(io), peer).set_tcp_user_timeout(SECOND);
    }
}
