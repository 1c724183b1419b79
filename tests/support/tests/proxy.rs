//! Tests of the proxy and the listeners.

use std::io::ErrorKind;
use std::time::Duration;

use rgrpc_test_support::{
    CountingListener, Cut, Direction, FaultProxy, RefusingAddress, free_listener,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A proxy and the listener behind it.
async fn proxied() -> (FaultProxy, TcpListener) {
    let upstream = free_listener().await.unwrap();
    (
        FaultProxy::start(upstream.local_addr().unwrap())
            .await
            .unwrap(),
        upstream,
    )
}

/// A connection through the proxy: the client's end and the server's.
async fn connect(proxy: &FaultProxy, upstream: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (client, upstream.accept().await.unwrap().0)
}

async fn read(stream: &mut TcpStream, octets: usize) -> Vec<u8> {
    let mut buffer = vec![0; octets];
    stream.read_exact(&mut buffer).await.unwrap();
    buffer
}

#[tokio::test]
async fn octets_and_orderly_ends_go_both_ways() {
    let (proxy, upstream) = proxied().await;
    let (mut client, mut server) = connect(&proxy, &upstream).await;
    client.write_all(b"ask").await.unwrap();
    client.shutdown().await.unwrap();
    let mut asked = Vec::new();
    server.read_to_end(&mut asked).await.unwrap();
    assert_eq!(asked, b"ask");
    server.write_all(b"answer").await.unwrap();
    drop(server);
    let mut answered = Vec::new();
    client.read_to_end(&mut answered).await.unwrap();
    assert_eq!(answered, b"answer");
}

#[tokio::test]
async fn a_stalled_direction_passes_nothing_until_it_resumes() {
    let (proxy, upstream) = proxied().await;
    let (mut client, mut server) = connect(&proxy, &upstream).await;
    proxy.stall(Direction::ToServer);
    client.write_all(b"held").await.unwrap();
    // The other direction still works, and gives the proxy its turn.
    server.write_all(b"free").await.unwrap();
    assert_eq!(read(&mut client, 4).await, b"free");
    assert_eq!(
        server.try_read(&mut [0; 4]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    proxy.resume(Direction::ToServer);
    assert_eq!(read(&mut server, 4).await, b"held");
}

#[tokio::test]
async fn a_connection_is_cut_after_exactly_so_many_octets() {
    let (proxy, upstream) = proxied().await;
    proxy.cut_after(Direction::ToServer, 5, Cut::Fin);
    let (mut client, mut server) = connect(&proxy, &upstream).await;
    client
        .write_all(&b"0123456789".repeat(10_000))
        .await
        .unwrap();
    let mut passed = Vec::new();
    server.read_to_end(&mut passed).await.unwrap();
    assert_eq!(passed, b"01234");
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    // Data that the proxy had not read must not turn the orderly end into a reset.
    client.write_all(b"unheard").await.unwrap();
}

#[tokio::test]
async fn a_reset_reaches_both_ends() {
    let (proxy, upstream) = proxied().await;
    let (mut client, mut server) = connect(&proxy, &upstream).await;
    client.write_all(b"once").await.unwrap();
    read(&mut server, 4).await;
    proxy.cut_after(Direction::ToClient, 0, Cut::Reset);
    for end in [&mut client, &mut server] {
        let error = end.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn an_end_that_breaks_resets_the_other() {
    let (proxy, upstream) = proxied().await;
    let (mut client, server) = connect(&proxy, &upstream).await;
    server.set_zero_linger().unwrap();
    drop(server);
    let error = client.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_healed_proxy_passes_new_connections_and_counts_them() {
    let (proxy, upstream) = proxied().await;
    proxy.cut_after(Direction::ToServer, 0, Cut::Reset);
    let mut cut = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(cut.read(&mut [0; 1]).await.is_err());
    upstream.accept().await.unwrap();
    proxy.heal();
    let (mut client, mut server) = connect(&proxy, &upstream).await;
    client.write_all(b"well").await.unwrap();
    assert_eq!(read(&mut server, 4).await, b"well");
    assert_eq!(proxy.accepted().count(), 2);
}

#[tokio::test]
async fn a_delayed_direction_takes_at_least_the_delay() {
    let (proxy, upstream) = proxied().await;
    let (mut client, mut server) = connect(&proxy, &upstream).await;
    let delay = Duration::from_millis(30);
    proxy.delay(Direction::ToServer, delay);
    let start = Instant::now();
    client.write_all(b"slow").await.unwrap();
    assert_eq!(read(&mut server, 4).await, b"slow");
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_dropped_proxy_ends_its_connections() {
    let (proxy, upstream) = proxied().await;
    let (mut client, mut server) = connect(&proxy, &upstream).await;
    drop(proxy);
    for end in [&mut client, &mut server] {
        assert_eq!(end.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_counting_listener_tells_when_a_client_has_come_back() {
    let listener = CountingListener::bind().await.unwrap();
    let mut accepted = listener.accepted();
    let address = listener.address();
    let accepting = tokio::spawn(async move {
        for _ in 0..2 {
            listener.accept().await.unwrap();
        }
    });
    assert_eq!(accepted.count(), 0);
    for _ in 0..2 {
        TcpStream::connect(address).await.unwrap();
    }
    accepted.reaches(2).await;
    assert_eq!(accepted.count(), 2);
    accepting.await.unwrap();
}

#[tokio::test]
async fn a_refusing_address_refuses_until_it_listens() {
    let refusing = RefusingAddress::bind().unwrap();
    let address = refusing.address();
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let listener = refusing.listen().unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    assert!(connected.is_ok() && accepted.is_ok());
}
