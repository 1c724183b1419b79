//! A resolver over a registry: the backends are the addresses under a prefix in etcd, and a channel
//! follows their changes.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin etcd_resolver [HOST:PORT]
//! ```
//!
//! `HOST:PORT` is the address of an etcd of version 3; by default the program starts a stand-in.
//! The resolver uses an rgrpc client that is generated from etcd's `.proto` files.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

mod proto {
    rgrpc::include_protos!();
}
mod registry;
mod resolver;

use std::collections::BTreeSet;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::time::timeout;

use proto::etcdserverpb::{DeleteRangeRequest, KvClient, PutRequest};
use proto::helloworld::{Greeter, GreeterClient, HelloReply, HelloRequest, register_greeter};
use resolver::EtcdBuilder;

/// The number of consecutive calls that must reach exactly the expected backends.
const CALLS: usize = 30;

/// A greeter that responds with its name.
struct Backend(&'static str);

impl Greeter for Backend {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = self.0.to_owned();
        Ok(Response::new(HelloReply { message }))
    }
}

/// Starts a backend. Returns its address.
async fn start(name: &'static str) -> Result<SocketAddr, Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, Backend(name))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(server.serve_listener(listener));
    Ok(address)
}

/// Makes calls until [`CALLS`] consecutive ones reach all of these backends and no others.
async fn answered_by(greeter: &GreeterClient<ClientConn>, names: &[&str]) -> Result<(), Status> {
    let expected: BTreeSet<_> = names.iter().map(ToString::to_string).collect();
    loop {
        let mut found = BTreeSet::new();
        for _ in 0..CALLS {
            let call = greeter.say_hello(HelloRequest::default());
            found.insert(call.wait_for_ready(true).await?.into_message().message);
        }
        if found == expected {
            println!("answered by {}", names.join(" and "));
            return Ok(());
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = match std::env::args().nth(1) {
        Some(address) => address,
        None => registry::start().await?.to_string(),
    };
    // A prefix for each run, so that backends of an earlier run are not found.
    let prefix = format!("services/greeter-{}/", std::process::id());
    let etcd = ClientConn::new(&*registry, credentials::insecure())?;
    let etcd = KvClient::new(etcd);
    let key = |name: &str| format!("{prefix}{name}").into_bytes();
    let add = async |name: &'static str| -> Result<(), Box<dyn Error>> {
        let value = start(name).await?.to_string().into_bytes();
        let (key, lease) = (key(name), 0);
        let put = etcd.put(PutRequest { key, value, lease });
        put.wait_for_ready(true).await?;
        println!("{name} is added");
        Ok(())
    };
    let remove = async |name: &str| -> Result<(), Box<dyn Error>> {
        let (key, range_end) = (key(name), Vec::new());
        etcd.delete_range(DeleteRangeRequest { key, range_end })
            .await?;
        println!("{name} is removed");
        Ok(())
    };

    let conn = ClientConn::builder(
        format!("etcd://{registry}/{prefix}"),
        credentials::insecure(),
    )
    .resolver(EtcdBuilder)
    .build()?;
    let greeter = GreeterClient::new(conn);
    let following = async {
        add("Ada").await?;
        add("Barbara").await?;
        answered_by(&greeter, &["Ada", "Barbara"]).await?;
        add("Grace").await?;
        answered_by(&greeter, &["Ada", "Barbara", "Grace"]).await?;
        remove("Ada").await?;
        answered_by(&greeter, &["Barbara", "Grace"]).await?;
        remove("Barbara").await?;
        answered_by(&greeter, &["Grace"]).await?;
        remove("Grace").await
    };
    timeout(Duration::from_secs(30), following).await?
}
