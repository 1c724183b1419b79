//! The service that the interop server serves.
//!
//! Source: grpc-go `interop/test_utils.go`, `testServer`.

use std::time::Duration;

use rgrpc::{Code, Metadata, RecvStream, Request, Response, SendStream, Status};
use tokio::time::sleep;

use crate::compression::GZIP;
use crate::payload::{ECHO_INITIAL_KEY, ECHO_TRAILING_KEY, zeros};
use crate::proto;
use crate::proto::{
    EchoStatus, Empty, Payload, PayloadType, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};

/// The name of no compression.
const IDENTITY: &str = "identity";

/// `grpc.testing.TestService`, without the methods that grpc-go's server lacks as well:
/// `CacheableUnaryCall` and `UnimplementedCall`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestService;

impl proto::TestService for TestService {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        echo_metadata(&request)?;
        if let Some(compressed) = request.message().response_compressed {
            request.set_send_compressor(if compressed.value { GZIP } else { IDENTITY })?;
        }
        let request = request.into_message();
        echo_status(request.response_status)?;
        Ok(Response::new(SimpleResponse {
            payload: Some(payload(request.response_type, request.response_size)?),
            ..SimpleResponse::default()
        }))
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
        mut responses: SendStream<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        let parameters = &request.message().response_parameters;
        if parameters.iter().any(is_compressed) {
            request.set_send_compressor(GZIP)?;
        }
        respond(request.message(), &mut responses).await
    }

    async fn streaming_input_call(
        &self,
        requests: Request<RecvStream<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let mut requests = requests.into_message();
        let mut size = 0;
        while let Some(request) = requests.recv().await? {
            size += request.payload.map_or(0, |payload| payload.body.len());
        }
        let aggregated_payload_size = i32::try_from(size)
            .map_err(|_| Status::out_of_range(format!("{size} bytes do not fit an int32")))?;
        Ok(Response::new(StreamingInputCallResponse {
            aggregated_payload_size,
        }))
    }

    async fn full_duplex_call(
        &self,
        requests: Request<RecvStream<StreamingOutputCallRequest>>,
        mut responses: SendStream<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        echo_metadata(&requests)?;
        let mut requests = requests.into_message();
        while let Some(mut request) = requests.recv().await? {
            echo_status(request.response_status.take())?;
            respond(&request, &mut responses).await?;
        }
        Ok(())
    }

    /// Answers when the client has sent its last request.
    async fn half_duplex_call(
        &self,
        requests: Request<RecvStream<StreamingOutputCallRequest>>,
        mut responses: SendStream<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        let mut requests = requests.into_message();
        let mut received = Vec::new();
        while let Some(request) = requests.recv().await? {
            received.push(request);
        }
        for request in &received {
            respond(request, &mut responses).await?;
        }
        Ok(())
    }
}

/// Returns whether the request asks to compress this response.
fn is_compressed(parameters: &ResponseParameters) -> bool {
    parameters
        .compressed
        .is_some_and(|compressed| compressed.value)
}

/// Sends the two metadata values back that a client asks to have echoed.
fn echo_metadata<T>(request: &Request<T>) -> Result<(), Status> {
    let Some(context) = request.context() else {
        return Ok(());
    };
    if let Some(header) = echo_of(request.metadata(), ECHO_INITIAL_KEY)? {
        context.send_header(header)?;
    }
    if let Some(trailer) = echo_of(request.metadata(), ECHO_TRAILING_KEY)? {
        context.set_trailer(trailer);
    }
    Ok(())
}

fn echo_of(metadata: &Metadata, key: &'static str) -> Result<Option<Metadata>, Status> {
    let Some(value) = metadata.get_bytes(key) else {
        return Ok(None);
    };
    let mut echo = Metadata::new();
    echo.append(key, value.to_vec())
        .map_err(|error| Status::from_error(Code::InvalidArgument, error))?;
    Ok(Some(echo))
}

/// Fails with the status that a client asks for.
fn echo_status(status: Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(EchoStatus { code, message }) if code != Code::Ok.to_i32() => {
            Err(Status::new(Code::from_i32(code), message))
        }
        _ => Ok(()),
    }
}

/// Sends the responses that a request describes, at its pace.
async fn respond(
    request: &StreamingOutputCallRequest,
    responses: &mut SendStream<StreamingOutputCallResponse>,
) -> Result<(), Status> {
    for parameters in &request.response_parameters {
        if let Ok(interval @ 1..) = u64::try_from(parameters.interval_us) {
            sleep(Duration::from_micros(interval)).await;
        }
        let payload = payload(request.response_type, parameters.size)?;
        if parameters.compressed.is_some() {
            responses.set_message_compression(is_compressed(parameters));
        }
        responses
            .send(StreamingOutputCallResponse {
                payload: Some(payload),
            })
            .await?;
    }
    Ok(())
}

/// The payload that a client asks for, if it makes sense. The codes are those of grpc-go's server.
fn payload(kind: i32, size: i32) -> Result<Payload, Status> {
    if PayloadType::try_from(kind) != Ok(PayloadType::Compressable) {
        return Err(Status::unknown(format!("unsupported payload type: {kind}")));
    }
    let size = usize::try_from(size)
        .map_err(|_| Status::unknown(format!("requested a response with invalid length {size}")))?;
    Ok(zeros(size))
}
