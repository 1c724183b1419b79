//! The dialer of a channel with an HTTP proxy (RFC 9110, section 9.3.6).
//!
//! Called on the task of the attempt to connect.
//!
//! Source: grpc-go `internal/transport/proxy.go`.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::response::{MAX_HEAD, may_be_http, parse, take};
use super::url::ProxyUrl;
use super::{HttpProxy, ProxyError};
use crate::io::{Address, Connected, Dial, DialFuture, Peer, SystemDialer, host_port};

/// The user agent in requests to a proxy.
const USER_AGENT: &str = concat!("grpc-rust-rgrpc/", env!("CARGO_PKG_VERSION"));

/// A dialer that uses the proxy for the proxy's addresses, and the operating system for others.
#[derive(Clone, Debug)]
pub(crate) struct ProxyDialer {
    proxy: HttpProxy,
    /// The time that a proxy has to connect.
    limit: Duration,
}

impl ProxyDialer {
    /// Creates the dialer of a channel whose attempts to connect may take `attempt_limit` at least.
    /// A proxy has less time, so that the error of a silent one names the proxy.
    pub(crate) fn new(proxy: HttpProxy, attempt_limit: Duration) -> Self {
        let limit = attempt_limit - attempt_limit / 4;
        Self { proxy, limit }
    }

    /// Returns `host:port` of an address that uses the proxy. Only TCP addresses use a proxy.
    fn tunnel_to(&self, address: &Address) -> Option<String> {
        let (host, port) = match address {
            Address::Tcp(address) => (address.ip().to_string(), address.port()),
            Address::Name(name) => match host_port::split(name) {
                Ok((host, Some(port))) if !host.is_empty() => (host.to_owned(), port),
                // The system's dialer reports the error.
                _ => return None,
            },
            _ => return None,
        };
        let is_for = self.proxy.is_for(&host, port);
        is_for.then(|| host_port::join(&host, port))
    }
}

impl Dial for ProxyDialer {
    fn dial(&self, address: Address) -> DialFuture {
        let Some(destination) = self.tunnel_to(&address) else {
            return SystemDialer.dial(address);
        };
        let HttpProxy { url, source, .. } = self.proxy.clone();
        let limit = self.limit;
        Box::pin(async move {
            let url = url.map_err(|problem| {
                let problem = ProxyError(problem);
                io::Error::new(io::ErrorKind::InvalidInput, format!("{problem} ({source})"))
            })?;
            let named = |problem: String| {
                let proxy = url.address();
                io::Error::other(format!("the proxy {proxy} ({source}) {problem}"))
            };
            let stream = connect(&url, &destination, limit).await.map_err(named)?;
            let local = Address::Tcp(stream.local_addr()?);
            Ok(Connected::new(Box::new(stream), Peer::new(address, local)))
        })
    }
}

/// Connects through the proxy to the destination within a time. The error is a predicate with the
/// proxy as the subject.
async fn connect(
    proxy: &ProxyUrl,
    destination: &str,
    limit: Duration,
) -> Result<TcpStream, String> {
    let request = request(proxy, destination)?;
    let deadline = Instant::now().checked_add(limit);
    let reached = within(deadline, TcpStream::connect((&*proxy.host, proxy.port))).await;
    let mut stream = reached
        .ok_or_else(|| too_late("could not be reached", limit))?
        .map_err(|error| format!("cannot be reached: {error}"))?;
    within(deadline, tunnel(&mut stream, &request, destination))
        .await
        .ok_or_else(|| too_late(&format!("did not answer CONNECT {destination}"), limit))??;
    Ok(stream)
}

/// Runs a future until the deadline. `None`: it was not ready in time.
async fn within<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        // Too far away to be expressed.
        None => Some(future.await),
    }
}

fn too_late(problem: &str, limit: Duration) -> String {
    format!("{problem} within {limit:?}, three quarters of the option min_connect_timeout")
}

/// Sends CONNECT and awaits the response that opens the tunnel.
async fn tunnel(stream: &mut TcpStream, request: &[u8], destination: &str) -> Result<(), String> {
    // A request is written in one piece, so Nagle's algorithm would only delay it.
    let lost = |error: io::Error| format!("broke the connection: {error}");
    stream.set_nodelay(true).map_err(lost)?;
    stream.write_all(request).await.map_err(lost)?;
    loop {
        let head = read_head(stream).await?;
        let response = parse(&head).ok_or("did not answer in HTTP/1")?;
        match response.status {
            // An informational response; another one follows.
            100..=199 => {}
            200..=299 => return Ok(()),
            status => {
                let reason = response.reason;
                return Err(format!(
                    "answered CONNECT {destination} with {status} {reason}"
                ));
            }
        }
    }
}

fn request(proxy: &ProxyUrl, destination: &str) -> Result<Vec<u8>, String> {
    // The destination comes from a target and may hold any text.
    if !destination.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("cannot be sent the name {destination:?}"));
    }
    let authorization = match &proxy.authorization {
        Some(value) => format!("Proxy-Authorization: {value}\r\n"),
        None => String::new(),
    };
    let request = format!(
        "CONNECT {destination} HTTP/1.1\r\n\
         Host: {destination}\r\n\
         User-Agent: {USER_AGENT}\r\n\
         {authorization}\r\n"
    );
    Ok(request.into_bytes())
}

/// Reads the head of a response and nothing after it, because the rest belongs to the server.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let lost = |error: io::Error| format!("broke the connection: {error}");
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let peeked = stream.peek(&mut chunk).await.map_err(lost)?;
        if peeked == 0 {
            return Err("closed the connection without an answer".to_owned());
        }
        let (taken, ends) = take(&head, &chunk[..peeked]);
        stream.read_exact(&mut chunk[..taken]).await.map_err(lost)?;
        head.extend_from_slice(&chunk[..taken]);
        if !may_be_http(&head) {
            return Err("did not answer in HTTP/1".to_owned());
        }
        if ends {
            return Ok(head);
        }
        if head.len() > MAX_HEAD {
            return Err(format!("answered with more than {MAX_HEAD} bytes"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_to_other_machines_uses_a_proxy() {
        let proxy = HttpProxy::new("p:1").expect("a proxy").no_proxy("c.test");
        let dialer = ProxyDialer::new(proxy, Duration::from_secs(20));
        let tcp = |address: &str| Address::Tcp(address.parse().expect(address));
        let name = |name: &str| Address::Name(name.to_owned());
        for (address, expected) in [
            (tcp("1.2.3.4:5"), Some("1.2.3.4:5")),
            (tcp("[2001:db8::1]:5"), Some("[2001:db8::1]:5")),
            (tcp("127.0.0.1:5"), None),
            (tcp("[::1]:5"), None),
            (name("b.test:5"), Some("b.test:5")),
            (name("c.test:5"), None),
            (name("localhost:5"), None),
            (name("b.test"), None),
            (name(":5"), None),
            (Address::Unix(Some("/s".into())), None),
            (Address::UnixAbstract("s".to_owned()), None),
            (Address::Pipe, None),
        ] {
            assert_eq!(dialer.tunnel_to(&address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn the_request_has_the_destination_and_the_credentials() {
        let request = |proxy: &str, destination: &str| {
            let request = request(&ProxyUrl::parse(proxy).expect(proxy), destination);
            request.map(|request| String::from_utf8(request).expect("text"))
        };
        let agent = format!("User-Agent: {USER_AGENT}");
        assert_eq!(
            request("p:1", "b.test:5").expect("a name"),
            format!("CONNECT b.test:5 HTTP/1.1\r\nHost: b.test:5\r\n{agent}\r\n\r\n")
        );
        assert_eq!(
            request("user:password@p:1", "[::1]:5").expect("an address"),
            format!(
                "CONNECT [::1]:5 HTTP/1.1\r\nHost: [::1]:5\r\n{agent}\r\n\
                 Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n\r\n"
            )
        );
        for destination in ["a\r\nb: c:1", "a b:1", "é:1"] {
            request("p:1", destination).expect_err(destination);
        }
    }
}
