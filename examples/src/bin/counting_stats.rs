//! A stats handler that counts, on both sides: calls by their code, attempts, bytes both ways, and
//! open connections.
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
    AttemptBegin, CallBegin, CallEvent, CallStats, ConnectionBegin, ConnectionEnd, ConnectionStats,
    StatsHandler,
};
use rgrpc::{ClientConn, Code, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::sync::Notify;

rgrpc::include_proto!("helloworld");

#[derive(Default)]
struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
    connections: AtomicI64,
    /// Attempts at calls, on a client.
    attempts: AtomicU64,
    /// Calls that have ended.
    ended: Mutex<BTreeMap<Code, u64>>,
    /// Connections that have ended, by the label of gRFC A94.
    disconnects: Mutex<BTreeMap<String, u64>>,
    /// Notified at the end of a connection.
    disconnected: Notify,
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

    /// The attempt has no recorder of its own: its events come to that of the call.
    fn begin_attempt(&self, _: &mut AttemptBegin<'_>) -> Option<Arc<dyn CallStats>> {
        self.attempts.fetch_add(1, Relaxed);
        None
    }
}

impl Counts {
    fn print(&self, side: &str) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        for (code, calls) in &*ended {
            println!("{side}: {code}: {calls}");
        }
        println!("{side}: bytes received: {}", self.received.load(Relaxed));
        println!("{side}: bytes sent: {}", self.sent.load(Relaxed));
        println!("{side}: attempts: {}", self.attempts.load(Relaxed));
        println!("{side}: connections: {}", self.connections.load(Relaxed));
        let disconnects = self
            .disconnects
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ends = disconnects.values().sum::<u64>();
        println!("{side}: ends of connections: {ends}");
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
        self.disconnected.notify_one();
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
    let of_server = Arc::new(Counts::default());
    let of_client = Arc::new(Counts::default());
    let mut server = Server::new().stats_handler(Counting(Arc::clone(&of_server)));
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::builder(format!("dns:///{address}"), credentials::insecure())
        .stats_handler(Counting(Arc::clone(&of_client)))
        .build()?;
    let greeter = GreeterClient::new(conn);
    for name in ["Ada", "Grace", ""] {
        let name = name.to_owned();
        // The empty name is refused.
        let _ = greeter.say_hello(HelloRequest { name }).await;
    }
    println!("connections: {}", of_server.connections.load(Relaxed));
    println!("connections: {}", of_client.connections.load(Relaxed));
    drop(greeter);
    handle.graceful_stop().await;
    serving.await??;
    // The channel closes its connection on a task of its own.
    of_client.disconnected.notified().await;

    of_server.print("server");
    of_client.print("client");
    Ok(())
}
