//! Calls of every kind to the interop server, through a proxy: what `tests/proxies/run` drives.
//!
//! ```text
//! proxy-load ADDRESS bytes                     60 MB each way, in all kinds of calls
//! proxy-load ADDRESS bytes-apart               likewise, each kind on a connection of its own
//! proxy-load ADDRESS calls COUNT CONCURRENCY   unary calls
//! proxy-load ADDRESS hold SECONDS              unary and streaming calls all the while
//! proxy-load ADDRESS survive SECONDS           likewise, and calls may be UNAVAILABLE
//! proxy-load ADDRESS down                      every call has to be UNAVAILABLE
//! ```
//!
//! Every call has a deadline, and every one that ends otherwise than it has to makes the program
//! fail, with the status.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's output"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rgrpc::{ClientConn, Code, Status, credentials};
use rgrpc_interop::engine::engine;
use rgrpc_interop::proto::{
    Empty, Payload, ResponseParameters, SimpleRequest, StreamingInputCallRequest,
    StreamingOutputCallRequest, StreamingOutputCallResponse, TestServiceClient,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// The longest time of a call.
const CALL: Duration = Duration::from_secs(30);

/// The sizes of messages and how many of them a call of a kind exchanges: 16 MB in all.
const MESSAGES: [(usize, usize); 4] = [
    (1_000_000, 8),
    (200 * 1024, 20),
    (16_384, 200),
    (1_000, 1_000),
];

type Client = TestServiceClient<ClientConn>;
type Outcome = Result<(), String>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [address, "bytes"] => {
            let shared = client(address);
            bytes(|| shared.clone()).await
        }
        [address, "bytes-apart"] => bytes(|| client(address)).await,
        [address, "calls", count, concurrency] => match (count.parse(), concurrency.parse()) {
            (Ok(count), Ok(concurrency)) => calls(address, count, concurrency).await,
            _ => Err("COUNT and CONCURRENCY are numbers".to_owned()),
        },
        [address, phase @ ("hold" | "survive"), seconds] => match seconds.parse() {
            Ok(seconds) => {
                let may_fail = phase == "survive";
                hold(address, Duration::from_secs(seconds), may_fail).await
            }
            Err(_) => Err("SECONDS is a number".to_owned()),
        },
        [address, "down"] => down(address).await,
        _ => Err("usage: proxy-load ADDRESS PHASE …".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn client(address: &str) -> Result<Client, String> {
    let target = format!("passthrough:///{address}");
    let builder = ClientConn::builder(target, credentials::insecure()).transport(engine()?);
    builder
        .build()
        .map(TestServiceClient::new)
        .map_err(|error| error.to_string())
}

/// Names the call in the text of its failure.
fn named<T>(call: &str, outcome: Result<T, Status>) -> Result<T, String> {
    outcome.map_err(|status| format!("{call}: {status}"))
}

fn payload(size: usize) -> Option<Payload> {
    Some(Payload {
        body: vec![b'x'; size],
        ..Payload::default()
    })
}

fn output(size: usize, count: usize) -> StreamingOutputCallRequest {
    let parameters = ResponseParameters {
        size: size as i32,
        ..ResponseParameters::default()
    };
    StreamingOutputCallRequest {
        response_parameters: vec![parameters; count],
        ..StreamingOutputCallRequest::default()
    }
}

fn expect_size(call: &str, response: &StreamingOutputCallResponse, size: usize) -> Outcome {
    match &response.payload {
        Some(payload) if payload.body.len() == size => Ok(()),
        _ => Err(format!("{call}: a response of another size than {size}")),
    }
}

/// At least 60 MB in each direction. All kinds run at the same time, each by a client from
/// `client`.
async fn bytes(client: impl Fn() -> Result<Client, String>) -> Outcome {
    let mut kinds = JoinSet::new();
    for (size, count) in MESSAGES {
        let one = client()?;
        kinds.spawn(async move { unary(&one, size, count).await });
        let one = client()?;
        kinds.spawn(async move { upload(&one, size, count).await });
        let one = client()?;
        kinds.spawn(async move { download(&one, size, count).await });
        let one = client()?;
        kinds.spawn(async move { full_duplex(&one, size, count).await });
        let one = client()?;
        kinds.spawn(async move { half_duplex(&one, size, count).await });
    }
    all(kinds).await
}

async fn all(mut tasks: JoinSet<Outcome>) -> Outcome {
    while let Some(outcome) = tasks.join_next().await {
        outcome.map_err(|error| error.to_string())??;
    }
    Ok(())
}

async fn unary(client: &Client, size: usize, count: usize) -> Outcome {
    for _ in 0..count {
        let request = SimpleRequest {
            payload: payload(size),
            response_size: size as i32,
            ..SimpleRequest::default()
        };
        let response = named("unary", client.unary_call(request).timeout(CALL).await)?;
        let body = response
            .into_message()
            .payload
            .map_or(0, |one| one.body.len());
        if body != size {
            return Err(format!("unary: {body} octets instead of {size}"));
        }
    }
    Ok(())
}

async fn upload(client: &Client, size: usize, count: usize) -> Outcome {
    let mut call = named("upload", client.streaming_input_call().timeout(CALL).await)?;
    for _ in 0..count {
        let request = StreamingInputCallRequest {
            payload: payload(size),
            ..StreamingInputCallRequest::default()
        };
        named("upload", call.send(request).await)?;
    }
    let response = named("upload", call.close_and_recv().await)?.into_message();
    match response.aggregated_payload_size as usize == size * count {
        true => Ok(()),
        false => Err("upload: octets are missing".to_owned()),
    }
}

async fn download(client: &Client, size: usize, count: usize) -> Outcome {
    let call = client.streaming_output_call(output(size, count));
    let mut responses = named("download", call.timeout(CALL).await)?;
    let mut received = 0;
    while let Some(response) = named("download", responses.recv().await)? {
        expect_size("download", &response, size)?;
        received += 1;
    }
    match received == count {
        true => Ok(()),
        false => Err(format!("download: {received} responses instead of {count}")),
    }
}

/// Request and response by turns.
async fn full_duplex(client: &Client, size: usize, count: usize) -> Outcome {
    let call = client.full_duplex_call().timeout(CALL).await;
    let (mut requests, mut responses) = named("full duplex", call)?;
    for _ in 0..count {
        let request = StreamingOutputCallRequest {
            payload: payload(size),
            ..output(size, 1)
        };
        named("full duplex", requests.send(request).await)?;
        match named("full duplex", responses.recv().await)? {
            Some(response) => expect_size("full duplex", &response, size)?,
            None => return Err("full duplex: no response".to_owned()),
        }
    }
    requests.close();
    match named("full duplex", responses.recv().await)? {
        None => Ok(()),
        Some(_) => Err("full duplex: a response too many".to_owned()),
    }
}

/// All requests, then all responses.
async fn half_duplex(client: &Client, size: usize, count: usize) -> Outcome {
    let call = client.half_duplex_call().timeout(CALL).await;
    let (mut requests, mut responses) = named("half duplex", call)?;
    for _ in 0..count {
        let request = StreamingOutputCallRequest {
            payload: payload(size),
            ..output(size, 1)
        };
        named("half duplex", requests.send(request).await)?;
    }
    requests.close();
    for _ in 0..count {
        match named("half duplex", responses.recv().await)? {
            Some(response) => expect_size("half duplex", &response, size)?,
            None => return Err("half duplex: no response".to_owned()),
        }
    }
    named("half duplex", responses.recv().await).map(drop)
}

/// This many unary calls, so many at a time.
async fn calls(address: &str, count: u64, concurrency: u64) -> Outcome {
    let client = client(address)?;
    let begun = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (client, begun) = (client.clone(), Arc::clone(&begun));
        workers.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < count {
                let call = client.empty_call(Empty {}).timeout(CALL);
                named("unary", call.await)?;
            }
            Ok(())
        });
    }
    all(workers).await
}

/// Unary calls and streams by 16 workers, until the time is over.
async fn hold(address: &str, time: Duration, may_fail: bool) -> Outcome {
    let client = client(address)?;
    let end = Instant::now() + time;
    let done = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for worker in 0..16 {
        let (client, done) = (client.clone(), Arc::clone(&done));
        workers.spawn(async move {
            while Instant::now() < end {
                let outcome = one_of(&client, worker % 2 == 0).await;
                done.fetch_add(1, Ordering::Relaxed);
                match outcome {
                    Ok(()) => {}
                    Err(status) if may_fail && status.code() == Code::Unavailable => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(status) => return Err(status.to_string()),
                }
            }
            Ok(())
        });
    }
    all(workers).await?;
    println!("{} calls", done.load(Ordering::Relaxed));
    // Calls are served in the end, in any case.
    let call = client.empty_call(Empty {}).wait_for_ready(true);
    named("the last call", call.timeout(CALL).await).map(drop)
}

/// A unary call, or a stream of 20 messages in each direction.
async fn one_of(client: &Client, unary: bool) -> Result<(), Status> {
    if unary {
        return client.empty_call(Empty {}).timeout(CALL).await.map(drop);
    }
    let (mut requests, mut responses) = client.full_duplex_call().timeout(CALL).await?;
    for _ in 0..20 {
        requests.send(output(1_000, 1)).await?;
        if responses.recv().await?.is_none() {
            return Err(Status::internal("a stream ended early"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    requests.close();
    responses.recv().await.map(drop)
}

/// Without a server behind the proxy, calls fail soon, with the status of the proxy's error page.
async fn down(address: &str) -> Outcome {
    let client = client(address)?;
    for unary in [true, false, true, false] {
        let outcome = match timeout(CALL, one_of(&client, unary)).await {
            Ok(outcome) => outcome,
            Err(_) => return Err("a call does not end".to_owned()),
        };
        match outcome {
            Err(status) if status.code() == Code::Unavailable => println!("{status}"),
            Err(status) => return Err(format!("not UNAVAILABLE: {status}")),
            Ok(()) => return Err("a call without a server is OK".to_owned()),
        }
    }
    Ok(())
}
