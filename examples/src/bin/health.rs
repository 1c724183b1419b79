//! Health checks: a client balances its calls over two backends, and skips one while it is drained.
//! The connection to it stays open.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin health
//! ```
//!
//! The server implements the service `grpc.health.v1.Health`, generated here from its schema. The
//! client's service config has a policy with health checks, and the name of the service to check.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use rgrpc::{ClientConn, Request, Response, SendStream, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

// The code of all schemas of the examples; this program uses two packages.
mod proto {
    rgrpc::include_protos!();
}

use proto::grpc::health::v1 as health;
use proto::grpc::health::v1::health_check_response::ServingStatus;
use proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use proto::helloworld::{Greeter, GreeterClient, HelloReply, HelloRequest, register_greeter};

/// The service config: calls go in turn to all backends that report SERVING for the greeter.
const SERVICE_CONFIG: &str = r#"{
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "helloworld.Greeter"}
}"#;

/// The name in the service config: by convention the service's name. The empty name stands for the
/// whole server.
const GREETER: &str = "helloworld.Greeter";

/// The serving status of each service, for `check` and `watch`.
#[derive(Clone)]
struct HealthService(watch::Sender<HashMap<String, ServingStatus>>);

impl HealthService {
    fn new() -> Self {
        let service = Self(watch::Sender::default());
        service.set("", ServingStatus::Serving);
        service
    }

    fn set(&self, service: &str, status: ServingStatus) {
        self.0.send_modify(|statuses| {
            statuses.insert(service.to_owned(), status);
        });
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

impl health::Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_message().service;
        match self.0.borrow().get(&service) {
            Some(&status) => Ok(Response::new(response(status))),
            None => Err(Status::not_found(format!("no service {service:?} here"))),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
        mut responses: SendStream<HealthCheckResponse>,
    ) -> Result<(), Status> {
        let service = request.into_message().service;
        let mut statuses = self.0.subscribe();
        let mut last = None;
        loop {
            // Unlike in `check`, an unknown service is no error, because it may be added later.
            let status = statuses.borrow_and_update().get(&service).copied();
            let status = status.unwrap_or(ServingStatus::ServiceUnknown);
            if last != Some(status) {
                responses.send(response(status)).await?;
                last = Some(status);
            }
            // `self` keeps the sender, and the handler is dropped when the client cancels.
            if statuses.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}

/// A greeter that responds with its name.
struct Named(&'static str);

impl Greeter for Named {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let message = format!("Hello, {}! I am {}.", request.message().name, self.0);
        Ok(Response::new(HelloReply { message }))
    }
}

/// Starts a backend. Returns its address and its health service.
async fn start(name: &'static str) -> Result<(SocketAddr, HealthService), Box<dyn Error>> {
    let health = HealthService::new();
    health.set(GREETER, ServingStatus::Serving);
    let mut server = Server::new();
    register_greeter(&mut server, Named(name))?;
    health::register_health(&mut server, health.clone())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(server.serve_listener(listener));
    Ok((address, health))
}

fn request() -> HelloRequest {
    HelloRequest {
        name: "Grace".to_owned(),
    }
}

/// Makes calls until they reach exactly these backends, because a client receives a change a moment
/// later.
async fn reached(greeter: &GreeterClient, expected: &[&str]) -> Result<String, Status> {
    loop {
        let mut names = BTreeSet::new();
        for _ in 0..10 {
            let reply = greeter.say_hello(request()).wait_for_ready(true).await?;
            let message = reply.into_message().message;
            let name = message.rsplit(' ').next().unwrap_or_default();
            names.insert(name.trim_end_matches('.').to_owned());
        }
        if names.iter().eq(expected) {
            return Ok(expected.join(" and "));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (first, a) = start("A").await?;
    let (second, b) = start("B").await?;

    let target = format!("ipv4:{first},{second}");
    let conn = ClientConn::builder(target, credentials::insecure())
        .default_service_config(SERVICE_CONFIG)
        .build()?;
    let greeter = GreeterClient::new(conn);

    let names = reached(&greeter, &["A", "B"]).await?;
    println!("Both serve: calls go to {names}");

    b.set(GREETER, ServingStatus::NotServing);
    let names = reached(&greeter, &["A"]).await?;
    println!("B is being drained: calls go to {names}");

    a.set(GREETER, ServingStatus::NotServing);
    let status = loop {
        match greeter.say_hello(request()).await {
            Ok(_) => sleep(Duration::from_millis(10)).await,
            Err(status) => break status,
        }
    };
    // The status's message has the status of each backend.
    println!("Nobody serves: {}", status.code());

    let waiting = tokio::spawn({
        let greeter = greeter.clone();
        async move { greeter.say_hello(request()).wait_for_ready(true).await }
    });
    b.set(GREETER, ServingStatus::Serving);
    let message = waiting.await??.into_message().message;
    println!("B serves again, for a call that waited: {message}");

    a.set(GREETER, ServingStatus::Serving);
    let names = reached(&greeter, &["A", "B"]).await?;
    println!("A as well: calls go to {names}");
    Ok(())
}
