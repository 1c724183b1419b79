//! A channel whose addresses all change, again and again: it keeps nothing of those that are gone.
//!
//! A test binary of its own with one test in it: the allocator that counts is that of the process.

use std::alloc::System;
use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::io::{Address, Dial};
use rgrpc::resolver::{ManualResolver, ResolverState};
use rgrpc::{ConnectivityState, credentials};
use rgrpc_e2e::{FnDialer, StubClient, StubService, channel_builder, msg, serve, soon};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// The number of addresses at a time.
const ADDRESSES: u32 = 1_000;

/// The number of times that all of them change.
const CHANGES: u32 = 100;

/// Changes before counting begins: queues and tables have grown to their size then.
const UNCOUNTED: usize = 20;

const PERIOD: Duration = Duration::from_millis(100);

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Attempts to connect that neither ended nor were given up.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The sizes at a moment.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    bytes: usize,
    tasks: usize,
    attempts: usize,
}

/// The addresses after so many changes; none is among those of another.
fn addresses(change: u32) -> impl Iterator<Item = Address> {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0)) + change * ADDRESSES;
    (first..first + ADDRESSES).map(|ip| Address::Tcp((Ipv4Addr::from(ip), 1).into()))
}

/// The network: of a hundred addresses one has a server, one never answers, and the others refuse.
fn dialer(server: impl Dial, attempts: Arc<AtomicUsize>) -> impl Dial {
    FnDialer::new(move |address| {
        let under_way = UnderWay::new(&attempts);
        let last = match &address {
            Address::Tcp(tcp) => tcp.ip().to_string(),
            other => panic!("{other} was not found"),
        };
        let ip: Ipv4Addr = last.parse().expect("an IPv4 address");
        let dialed = server.dial(address);
        async move {
            let _under_way = under_way;
            match u32::from(ip) % 100 {
                0 => dialed.await,
                1 => pending().await,
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_channel_stays_flat_while_all_of_its_thousand_addresses_change_every_100_ms() {
    let server = serve(StubService::echo());
    let attempts = Arc::new(AtomicUsize::new(0));
    let manual = ManualResolver::new("manual");
    let conn = channel_builder("manual:///churn", credentials::insecure())
        .dialer(dialer(server.connector(), Arc::clone(&attempts)))
        .resolver(manual.clone())
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .build()
        .expect("a valid channel");
    let client = StubClient::new(conn.clone());
    conn.connect().expect("the channel is open");
    let mut sizes = Vec::new();
    for change in 0..CHANGES {
        manual.update(ResolverState::of_addresses(addresses(change)));
        let call = client.unary(msg("")).wait_for_ready(true);
        soon(async { call.await }).await.expect("OK");
        sleep(PERIOD).await;
        let stats = ALLOCATOR.stats();
        sizes.push(Sizes {
            bytes: stats.bytes_allocated - stats.bytes_deallocated,
            tasks: Handle::current().metrics().num_alive_tasks(),
            attempts: attempts.load(Ordering::Relaxed),
        });
    }
    assert_eq!(conn.state(), ConnectivityState::Ready);
    let counted = &sizes[UNCOUNTED..];
    let early = counted[0];
    for later in counted {
        // A table may double, once. To keep as little as 50 bytes of each address would be more.
        assert!(later.bytes < 2 * early.bytes, "{early:?}, {later:?}");
        assert_eq!(later.tasks, early.tasks, "{early:?}, {later:?}");
        assert_eq!(later.attempts, 10, "those that never answer");
    }

    // Nothing is left of them when there are none.
    manual.update(ResolverState::of_addresses([]));
    sleep(PERIOD).await;
    assert_eq!(attempts.load(Ordering::Relaxed), 0);
}
