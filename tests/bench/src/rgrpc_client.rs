//! The loops of the client on rgrpc.

use anyhow::{Context, Result, ensure};
use rgrpc::{ClientConn, RecvStream, SendStream};

use crate::channel::{Channel, ChannelFlags};
use crate::closed_loop::Operation;
use crate::flags::{ClientFlags, Mode};
use crate::payload;
use crate::proto::grpc::testing::{BenchmarkServiceClient, SimpleRequest, SimpleResponse};

/// The operation of one loop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loop {
    /// UnaryCall.
    Unary(Stubs, SimpleRequest),
    /// A round trip on a StreamingCall.
    Stream(
        SendStream<SimpleRequest>,
        RecvStream<SimpleResponse>,
        SimpleRequest,
    ),
    /// A StreamingFromServer to its end.
    Push(Stub, SimpleRequest),
}

/// The stubs whose channels a loop takes in turn.
#[derive(Clone, Debug)]
pub struct Stubs {
    stubs: Vec<Stub>,
    next: usize,
}

impl Stubs {
    fn next(&mut self) -> &Stub {
        self.next = (self.next + 1) % self.stubs.len();
        &self.stubs[self.next]
    }
}

type Stub = BenchmarkServiceClient<ClientConn>;

/// Makes all loops that the flags ask for.
///
/// # Errors
/// A stream could not be opened.
pub async fn loops(flags: &ClientFlags, channels: ChannelFlags) -> Result<Vec<Loop>> {
    let request = payload::request(flags.req, flags.resp)?;
    let mut loops = Vec::with_capacity(flags.conns * flags.streams);
    let stubs: Vec<_> = channels
        .client_conns(flags.port, flags.conns)?
        .into_iter()
        .map(BenchmarkServiceClient::new)
        .collect();
    // As many loops whether each connection has its channel or all of them share one.
    for conn in 0..flags.conns {
        let stubs = match channels.channel {
            Channel::ByHand => stubs.clone(),
            Channel::Plain | Channel::Balanced => vec![stubs[conn % stubs.len()].clone()],
        };
        for _ in 0..flags.streams {
            let stubs = Stubs {
                stubs: stubs.clone(),
                // Loops that began with the same channel would go on together.
                next: loops.len(),
            };
            loops.push(Loop::new(flags.mode, stubs, &request).await?);
        }
    }
    Ok(loops)
}

impl Loop {
    async fn new(mode: Mode, mut stubs: Stubs, request: &SimpleRequest) -> Result<Self> {
        Ok(match mode {
            Mode::Unary => Self::Unary(stubs, request.clone()),
            Mode::Push => Self::Push(stubs.next().clone(), request.clone()),
            Mode::Stream => {
                let (requests, responses) = stubs
                    .next()
                    .streaming_call()
                    .await
                    .context("StreamingCall")?;
                Self::Stream(requests, responses, request.clone())
            }
        })
    }
}

impl Operation for Loop {
    async fn run(&mut self) -> Result<u64> {
        match self {
            Self::Unary(stubs, request) => {
                let response = stubs
                    .next()
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
