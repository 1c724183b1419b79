//! A stats handler that makes a span of `tracing` for each call, with its events in it. On a client
//! each attempt has a span within that of its call.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin tracing_stats
//! ```

use std::error::Error;
use std::io;
use std::sync::Arc;

use rgrpc::stats::{AttemptBegin, CallBegin, CallEvent, CallStats, StatsHandler};
use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;
use tracing::{Instrument, Span, info, info_span};

rgrpc::include_proto!("helloworld");

struct Tracing;

/// The span of one call. Handlers find it in the call's extensions.
#[derive(Clone)]
struct CallSpan(Span);

impl StatsHandler for Tracing {
    fn begin_call(&self, begin: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        // A client can send any name: a metric has the names of registered methods alone.
        let method = if begin.is_registered {
            begin.method
        } else {
            "other"
        };
        let peer = begin.peer.map(|peer| peer.remote.to_string());
        let span = CallSpan(info_span!("call", side = %begin.side, method, peer));
        begin.extensions.insert(span.clone());
        Some(Arc::new(span))
    }
}

impl CallStats for CallSpan {
    fn event(&self, event: &CallEvent<'_>) {
        let _in_span = self.0.enter();
        match event {
            CallEvent::Picked(picked) => info!(peer = %picked.peer.remote, "picked"),
            CallEvent::InPayload(message) => {
                info!(
                    bytes = message.encoded_len(),
                    wire = message.wire_len(),
                    "received"
                );
            }
            CallEvent::OutPayload(message) => {
                info!(
                    bytes = message.encoded_len(),
                    wire = message.wire_len(),
                    "sent"
                );
            }
            CallEvent::End(outcome) => {
                let elapsed = outcome.elapsed();
                info!(code = %outcome.code(), by = %outcome.ended_by(), ?elapsed, "ended");
            }
            _ => {}
        }
    }

    fn begin_attempt(&self, begin: &mut AttemptBegin<'_>) -> Option<Arc<dyn CallStats>> {
        let _in_span = self.0.enter();
        let span = info_span!("attempt", previous = begin.previous_attempts);
        Some(Arc::new(CallSpan(span)))
    }
}

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let span = request.extensions().get::<CallSpan>();
        let span = span.map_or_else(Span::none, |span| span.0.clone());
        async move {
            info!("within the handler");
            let message = format!("Hello, {}!", request.message().name);
            Ok(Response::new(HelloReply { message }))
        }
        .instrument(span)
        .await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_writer(io::stdout)
        .init();
    let mut server = Server::new().stats_handler(Tracing);
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::builder(format!("dns:///{address}"), credentials::insecure())
        .stats_handler(Tracing)
        .build()?;
    let name = "Ada".to_owned();
    GreeterClient::new(conn)
        .say_hello(HelloRequest { name })
        .await?;
    handle.graceful_stop().await;
    serving.await??;
    Ok(())
}
