//! A custom load balancing policy, selected by the service config. Calls of one session go to one
//! server as long as it is ready. The policy is in `sticky.rs`.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin custom_balancer
//! cargo test -p rgrpc-examples --bin custom_balancer
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

mod sticky;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use rgrpc::{ClientConn, Request, Response, Server, ServerHandle, Status, credentials};
use tokio::net::TcpListener;

use self::sticky::StickyBuilder;

rgrpc::include_proto!("helloworld");

/// The service config with the policy.
const SERVICE_CONFIG: &str = r#"{
    "loadBalancingConfig": [{"sticky": {"metadataKey": "session"}}]
}"#;

/// A greeter that responds with its name.
struct Named(String);

impl Greeter for Named {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = self.0.clone();
        Ok(Response::new(HelloReply { message }))
    }
}

/// Returns the name of the server that handles a call of this session, or of none.
async fn server_of(
    greeter: &GreeterClient<ClientConn>,
    session: Option<&str>,
) -> Result<String, Status> {
    let mut call = greeter.say_hello(HelloRequest::default());
    if let Some(session) = session {
        call = call.metadata("session", session.to_owned());
    }
    Ok(call.await?.into_message().message)
}

/// Makes several calls of each of 100 sessions. Returns the server of each session.
async fn servers_of_sessions(
    greeter: &GreeterClient<ClientConn>,
) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut servers = BTreeMap::new();
    for session in 0..100 {
        let session = format!("session {session}");
        for _ in 0..5 {
            let server = server_of(greeter, Some(&session)).await?;
            let known = servers.entry(session.clone()).or_insert(server.clone());
            if *known != server {
                return Err(format!("{session} went from {known} to {server}").into());
            }
        }
    }
    Ok(servers)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut servers: BTreeMap<String, ServerHandle> = BTreeMap::new();
    let mut addresses = Vec::new();
    for name in ["Ada", "Grace", "Radia"] {
        let mut server = Server::new();
        register_greeter(&mut server, Named(name.to_owned()))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?.to_string());
        servers.insert(name.to_owned(), server.handle());
        tokio::spawn(server.serve_listener(listener));
    }

    let target = format!("ipv4:{}", addresses.join(","));
    let conn = ClientConn::builder(target, credentials::insecure())
        .balancer(StickyBuilder)
        .default_service_config(SERVICE_CONFIG)
        .build()?;
    let greeter = GreeterClient::new(conn);

    // The channel connects to the servers in turn, and a session uses the servers that are ready.
    let mut seen = BTreeSet::new();
    while seen.len() < servers.len() {
        seen.insert(server_of(&greeter, None).await?);
    }
    println!("calls without a session go to {} servers", seen.len());

    let before = servers_of_sessions(&greeter).await?;
    println!("all calls of a session go to one server");
    let in_use: BTreeSet<_> = before.values().collect();
    println!("{} sessions go to {} servers", before.len(), in_use.len());

    if let Some(ada) = servers.remove("Ada") {
        ada.graceful_stop().await;
    }
    let after = servers_of_sessions(&greeter).await?;
    let moved = before
        .iter()
        .filter(|(session, server)| after[*session] != **server);
    let all_of_ada = moved.into_iter().all(|(_, server)| server == "Ada");
    println!("Ada has stopped; only her sessions have moved: {all_of_ada}");

    for server in servers.values() {
        server.graceful_stop().await;
    }
    Ok(())
}
