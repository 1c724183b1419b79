//! The loops of the client on tonic.

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::closed_loop::Operation;
use crate::flags::{ClientFlags, Mode};
use crate::payload;
use crate::proto::grpc::testing::{SimpleRequest, SimpleResponse};
use crate::proto::tonic_service::benchmark_service_client::BenchmarkServiceClient;
use crate::rgrpc_client::check;

/// The operation of one loop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loop {
    /// UnaryCall.
    Unary(Stub, SimpleRequest),
    /// A round trip on a StreamingCall.
    Stream(
        mpsc::Sender<SimpleRequest>,
        Streaming<SimpleResponse>,
        SimpleRequest,
    ),
    /// A StreamingFromServer to its end.
    Push(Stub, SimpleRequest),
}

type Stub = BenchmarkServiceClient<Channel>;

/// Makes all loops that the flags ask for.
///
/// # Errors
/// A connection could not be made, or a stream not be opened.
pub async fn loops(flags: &ClientFlags) -> Result<Vec<Loop>> {
    let request = payload::request(flags.req, flags.resp)?;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", flags.port))?;
    let mut loops = Vec::with_capacity(flags.conns * flags.streams);
    for _ in 0..flags.conns {
        let channel = endpoint.connect().await.context("connecting")?;
        let stub = BenchmarkServiceClient::new(channel);
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
                let (requests, stream) = mpsc::channel(1);
                // tonic's call is there when the response's header is, and a server may wait with
                // it for the first request: so the first round trip is made here.
                requests
                    .send(request.clone())
                    .await
                    .context("StreamingCall")?;
                let responses = stub
                    .clone()
                    .streaming_call(ReceiverStream::new(stream))
                    .await
                    .context("StreamingCall")?;
                let mut responses = responses.into_inner();
                receive(&mut responses, request).await?;
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
                check(request, response.get_ref())?;
                Ok(1)
            }
            Self::Stream(requests, responses, request) => {
                requests
                    .send(request.clone())
                    .await
                    .context("StreamingCall")?;
                receive(responses, request).await?;
                Ok(1)
            }
            Self::Push(stub, request) => {
                let mut responses = stub
                    .streaming_from_server(request.clone())
                    .await
                    .context("StreamingFromServer")?
                    .into_inner();
                let mut messages = 0;
                while let Some(response) =
                    responses.message().await.context("StreamingFromServer")?
                {
                    check(request, &response)?;
                    messages += 1;
                }
                Ok(messages)
            }
        }
    }
}

async fn receive(responses: &mut Streaming<SimpleResponse>, request: &SimpleRequest) -> Result<()> {
    let response = responses.message().await.context("StreamingCall")?;
    check(request, &response.context("StreamingCall ended")?)
}
