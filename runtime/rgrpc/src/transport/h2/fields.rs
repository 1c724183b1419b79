//! Header fields of the h2 engine: metadata and status to the `http` crate's types and back. A client's
//! calls make requests on their tasks, a server's their responses; the connection's task reads requests.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Response, Uri, Version};

use crate::metadata::{Metadata, encode_value};
use crate::status::{Code, Status, encode_message};
use crate::transport::fit_status::FIELD_OVERHEAD;
use crate::transport::timeout::encode_timeout;
use crate::transport::{
    AuthorityError, OpenRequest, Rejection, RequestParser, ResponseHead, ResponseParser, fit_status,
};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Creates the request that opens a stream.
pub(super) fn request(open: &OpenRequest<'_>) -> Result<Request<()>, Status> {
    let uri = Uri::builder()
        .scheme(open.headers.scheme)
        .authority(&*open.headers.authority)
        .path_and_query(&**open.path)
        .build()
        .map_err(|error| {
            let authority = &open.headers.authority;
            let checked = check_authority(authority);
            let problem: &dyn fmt::Display = match &checked {
                Ok(()) => &error,
                Err(problem) => problem,
            };
            Status::internal(format!(
                "cannot send a request to the method {:?} of the authority {authority:?}: {problem}",
                open.path
            ))
        })?;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.reserve(6 + open.metadata.len());
    headers.insert(CONTENT_TYPE, content_type(open.content_subtype.as_bytes()));
    headers.insert(USER_AGENT, value(open.headers.user_agent.clone()));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(encoding) = &open.headers.encoding {
        headers.insert(GRPC_ENCODING, value(encoding.clone()));
    }
    if let Some(encodings) = &open.headers.accept_encoding {
        headers.insert(GRPC_ACCEPT_ENCODING, value(encodings.clone()));
    }
    if open.previous_attempts > 0 {
        let attempts = HeaderValue::from(open.previous_attempts);
        headers.insert(GRPC_PREVIOUS_RPC_ATTEMPTS, attempts);
    }
    if let Some(timeout) = open.timeout {
        headers.insert(GRPC_TIMEOUT, value(encode_timeout(timeout).into()));
    }
    append(headers, open.metadata);
    Ok(request)
}

/// Checks that requests can have this `:authority`: `h2` takes them in the types of the `http` crate.
pub(crate) fn check_authority(authority: &str) -> Result<(), AuthorityError> {
    match Authority::try_from(authority) {
        Ok(_) => Ok(()),
        Err(error) if authority.contains('%') => Err(AuthorityError::PercentEncoded(error)),
        Err(error) => Err(AuthorityError::Invalid(error)),
    }
}

/// Reads a request's fields, for the checks.
pub(super) fn parse_request(request: &http::request::Parts) -> RequestParser {
    let mut parser = RequestParser::default();
    let mut field = |name: &'static str, value: &str| {
        parser.field(
            Bytes::from_static(name.as_bytes()),
            Bytes::copy_from_slice(value.as_bytes()),
        );
    };
    field(":method", request.method.as_str());
    field(
        ":path",
        request
            .uri
            .path_and_query()
            .map_or("", PathAndQuery::as_str),
    );
    if let Some(authority) = request.uri.authority() {
        field(":authority", authority.as_str());
    }
    for (name, value) in &request.headers {
        parser.field(name_bytes(name), value_bytes(value));
    }
    parser
}

/// Reads a header block or trailers, for the checks.
pub(super) fn parse_response(headers: &HeaderMap) -> ResponseParser {
    let mut parser = ResponseParser::default();
    for (name, value) in headers {
        parser.field(name_bytes(name), value_bytes(value));
    }
    parser
}

/// Creates the response's headers.
pub(super) fn response(head: ResponseHead<'_>) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type(head.content_subtype));
    if let Some(encoding) = head.encoding {
        let (name, bytes) = encoding.into_parts();
        headers.insert(HeaderName::from_static(name), value(bytes));
    }
    append(headers, head.metadata);
    response
}

/// Creates headers and trailers in one block, for a call without header metadata and messages.
pub(super) fn trailers_only(
    head: ResponseHead<'_>,
    outcome: &Result<Metadata, Status>,
) -> Response<()> {
    let mut response = response(head.without_messages());
    response.headers_mut().extend(trailers(outcome));
    response
}

/// Creates the answer to a refused request, for a reason that may be shortened.
pub(super) fn rejection(rejection: &Rejection, status: &Status) -> Response<()> {
    let head = ResponseHead {
        content_subtype: b"",
        encoding: None,
        metadata: &Metadata::new(),
    };
    let mut response = trailers_only(head, &Err(status.clone()));
    if let Ok(status) = http::StatusCode::from_u16(rejection.http_status()) {
        *response.status_mut() = status;
    }
    response
}

/// Returns the size of a header list (RFC 9113 section 6.5.2), without pseudo-headers.
pub(super) fn list_size(headers: &HeaderMap) -> usize {
    let sizes = headers.iter();
    let sizes = sizes.map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
    sizes.sum()
}

/// Returns the [`list_size`] of a response.
pub(super) fn response_size(response: &Response<()>) -> usize {
    ":status200".len() + FIELD_OVERHEAD + list_size(response.headers())
}

/// Returns the size of the header list of a request.
pub(super) fn request_size(request: &Request<()>) -> usize {
    let uri = request.uri();
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", Authority::as_str);
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let pseudo = [
        (":method", request.method().as_str()),
        (":scheme", scheme),
        (":authority", authority),
        (":path", path),
    ];
    let sizes = pseudo.map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD);
    sizes.iter().sum::<usize>() + list_size(request.headers())
}

/// Creates, with `make`, the header list of a status that is shortened to the limit.
#[cold]
pub(super) fn fitted<T>(
    status: Status,
    limit: u32,
    make: impl Fn(Status) -> T,
    size: impl Fn(&T) -> usize,
) -> T {
    let bare = size(&make(Status::new(status.code(), "")));
    let available = (limit as usize).saturating_sub(bare);
    make(fit_status(status, available))
}

/// Creates the trailers of an outcome.
pub(super) fn trailers(outcome: &Result<Metadata, Status>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(2);
    match outcome {
        Ok(metadata) => {
            headers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
            append(&mut headers, metadata);
        }
        Err(status) => {
            headers.insert(GRPC_STATUS, code(status.code()));
            if !status.message().is_empty() {
                let message = encode_message(status.message());
                headers.insert(GRPC_MESSAGE, value(message.into_owned().into()));
            }
            if !status.details().is_empty() {
                headers.insert(GRPC_STATUS_DETAILS, value(encode_value(status.details())));
            }
            append(&mut headers, status.metadata());
        }
    }
    headers
}

fn code(code: Code) -> HeaderValue {
    HeaderValue::from(code.to_i32())
}

fn content_type(subtype: &[u8]) -> HeaderValue {
    if subtype.is_empty() {
        return GRPC;
    }
    value([&b"application/grpc+"[..], subtype].concat().into())
}

fn append(headers: &mut HeaderMap, metadata: &Metadata) {
    for (key, bytes) in metadata.wire_fields() {
        // The `http` crate accepts every key: the rules for metadata are stricter than those of
        // HTTP.
        if let Ok(name) = HeaderName::from_bytes(&key) {
            headers.append(name, value(bytes));
        }
    }
}

/// Converts a value. Metadata's rules have checked it, and HTTP's are wider.
fn value(bytes: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn name_bytes(name: &HeaderName) -> Bytes {
    Bytes::copy_from_slice(name.as_str().as_bytes())
}

fn value_bytes(value: &HeaderValue) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}
