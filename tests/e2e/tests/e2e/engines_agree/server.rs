//! The server's side of all calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rgrpc::{RecvStream, Request, Response, SendStream, Status};
use rgrpc_e2e::{Message, StubService};

use super::CALL;
use super::told::{tell_message, tell_metadata};
use super::workload::{Kind, Planned};

/// The events that the handlers saw, by the number of the call.
pub(super) type Seen = Arc<Mutex<BTreeMap<usize, Vec<String>>>>;

/// The service whose handlers do what is planned, and tell what they saw.
pub(super) fn service(calls: Arc<[Planned]>, seen: Seen) -> StubService {
    let unary = Handlers { calls, seen };
    let server_streaming = unary.clone();
    let client_streaming = unary.clone();
    let bidi_streaming = unary.clone();
    StubService::new()
        .unary(move |request| unary.clone().unary(request))
        .server_streaming(move |request, responses| {
            server_streaming
                .clone()
                .server_streaming(request, responses)
        })
        .client_streaming(move |requests| client_streaming.clone().client_streaming(requests))
        .bidi_streaming(move |requests, responses| {
            bidi_streaming.clone().bidi_streaming(requests, responses)
        })
}

#[derive(Clone)]
struct Handlers {
    calls: Arc<[Planned]>,
    seen: Seen,
}

impl Handlers {
    async fn unary(self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let (call, mut told) = self.begin(&request)?;
        tell_message(&mut told, "request", request.message());
        self.end(call, told)?;
        Ok(Response::new(call.response(0)))
    }

    async fn server_streaming(
        self,
        request: Request<Message>,
        mut responses: SendStream<Message>,
    ) -> Result<(), Status> {
        let (call, mut told) = self.begin(&request)?;
        tell_message(&mut told, "request", request.message());
        for place in 0..call.responses.len() {
            responses.send(call.response(place)).await?;
        }
        self.end(call, told)
    }

    async fn client_streaming(
        self,
        requests: Request<RecvStream<Message>>,
    ) -> Result<Response<Message>, Status> {
        let (call, mut told) = self.begin(&requests)?;
        if !call.ends_early {
            read_all(&mut told, requests.into_message()).await?;
        }
        self.end(call, told)?;
        Ok(Response::new(call.response(0)))
    }

    async fn bidi_streaming(
        self,
        requests: Request<RecvStream<Message>>,
        mut responses: SendStream<Message>,
    ) -> Result<(), Status> {
        let (call, mut told) = self.begin(&requests)?;
        let mut requests = requests.into_message();
        for place in 0..call.responses.len() {
            if call.kind == Kind::BidiInTurns {
                let request = requests.recv().await?.unwrap_or_default();
                tell_message(&mut told, "request", &request);
            }
            responses.send(call.response(place)).await?;
        }
        if !call.ends_early {
            read_all(&mut told, requests).await?;
        }
        self.end(call, told)
    }

    /// The plan of the call that has come, and what is seen of it so far.
    fn begin<T>(&self, request: &Request<T>) -> Result<(&Planned, Vec<String>), Status> {
        let number = request
            .metadata()
            .get(CALL)
            .expect("the number of the call");
        let number: usize = number.parse().expect("a number");
        let call = &self.calls[number];
        let mut told = Vec::new();
        tell_metadata(&mut told, "metadata", request.metadata());
        call.begin(request)?;
        Ok((call, told))
    }

    /// The result of the handler, after all of its events.
    fn end(&self, call: &Planned, told: Vec<String>) -> Result<(), Status> {
        let mut seen = self.seen.lock().expect("no handler panics");
        seen.insert(call.number, told);
        call.outcome()
    }
}

async fn read_all(told: &mut Vec<String>, mut requests: RecvStream<Message>) -> Result<(), Status> {
    while let Some(request) = requests.recv().await? {
        tell_message(told, "request", &request);
    }
    Ok(())
}
