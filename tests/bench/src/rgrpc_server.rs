//! `BenchmarkService` on rgrpc.

use rgrpc::{Code, RecvStream, Request, Response, SendStream, Status};

use crate::payload::{self, BadSize};
use crate::proto::grpc::testing::{BenchmarkService, SimpleRequest, SimpleResponse};

/// The service.
#[derive(Clone, Copy, Debug)]
pub struct Benchmark {
    /// The number of messages that StreamingFromServer sends.
    pub push: u32,
}

impl BenchmarkService for Benchmark {
    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        Ok(Response::new(response(request.message())?))
    }

    async fn streaming_call(
        &self,
        requests: Request<RecvStream<SimpleRequest>>,
        mut responses: SendStream<SimpleResponse>,
    ) -> Result<(), Status> {
        let mut requests = requests.into_message();
        while let Some(request) = requests.recv().await? {
            responses.send(response(&request)?).await?;
        }
        Ok(())
    }

    /// Answers the last request.
    async fn streaming_from_client(
        &self,
        requests: Request<RecvStream<SimpleRequest>>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let mut requests = requests.into_message();
        let mut last = SimpleRequest::default();
        while let Some(request) = requests.recv().await? {
            last = request;
        }
        Ok(Response::new(response(&last)?))
    }

    async fn streaming_from_server(
        &self,
        request: Request<SimpleRequest>,
        mut responses: SendStream<SimpleResponse>,
    ) -> Result<(), Status> {
        let response = response(request.message())?;
        for _ in 0..self.push {
            responses.send(&response).await?;
        }
        Ok(())
    }
}

fn response(request: &SimpleRequest) -> Result<SimpleResponse, Status> {
    payload::response(request)
        .map_err(|error: BadSize| Status::from_error(Code::InvalidArgument, error))
}
