//! Responses that are compressed because the request asks for it, and others that are not.

use rgrpc::Invoke;

use super::streaming::{expect_end, expect_response, output_request};
use super::{Failure, OrFailure, expect_eq, expect_payload};
use crate::compression::CountedGzip;
use crate::payload::simple_request;
use crate::proto::{BoolValue, TestServiceClient};

const REQUEST: usize = 271_828;
const RESPONSE: i32 = 314_159;
/// The sizes of responses, and which of them are compressed.
const RESPONSES: [(i32, bool); 2] = [(31_415, true), (92_653, false)];

/// `gzip` is what the channel decompresses by.
pub(crate) async fn server_compressed_unary<I: Invoke>(
    client: &TestServiceClient<I>,
    gzip: &CountedGzip,
) -> Result<(), Failure> {
    for compressed in [true, false] {
        let mut request = simple_request(REQUEST, RESPONSE);
        request.response_compressed = Some(BoolValue { value: compressed });
        let before = gzip.decompressed();
        let response = client.unary_call(request).await.or_failure("UnaryCall")?;
        let payload = response.message().payload.as_ref();
        expect_payload("UnaryCall", payload, RESPONSE)?;
        let count = gzip.decompressed() - before;
        expect_eq("compressed responses", count, usize::from(compressed))?;
    }
    Ok(())
}

/// As above.
pub(crate) async fn server_compressed_streaming<I: Invoke>(
    client: &TestServiceClient<I>,
    gzip: &CountedGzip,
) -> Result<(), Failure> {
    let mut request = output_request(None, &RESPONSES.map(|(size, _)| size));
    for (parameters, (_, value)) in request.response_parameters.iter_mut().zip(RESPONSES) {
        parameters.compressed = Some(BoolValue { value });
    }
    let mut responses = client
        .streaming_output_call(request)
        .await
        .or_failure("StreamingOutputCall")?;
    for (size, compressed) in RESPONSES {
        let before = gzip.decompressed();
        expect_response(&mut responses, size).await?;
        let count = gzip.decompressed() - before;
        expect_eq("compressed responses", count, usize::from(compressed))?;
    }
    expect_end(&mut responses).await
}
