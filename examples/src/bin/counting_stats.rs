//! A stats handler that counts: calls by their code, bytes both ways, and open connections.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin counting_stats
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rgrpc::stats::{
    CallBegin, CallEvent, CallStats, ConnectionBegin, ConnectionEnd, ConnectionStats, StatsHandler,
};
use rgrpc::{ClientConn, Code, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

#[derive(Default)]
struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
    connections: AtomicI64,
    /// Calls that have ended.
    ended: Mutex<BTreeMap<Code, u64>>,
    /// Connections that have ended, by the label of gRFC A94.
    disconnects: Mutex<BTreeMap<String, u64>>,
}

/// The handler has no state for a call: all calls share the recorder, which allocates nothing.
struct Counting(Arc<Counts>);

impl StatsHandler for Counting {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::clone(&self.0) as Arc<dyn CallStats>)
    }

    fn begin_connection(&self, _: &mut ConnectionBegin<'_>) -> Option<Arc<dyn ConnectionStats>> {
        self.0.connections.fetch_add(1, Relaxed);
        Some(Arc::clone(&self.0) as Arc<dyn ConnectionStats>)
    }
}

impl CallStats for Counts {
    fn event(&self, event: &CallEvent<'_>) {
        match event {
            CallEvent::InPayload(message) => {
                self.received.fetch_add(message.wire_len() as u64, Relaxed);
            }
            CallEvent::OutPayload(message) => {
                self.sent.fetch_add(message.wire_len() as u64, Relaxed);
            }
            CallEvent::End(outcome) => {
                let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
                *ended.entry(outcome.code()).or_default() += 1;
            }
            _ => {}
        }
    }
}

impl ConnectionStats for Counts {
    fn end(&self, end: &ConnectionEnd<'_>) {
        self.connections.fetch_sub(1, Relaxed);
        let label = end.reason.metric_label().into_owned();
        let mut disconnects = self
            .disconnects
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *disconnects.entry(label).or_default() += 1;
    }
}

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("the name is empty"));
        }
        let message = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { message }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let counts = Arc::new(Counts::default());
    let mut server = Server::new().stats_handler(Counting(Arc::clone(&counts)));
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::new(format!("dns:///{address}"), credentials::insecure())?;
    let greeter = GreeterClient::new(conn);
    for name in ["Ada", "Grace", ""] {
        let name = name.to_owned();
        // The empty name is refused.
        let _ = greeter.say_hello(HelloRequest { name }).await;
    }
    println!("connections: {}", counts.connections.load(Relaxed));
    drop(greeter);
    handle.graceful_stop().await;
    serving.await??;

    let ended = counts.ended.lock().unwrap_or_else(PoisonError::into_inner);
    for (code, calls) in &*ended {
        println!("{code}: {calls}");
    }
    println!("bytes received: {}", counts.received.load(Relaxed));
    println!("bytes sent: {}", counts.sent.load(Relaxed));
    println!("connections: {}", counts.connections.load(Relaxed));
    let disconnects = counts
        .disconnects
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    println!("ends of connections: {}", disconnects.values().sum::<u64>());
    Ok(())
}
