//! Servers by name, which come and go behind a channel that a manual resolver tells of them.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use rgrpc::io::{Address, Dial, PipeConnector};
use rgrpc::resolver::{ManualResolver, ResolverState};
use rgrpc::{ClientConnBuilder, Response, credentials};
use rgrpc_e2e::{FnDialer, StubService, TestServer, channel_builder, msg, serve};

/// The target of the channels.
pub(crate) const TARGET: &str = "manual:///shop";

/// The servers, by name, and what tells the channels which of them to use: none, at first.
pub(crate) struct Cluster {
    servers: HashMap<String, TestServer>,
    connectors: Arc<Mutex<HashMap<Address, PipeConnector>>>,
    pub(crate) resolver: ManualResolver,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            servers: HashMap::new(),
            connectors: Arc::default(),
            resolver: ManualResolver::new("manual"),
        }
    }

    /// With servers of these names, which answer a unary call with their name.
    pub(crate) fn of(names: &[&'static str]) -> Self {
        let mut cluster = Self::new();
        names.iter().for_each(|name| cluster.start_named(name));
        cluster
    }

    /// From now on a server with this service is reached by this name.
    pub(crate) fn start(&mut self, name: &str, service: StubService) {
        let server = serve(service);
        self.connectors
            .lock()
            .expect("not poisoned")
            .insert(address(name), server.connector());
        self.servers.insert(name.to_owned(), server);
    }

    /// As [`start`](Self::start); a unary call is answered with the name.
    pub(crate) fn start_named(&mut self, name: &'static str) {
        let service =
            StubService::new().unary(move |_| async move { Ok(Response::new(msg(name))) });
        self.start(name, service);
    }

    /// From now on connections to this name are refused. The server goes on until it is dropped.
    pub(crate) fn take(&mut self, name: &str) -> TestServer {
        self.connectors
            .lock()
            .expect("not poisoned")
            .remove(&address(name));
        self.servers.remove(name).expect("it was started")
    }

    /// Tells the channels that these are there.
    pub(crate) fn found(&self, names: &[&str]) {
        self.resolver.update(state(names));
    }

    /// A channel to what the resolver tells of.
    pub(crate) fn builder(&self) -> ClientConnBuilder {
        let connectors = Arc::clone(&self.connectors);
        let dialer = FnDialer::new(move |address| {
            let connectors = connectors.lock().expect("not poisoned");
            let dialed = connectors
                .get(&address)
                .map(|connector| connector.dial(address));
            async move {
                match dialed {
                    Some(dialed) => dialed.await,
                    None => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        });
        channel_builder(TARGET, credentials::insecure())
            .dialer(dialer)
            .resolver(self.resolver.clone())
    }
}

/// The address of the server of this name.
pub(crate) fn address(name: &str) -> Address {
    Address::Name(name.to_owned())
}

/// These are there.
pub(crate) fn state(names: &[&str]) -> ResolverState {
    ResolverState::of_addresses(names.iter().map(|name| address(name)))
}
