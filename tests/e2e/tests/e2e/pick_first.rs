//! `pick_first` on a channel: the choice among several addresses, its time, and calls meanwhile.
//! The decisions of its state machine are tested beside it; these tests are about time, connections
//! and calls.
//!
//! Source: gRFCs A61 and A62; RFC 8305; grpc-go's `TestPickFirst_*`, `TestPickFirstLeaf_*`.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use rgrpc::io::{Address, Connected, Dial, PipeConnector};
use rgrpc::{ClientConn, Code, Response, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, serve, settle, soon, text,
};
use tokio::time::{Instant, sleep};

/// The result of an attempt to connect to an address.
#[derive(Clone)]
enum Attempt {
    Refused,
    /// It never ends.
    Hangs,
    /// It takes so long, and reaches this server.
    Connects(Duration, PipeConnector),
}

/// The network of a channel: hosts 10.0.0.1, 10.0.0.2 and so on, all of which refuse at first.
struct Network {
    begun: Instant,
    hosts: Mutex<HashMap<Address, Attempt>>,
    /// The dialed hosts, each with its time in milliseconds.
    dials: Mutex<Vec<(u128, u8)>>,
    /// The number of attempts that neither ended nor were given up.
    under_way: AtomicUsize,
}

fn host(number: u8) -> Address {
    Address::Tcp(([10, 0, 0, number], 1).into())
}

impl Network {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            hosts: Mutex::default(),
            dials: Mutex::default(),
            under_way: AtomicUsize::new(0),
        })
    }

    fn set(&self, number: u8, attempt: Attempt) {
        let mut hosts = self.hosts.lock().expect("not poisoned");
        hosts.insert(host(number), attempt);
    }

    /// A server at a host, which answers all calls with the host's number.
    fn serve(&self, number: u8) -> TestServer {
        self.serve_after(number, Duration::ZERO)
    }

    /// As [`serve`](Self::serve); to connect takes so long.
    fn serve_after(&self, number: u8, time: Duration) -> TestServer {
        let server = serve(StubService::new().unary(move |_| {
            let name = msg(number.to_string());
            async { Ok(Response::new(name)) }
        }));
        self.set(number, Attempt::Connects(time, server.connector()));
        server
    }

    fn dialer(self: &Arc<Self>) -> impl Dial {
        let network = Arc::clone(self);
        FnDialer::new(move |address| {
            let network = Arc::clone(&network);
            async move { network.dial(address).await }
        })
    }

    async fn dial(&self, address: Address) -> io::Result<Connected> {
        let number = match &address {
            Address::Tcp(address) => match address.ip() {
                IpAddr::V4(ip) => ip.octets()[3],
                IpAddr::V6(ip) => panic!("{ip} is no host"),
            },
            other => panic!("{other} is no host"),
        };
        let after = self.begun.elapsed().as_millis();
        self.dials
            .lock()
            .expect("not poisoned")
            .push((after, number));
        let attempt = self
            .hosts
            .lock()
            .expect("not poisoned")
            .get(&address)
            .cloned();
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let _under_way = UnderWay(self);
        match attempt.unwrap_or(Attempt::Refused) {
            Attempt::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            Attempt::Hangs => pending().await,
            Attempt::Connects(time, connector) => {
                sleep(time).await;
                connector.dial(address).await
            }
        }
    }

    /// A channel to the first so many hosts.
    fn conn(self: &Arc<Self>, hosts: u8) -> ClientConn {
        let addresses: Vec<_> = (1..=hosts).map(|number| host(number).to_string()).collect();
        let target = format!("ipv4:{}", addresses.join(","));
        channel_builder(target, credentials::insecure())
            .dialer(self.dialer())
            .build()
            .expect("a valid target")
    }

    /// The hosts that were dialed since the last call.
    fn take_dials(&self) -> Vec<u8> {
        let dials = std::mem::take(&mut *self.dials.lock().expect("not poisoned"));
        dials.into_iter().map(|(_, number)| number).collect()
    }

    /// Asserts that these hosts were dialed since they were last asked for, after so many
    /// milliseconds.
    #[track_caller]
    fn assert_dials(&self, expected: &[(u128, u8)]) {
        let dials = std::mem::take(&mut *self.dials.lock().expect("not poisoned"));
        let same = dials.len() == expected.len()
            && dials.iter().zip(expected).all(|(dial, expected)| {
                // The clock goes in steps of 1 ms, and each timer may add one.
                dial.1 == expected.1 && (expected.0..expected.0 + 5).contains(&dial.0)
            });
        assert!(same, "{dials:?} instead of {expected:?}");
    }

    fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

struct UnderWay<'a>(&'a Network);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The host that answers a call, or the failure of the call.
async fn host_of(conn: &ClientConn) -> Result<String, String> {
    let client = StubClient::new(conn.clone());
    match soon(async { client.unary(msg("")).await }).await {
        Ok(response) => Ok(text(response.message()).to_owned()),
        Err(status) => {
            assert_eq!(status.code(), Code::Unavailable);
            Err(status.message().to_owned())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_go_over_one_connection_to_the_first_address() {
    let network = Network::new();
    let _servers = [network.serve(1), network.serve(2)];
    let conn = network.conn(2);
    for _ in 0..5 {
        assert_eq!(host_of(&conn).await.as_deref(), Ok("1"));
        sleep(Duration::from_secs(1)).await;
    }
    network.assert_dials(&[(0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_refuses_costs_no_time() {
    let network = Network::new();
    let _server = network.serve(3);
    let conn = network.conn(3);
    assert_eq!(host_of(&conn).await.as_deref(), Ok("3"));
    network.assert_dials(&[(0, 1), (0, 2), (0, 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_costs_250_ms_and_is_given_up_then() {
    let network = Network::new();
    network.set(1, Attempt::Hangs);
    network.set(2, Attempt::Hangs);
    let _server = network.serve(3);
    let conn = network.conn(4);
    assert_eq!(host_of(&conn).await.as_deref(), Ok("3"));
    network.assert_dials(&[(0, 1), (250, 2), (500, 3)]);
    settle().await;
    assert_eq!(network.under_way(), 0, "the other attempts are given up");
}

#[tokio::test(start_paused = true)]
async fn the_first_connection_established_is_used() {
    let ms = Duration::from_millis;
    for (first, second, wins) in [(300, 200, "1"), (600, 200, "2"), (200, 0, "1")] {
        let network = Network::new();
        let _servers = [
            network.serve_after(1, ms(first)),
            network.serve_after(2, ms(second)),
        ];
        let conn = network.conn(2);
        assert_eq!(
            host_of(&conn).await.as_deref(),
            Ok(wins),
            "{first}, {second}"
        );
        sleep(Duration::from_secs(1)).await;
        assert_eq!(
            host_of(&conn).await.as_deref(),
            Ok(wins),
            "{first}, {second}"
        );
        assert_eq!(network.under_way(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_addresses_fail_each_is_tried_again_after_its_own_backoff() {
    let network = Network::new();
    let conn = network.conn(2);
    let expected = "cannot connect to ipv4:10.0.0.1:1,10.0.0.2:1: \
                    10.0.0.2:1: connection refused (attempt 1, next in 1.0 s); \
                    last of 2 addresses";
    assert_eq!(host_of(&conn).await, Err(expected.to_owned()));
    network.assert_dials(&[(0, 1), (0, 2)]);
    assert_eq!(conn.state(), TransientFailure);

    // The next wait of each is 1.6 s, a fifth more or less.
    sleep(Duration::from_millis(1100)).await;
    network.assert_dials(&[(1000, 1), (1000, 2)]);
    assert_eq!(conn.state(), TransientFailure, "until one is ready");
    let _server = network.serve(2);
    sleep(Duration::from_millis(2000)).await;
    assert_eq!(conn.state(), Ready);
    assert_eq!(host_of(&conn).await.as_deref(), Ok("2"));
    let dials = network.take_dials();
    assert!(dials == [1, 2] || dials == [2], "{dials:?}");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(network.take_dials(), [0; 0], "the others are given up");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_long_holds_up_no_failure_of_the_others() {
    let network = Network::new();
    network.set(1, Attempt::Hangs);
    let conn = network.conn(3);
    conn.connect().expect("on a runtime");
    settle().await;
    assert_eq!(conn.state(), Connecting);
    sleep(Duration::from_secs(19)).await;
    assert_eq!(conn.state(), Connecting, "the first may answer yet");
    network.assert_dials(&[(0, 1), (250, 2), (250, 3)]);
    let failure = host_of(&conn).await.expect_err("none answers");
    assert!(
        failure.contains(
            "10.0.0.1:1: connecting took longer than 20 s; the option is min_connect_timeout"
        ),
        "{failure}"
    );
    settle().await;
    // The others have waited for the end of the pass.
    network.assert_dials(&[(20_000, 2), (20_000, 3)]);
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_connection_the_first_address_is_tried_first() {
    let network = Network::new();
    let second = network.serve(2);
    let conn = network.conn(2);
    assert_eq!(host_of(&conn).await.as_deref(), Ok("2"));
    let _first = network.serve(1);
    second.handle().graceful_stop().await;
    settle().await;
    assert_eq!(conn.state(), Idle);
    network.take_dials();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(network.take_dials(), [0; 0], "nothing needs a connection");

    assert_eq!(host_of(&conn).await.as_deref(), Ok("1"));
    assert_eq!(network.take_dials(), [1]);
}

#[tokio::test(start_paused = true)]
async fn shuffled_addresses_are_tried_in_any_order() {
    let network = Network::new();
    let _servers = [network.serve(1), network.serve(2), network.serve(3)];
    let target = format!("ipv4:{},{},{}", host(1), host(2), host(3));
    let mut firsts = [0; 3];
    // Thrice in 10^17 runs one of them would never be the first.
    for _ in 0..100 {
        let config = r#"{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}"#;
        let conn = channel_builder(&*target, credentials::insecure())
            .dialer(network.dialer())
            .default_service_config(config)
            .build()
            .expect("a valid config");
        host_of(&conn).await.expect("OK");
        let dials = network.take_dials();
        assert_eq!(dials.len(), 1, "{dials:?}");
        firsts[usize::from(dials[0] - 1)] += 1;
    }
    assert!(firsts.iter().all(|count| *count > 0), "{firsts:?}");
}

#[test]
fn a_bad_config_makes_no_channel() {
    let config = r#"{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": 1}}]}"#;
    let error = channel_builder("ipv4:10.0.0.1:1", credentials::insecure())
        .default_service_config(config)
        .build()
        .expect_err("invalid");
    let expected =
        "loadBalancingConfig[0].pick_first.shuffleAddressList: true or false is expected, got 1";
    assert!(error.to_string().contains(expected), "{error}");
}
