use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Resolver, ResolverControl, ResolverFuture, ResolverState};
use crate::io::Address;
use crate::status::Status;

/// How long a lookup may take, as in grpc-go.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// How far apart lookups are at least that were asked for, as in grpc-go.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// Looks up the addresses of a host by the system's resolver, and again when the channel asks.
#[derive(Debug)]
pub(crate) struct DnsResolver {
    host: String,
    port: u16,
}

impl DnsResolver {
    pub(crate) fn new(host: String, port: u16) -> Self {
        Self { host, port }
    }
}

impl Resolver for DnsResolver {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            loop {
                let begun = Instant::now();
                let accepted = match lookup(&self.host, self.port).await {
                    Ok(addresses) => control.update(ResolverState::of_addresses(addresses)).await,
                    Err(error) => {
                        control.error(error.clone()).await;
                        Err(error)
                    }
                };
                if accepted.is_err() {
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
                control.resolve_now_requested().await;
                sleep_until(begun + MIN_INTERVAL).await;
            }
        })
    }
}

/// Looks up the addresses of a host by the system's resolver.
async fn lookup(host: &str, port: u16) -> Result<Vec<Address>, Status> {
    let failed = |cause: &str| {
        Status::unavailable(format!(
            "name resolution of {host:?} by dns failed: {cause}"
        ))
    };
    let addresses: Vec<_> = match timeout(LOOKUP_TIMEOUT, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.map(Address::Tcp).collect(),
        Ok(Err(error)) => return Err(failed(&error.to_string())),
        Err(_) => return Err(failed("no answer within 30 s")),
    };
    if addresses.is_empty() {
        return Err(failed("the name has no addresses"));
    }
    Ok(addresses)
}
