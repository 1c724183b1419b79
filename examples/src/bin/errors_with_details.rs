//! Failures with details for programs: besides its code and its text, a status carries messages in
//! a `google.rpc.Status`, as in all gRPC languages.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin errors_with_details
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use rgrpc::prost::Message;
use rgrpc::prost_types::{Any, Duration};
use rgrpc::{ClientConn, Code, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

// The code of all schemas of the examples; this program uses two packages.
mod proto {
    rgrpc::include_protos!();
}

use proto::google::rpc::bad_request::FieldViolation;
use proto::google::rpc::{BadRequest, ErrorInfo};
use proto::helloworld::{Greeter, GreeterClient, HelloReply, HelloRequest, register_greeter};

/// The type URLs, which name the message in an [`Any`].
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// The delay before a caller should retry.
const RETRY_DELAY: Duration = Duration {
    seconds: 3,
    nanos: 0,
};

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        let violations = violations(name);
        if !violations.is_empty() {
            return Err(bad_request(violations));
        }
        let message = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { message }))
    }
}

/// Returns all violations of a name, not only the first.
fn violations(name: &str) -> Vec<FieldViolation> {
    let rules = [
        (name.len() > 8, "is longer than 8 bytes"),
        (name.contains(char::is_whitespace), "has white space"),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
    broken
        .map(|(_, description)| FieldViolation {
            field: "name".to_owned(),
            description: description.to_owned(),
        })
        .collect()
}

/// Creates a status with details.
fn bad_request(field_violations: Vec<FieldViolation>) -> Status {
    let bad_request = BadRequest { field_violations };
    let error_info = ErrorInfo {
        reason: "NAME_REFUSED".to_owned(),
        domain: "greeter.example.com".to_owned(),
        ..ErrorInfo::default()
    };
    Status::invalid_argument("the name cannot be greeted")
        .with_any_detail(packed(BAD_REQUEST, &bad_request))
        .with_any_detail(packed(ERROR_INFO, &error_info))
        // A message with a name (`prost::Name`) needs no type URL.
        .with_detail(&RETRY_DELAY)
}

fn packed(type_url: &str, message: &impl Message) -> Any {
    Any {
        type_url: type_url.to_owned(),
        value: message.encode_to_vec(),
    }
}

/// Prints a failure with its details.
fn explain(status: &Status) -> Result<(), Box<dyn Error>> {
    println!("{status}");
    if let Some(delay) = status.detail::<Duration>()? {
        println!("  try again in {delay}");
    }
    // The whole `google.rpc.Status`, to inspect one detail after the other.
    let proto = status.to_proto();
    for detail in proto.details {
        match detail.type_url.as_str() {
            BAD_REQUEST => {
                let bad_request = BadRequest::decode(&*detail.value)?;
                for violation in bad_request.field_violations {
                    println!("  field {:?} {}", violation.field, violation.description);
                }
            }
            ERROR_INFO => {
                let info = ErrorInfo::decode(&*detail.value)?;
                println!("  reason {} of {}", info.reason, info.domain);
            }
            // Unknown details are possible.
            other => println!("  and a {other}"),
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::new(address.to_string(), credentials::insecure())?;
    let greeter = GreeterClient::new(conn);
    for name in ["Ada", "Ada Lovelace"] {
        let name = name.to_owned();
        match greeter.say_hello(HelloRequest { name }).await {
            Ok(reply) => println!("{}", reply.message().message),
            Err(status) if status.code() == Code::InvalidArgument => explain(&status)?,
            Err(status) => return Err(status.into()),
        }
    }

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
