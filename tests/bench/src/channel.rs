//! The channels of the client on rgrpc: with nothing to decide for a call, or with all of it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use clap::{Args, ValueEnum};
use rgrpc::io::{Address, Dial, DialFuture, SystemDialer};
use rgrpc::resolver::{Endpoint, StaticResolverBuilder};
use rgrpc::{
    ClientConn, ClientConnBuilder, ClientNext, ClientReply, OutgoingCall, Status, credentials,
};

use crate::counting_handler::CountingHandler;
use crate::engine::EngineFlags;

/// The channels of a client.
#[derive(Args, Clone, Copy, Debug)]
pub struct ChannelFlags {
    /// The engine of the streams.
    #[command(flatten)]
    pub engine: EngineFlags,
    /// The work of a channel for each call.
    #[arg(long, value_enum, default_value_t = Channel::Plain)]
    pub channel: Channel,
    /// The number of pass-through interceptors.
    #[arg(long, default_value_t = 0)]
    pub interceptors: usize,
    /// The number of stats handlers, which count the events of calls.
    #[arg(long, default_value_t = 0)]
    pub stats: usize,
}

/// The work of a channel for each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Channel {
    /// A channel for each connection, without a service config.
    Plain,
    /// As plain, and each loop takes the channels in turn for its unary calls: the same way of
    /// calls over connections as a balanced channel has, without its costs.
    ByHand,
    /// One channel over all connections: calls take them in turn, and a service config arms
    /// retries.
    Balanced,
}

/// The connections in turn; UnaryCall is found by its name, its messages are kept to be sent again,
/// and its successes fill the bucket of retries.
const SERVICE_CONFIG: &str = r#"{
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{
        "name": [{"service": "grpc.testing.BenchmarkService", "method": "UnaryCall"}],
        "retryPolicy": {
            "maxAttempts": 4,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"]
        }
    }],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
}"#;

/// The scheme under which a balanced channel finds its backends.
const SCHEME: &str = "backends";

impl ChannelFlags {
    /// Plain channels on an engine.
    #[must_use]
    pub const fn plain(engine: EngineFlags) -> Self {
        Self {
            engine,
            channel: Channel::Plain,
            interceptors: 0,
            stats: 0,
        }
    }

    /// The channels that together have so many connections to a port of this machine.
    ///
    /// # Errors
    /// A channel cannot be made.
    pub fn client_conns(self, port: u16, conns: usize) -> anyhow::Result<Vec<ClientConn>> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match self.channel {
            Channel::Plain | Channel::ByHand => (0..conns)
                .map(|_| build(self.builder(format!("dns:///{server}"))))
                .collect(),
            Channel::Balanced => {
                let backends = (0..conns).map(backend).collect();
                let builder = self
                    .builder(format!("{SCHEME}:///{server}"))
                    .resolver(StaticResolverBuilder::new(SCHEME, backends))
                    .dialer(OneServer(server))
                    .default_service_config(SERVICE_CONFIG);
                Ok(vec![build(builder)?])
            }
        }
    }

    fn builder(self, target: String) -> ClientConnBuilder {
        let transport = self.engine.engine.transport();
        let mut builder = ClientConn::builder(target, credentials::insecure()).transport(transport);
        for _ in 0..self.interceptors {
            builder = builder.interceptor(pass_through);
        }
        for _ in 0..self.stats {
            builder = builder.stats_handler(CountingHandler::default());
        }
        builder
    }
}

/// An interceptor that changes nothing.
async fn pass_through(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    next.run(call).await
}

fn build(builder: ClientConnBuilder) -> anyhow::Result<ClientConn> {
    builder.build().context("making a channel")
}

/// A backend of its own for the balancer, which has one connection to each.
fn backend(index: usize) -> Endpoint {
    Endpoint::new(vec![Address::Name(format!("backend-{index}"))])
}

/// Dials the one server that there is, whichever backend is meant.
#[derive(Debug)]
struct OneServer(SocketAddr);

impl Dial for OneServer {
    fn dial(&self, _backend: Address) -> DialFuture {
        SystemDialer::default().dial(Address::Tcp(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    #[test]
    fn a_balanced_client_has_one_channel_and_others_have_one_for_each_connection() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        for (channel, channels) in [
            (Channel::Plain, 3),
            (Channel::ByHand, 3),
            (Channel::Balanced, 1),
        ] {
            let engine = EngineFlags {
                engine: Engine::Native,
            };
            let flags = ChannelFlags {
                channel,
                ..ChannelFlags::plain(engine)
            };
            assert_eq!(flags.client_conns(1, 3).unwrap().len(), channels);
        }
    }
}
