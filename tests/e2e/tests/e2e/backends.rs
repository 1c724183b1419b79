//! Several servers behind one target, for the policies that balance over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rgrpc::balancer::{BalancerBuilder, PolicyConfig};
use rgrpc::io::{Address, Dial, PipeConnector};
use rgrpc::resolver::{ResolverState, StaticResolverBuilder};
use rgrpc::{ClientConn, ClientConnBuilder, Response, Status, credentials};
use rgrpc_e2e::{FnDialer, StubService, TestServer, channel_builder, msg, serve};

/// Servers that answer a unary call with their number, from 0, or fail it with UNAVAILABLE.
pub(crate) struct Backends {
    servers: Vec<TestServer>,
    /// A bit for each.
    failing: Arc<AtomicU32>,
}

impl Backends {
    pub(crate) fn serve(count: u16) -> Self {
        let failing = Arc::new(AtomicU32::new(0));
        let serve = |number: u16| {
            let failing = Arc::clone(&failing);
            serve(StubService::new().unary(move |_| {
                let fails = failing.load(Ordering::Relaxed) & (1 << number) != 0;
                async move {
                    match fails {
                        true => Err(Status::unavailable("this backend fails")),
                        false => Ok(Response::new(msg(number.to_string()))),
                    }
                }
            }))
        };
        let servers = (0..count).map(serve).collect();
        Self { servers, failing }
    }

    /// A channel to all of them by this policy, with this `loadBalancingConfig`.
    pub(crate) fn connect(&self, policy: impl BalancerBuilder, config: &str) -> ClientConn {
        let target = format!("ipv4:{}", self.addresses().join(","));
        self.channel(&target)
            .balancer(policy)
            .default_service_config(format!(r#"{{"loadBalancingConfig": {config}}}"#))
            .build()
            .expect("valid")
    }

    /// A channel to all of them by a policy that the resolver gives with its config.
    pub(crate) fn connect_by(&self, policy: PolicyConfig) -> ClientConn {
        let addresses = self.addresses().into_iter();
        let addresses = addresses.map(|address| Address::Tcp(address.parse().expect("an address")));
        let state = ResolverState::of_addresses(addresses).with_policy(policy);
        self.channel("backends:///all")
            .resolver(StaticResolverBuilder::of_state("backends", state))
            .build()
            .expect("valid")
    }

    fn addresses(&self) -> Vec<String> {
        (1..=self.servers.len())
            .map(|port| format!("127.0.0.1:{port}"))
            .collect()
    }

    fn channel(&self, target: &str) -> ClientConnBuilder {
        let servers = self.servers.iter();
        let connectors: Vec<PipeConnector> = servers.map(TestServer::connector).collect();
        let dialer = FnDialer::new(move |address| {
            let Address::Tcp(tcp) = &address else {
                panic!("{address} is not of the target");
            };
            connectors[usize::from(tcp.port()) - 1].dial(address)
        });
        channel_builder(target, credentials::insecure()).dialer(dialer)
    }

    /// From now on this one fails its calls, or does not any more.
    pub(crate) fn set_failing(&self, number: u16, fails: bool) {
        if fails {
            self.failing.fetch_or(1 << number, Ordering::Relaxed);
        } else {
            self.failing.fetch_and(!(1 << number), Ordering::Relaxed);
        }
    }

    /// This one closes its connections and accepts no more.
    pub(crate) fn stop(&self, number: u16) {
        self.servers[usize::from(number)].handle().stop();
    }
}
