//! Routing by a header: the resolver gives the channel a config selector, which sends each call to
//! one of two clusters, and within it one user's calls to one server.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin header_routing
//! cargo test -p rgrpc-examples --bin header_routing
//! ```
//!
//! `routes.rs` has the selector, `clusters.rs` the policy with a child for each cluster. The
//! clusters' policy is `ring_hash`, with a config that is not JSON.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

mod clusters;
mod routes;

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rgrpc::balancer::{PolicyConfig, RingHashBuilder, RingHashConfig};
use rgrpc::io::Address;
use rgrpc::resolver::{Attributes, Endpoint, ResolverState, StaticResolverBuilder};
use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

use self::clusters::{Cluster, ClustersBuilder, ClustersConfig};
use self::routes::{CANARY, Routes, STABLE};

rgrpc::include_proto!("helloworld");

/// A greeter that responds with its name.
struct Named(String);

impl Greeter for Named {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = self.0.clone();
        Ok(Response::new(HelloReply { message }))
    }
}

/// Starts the servers of a cluster. Returns their endpoints.
async fn start(cluster: Cluster) -> Result<Vec<Endpoint>, Box<dyn Error>> {
    let mut endpoints = Vec::new();
    for number in 1..=3 {
        let mut server = Server::new();
        register_greeter(&mut server, Named(format!("{} {number}", cluster.0)))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = Address::Tcp(listener.local_addr()?);
        tokio::spawn(server.serve_listener(listener));
        let attributes = Attributes::new().with(cluster);
        endpoints.push(Endpoint::from(address).with_attributes(attributes));
    }
    Ok(endpoints)
}

/// The server that handles a call with these headers.
async fn server_of(
    greeter: &GreeterClient<ClientConn>,
    environment: &'static str,
    user: String,
) -> Result<String, Status> {
    let reply = greeter
        .say_hello(HelloRequest::default())
        .metadata("x-env", environment)
        .metadata("x-user", user)
        .await?;
    Ok(reply.into_message().message)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut endpoints = start(STABLE).await?;
    endpoints.extend(start(CANARY).await?);

    let ring_hash = PolicyConfig::new(
        Arc::new(RingHashBuilder::new()),
        Arc::new(RingHashConfig::new().with_ring_size(64, 64)?),
    );
    let clusters = ClustersConfig::from([(STABLE, ring_hash.clone()), (CANARY, ring_hash)]);
    let policy = PolicyConfig::new(Arc::new(ClustersBuilder), Arc::new(clusters));
    let uncommitted = Arc::new(AtomicUsize::new(0));
    let state = ResolverState::new(endpoints)
        .with_policy(policy)
        .with_config_selector(Routes::new(&uncommitted)?);
    let conn = ClientConn::builder("shop:///greeter", credentials::insecure())
        .resolver(StaticResolverBuilder::of_state("shop", state))
        .build()?;
    let greeter = GreeterClient::new(conn);

    for environment in ["stable", "canary"] {
        let mut servers = BTreeSet::new();
        for user in 0..20 {
            let user = format!("user {user}");
            let server = server_of(&greeter, environment, user.clone()).await?;
            if server != server_of(&greeter, environment, user).await? {
                return Err("a user has changed servers".into());
            }
            servers.insert(server);
        }
        if !servers.iter().all(|server| server.starts_with(environment)) {
            return Err(format!("{servers:?} are not all of {environment}").into());
        }
        println!("{environment}: each user has one server of the cluster");
    }
    match server_of(&greeter, "moon", "ada".to_owned()).await {
        Ok(server) => return Err(format!("{server} has answered").into()),
        Err(status) => println!("moon: {}", status.message()),
    }
    println!(
        "calls not committed: {}",
        uncommitted.load(Ordering::Relaxed)
    );
    Ok(())
}
