//! `BenchmarkService` on tonic.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use crate::payload;
use crate::proto::grpc::testing::{SimpleRequest, SimpleResponse};
use crate::proto::tonic_service::benchmark_service_server::BenchmarkService;

/// The service.
#[derive(Clone, Copy, Debug)]
pub struct Benchmark {
    /// The number of messages that StreamingFromServer sends.
    pub push: u32,
}

type Responses = Pin<Box<dyn Stream<Item = Result<SimpleResponse, Status>> + Send>>;

#[tonic::async_trait]
impl BenchmarkService for Benchmark {
    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        Ok(Response::new(response(request.get_ref())?))
    }

    async fn streaming_call(
        &self,
        requests: Request<Streaming<SimpleRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let responses = requests.into_inner().map(|request| response(&request?));
        Ok(Response::new(Box::pin(responses)))
    }

    /// Answers the last request.
    async fn streaming_from_client(
        &self,
        requests: Request<Streaming<SimpleRequest>>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let mut requests = requests.into_inner();
        let mut last = SimpleRequest::default();
        while let Some(request) = requests.message().await? {
            last = request;
        }
        Ok(Response::new(response(&last)?))
    }

    async fn streaming_from_server(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<Responses>, Status> {
        let response = response(request.get_ref())?;
        let responses = (0..self.push).map(move |_| Ok(response.clone()));
        Ok(Response::new(Box::pin(tokio_stream::iter(responses))))
    }
}

fn response(request: &SimpleRequest) -> Result<SimpleResponse, Status> {
    payload::response(request).map_err(|error| Status::invalid_argument(error.to_string()))
}
