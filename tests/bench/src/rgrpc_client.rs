//! The loops of the client on rgrpc.

use anyhow::{Context, Result, ensure};
use rgrpc::{ClientConn, RecvStream, SendStream};

use crate::closed_loop::Operation;
use crate::engine::EngineFlags;
use crate::flags::{ClientFlags, Mode};
use crate::payload;
use crate::proto::grpc::testing::{BenchmarkServiceClient, SimpleRequest, SimpleResponse};

/// What one loop does.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loop {
    /// UnaryCall.
    Unary(Stub, SimpleRequest),
    /// A round trip on a StreamingCall.
    Stream(
        SendStream<SimpleRequest>,
        RecvStream<SimpleResponse>,
        SimpleRequest,
    ),
    /// A StreamingFromServer to its end.
    Push(Stub, SimpleRequest),
}

type Stub = BenchmarkServiceClient<ClientConn>;

/// Makes all loops that the flags ask for.
///
/// # Errors
/// A stream could not be opened.
pub async fn loops(flags: &ClientFlags, engine: EngineFlags) -> Result<Vec<Loop>> {
    let request = payload::request(flags.req, flags.resp)?;
    let mut loops = Vec::with_capacity(flags.conns * flags.streams);
    for _ in 0..flags.conns {
        let stub = BenchmarkServiceClient::new(engine.client_conn(flags.port)?);
        for _ in 0..flags.streams {
            loops.push(Loop::new(flags.mode, &stub, &request).await?);
        }
    }
    Ok(loops)
}

impl Loop {
    async fn new(mode: Mode, stub: &Stub, request: &SimpleRequest) -> Result<Self> {
        Ok(match mode {
            Mode::Unary => Self::Unary(stub.clone(), request.clone()),
            Mode::Push => Self::Push(stub.clone(), request.clone()),
            Mode::Stream => {
                let (requests, responses) = stub.streaming_call().await.context("StreamingCall")?;
                Self::Stream(requests, responses, request.clone())
            }
        })
    }
}

impl Operation for Loop {
    async fn run(&mut self) -> Result<u64> {
        match self {
            Self::Unary(stub, request) => {
                let response = stub
                    .unary_call(request.clone())
                    .await
                    .context("UnaryCall")?;
                check(request, response.message())?;
                Ok(1)
            }
            Self::Stream(requests, responses, request) => {
                requests.send(&*request).await.context("StreamingCall")?;
                let response = responses.recv().await.context("StreamingCall")?;
                check(request, &response.context("StreamingCall ended")?)?;
                Ok(1)
            }
            Self::Push(stub, request) => {
                let mut responses = stub
                    .streaming_from_server(request.clone())
                    .await
                    .context("StreamingFromServer")?;
                let mut messages = 0;
                while let Some(response) = responses.recv().await.context("StreamingFromServer")? {
                    check(request, &response)?;
                    messages += 1;
                }
                Ok(messages)
            }
        }
    }
}

/// A response of another size would make the figures mean something else.
pub(crate) fn check(request: &SimpleRequest, response: &SimpleResponse) -> Result<()> {
    let size = response
        .payload
        .as_ref()
        .map_or(0, |payload| payload.body.len());
    ensure!(
        i32::try_from(size) == Ok(request.response_size),
        "a response has {size} bytes, not {}",
        request.response_size
    );
    Ok(())
}
