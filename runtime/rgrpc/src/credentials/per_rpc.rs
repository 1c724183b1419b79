//! Credentials that go with each call, as metadata: a token, a signature.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;

/// Makes the metadata by which each call proves on whose behalf it is made.
///
/// Set for all calls of a channel by
/// [`ClientConnBuilder::per_rpc_credentials`](crate::ClientConnBuilder::per_rpc_credentials), or
/// for one by [`CallOptions::per_rpc_credentials`](crate::CallOptions::per_rpc_credentials). Asked
/// for every attempt at a call, once it has a connection, on the task that makes the call; what it
/// yields goes after the call's own metadata. An implementation that fetches tokens keeps them
/// itself until they expire.
///
/// ```
/// use rgrpc::credentials::{MetadataFuture, PerRpcCredentials, RequestInfo};
/// use rgrpc::{Metadata, Status};
///
/// struct Token(String);
///
/// impl PerRpcCredentials for Token {
///     fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
///         Box::pin(async {
///             let mut metadata = Metadata::new();
///             metadata
///                 .append("authorization", format!("Bearer {}", self.0))
///                 .map_err(|error| Status::unauthenticated(error.to_string()))?;
///             Ok(metadata)
///         })
///     }
/// }
/// ```
///
/// Source: grpc-go `credentials.PerRPCCredentials`.
pub trait PerRpcCredentials: Send + Sync + 'static {
    /// The metadata for a call. Its future is dropped when the call ends before it is ready.
    ///
    /// A failure fails the attempt, with its code unless that is one which a server says about the
    /// call's arguments (gRFC A54); those become INTERNAL.
    fn metadata<'a>(&'a self, request: RequestInfo<'a>) -> MetadataFuture<'a>;

    /// Whether the metadata may go over secure connections alone. A channel without
    /// transport security cannot be built with credentials that need it, and a call on one fails
    /// with UNAUTHENTICATED. Default: true.
    fn requires_transport_security(&self) -> bool {
        true
    }

    /// What these are called in errors. Default: the name of the type.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

/// Metadata that is being made.
pub type MetadataFuture<'a> = Pin<Box<dyn Future<Output = Result<Metadata, Status>> + Send + 'a>>;

/// The call that [`PerRpcCredentials`] are asked for.
///
/// Source: grpc-go `credentials.RequestInfo`, and the URIs that its `GetRequestMetadata` receives.
#[derive(Clone, Copy, Debug)]
pub struct RequestInfo<'a> {
    method: &'a str,
    authority: &'a str,
    peer: &'a Peer,
}

impl<'a> RequestInfo<'a> {
    pub(crate) fn new(method: &'a str, authority: &'a str, peer: &'a Peer) -> Self {
        Self {
            method,
            authority,
            peer,
        }
    }

    /// The method's full name: `/package.Service/Method`.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// The `:authority` of the request.
    #[must_use]
    pub const fn authority(&self) -> &'a str {
        self.authority
    }

    /// The two ends of the connection that the request is to go by.
    #[must_use]
    pub const fn peer(&self) -> &'a Peer {
        self.peer
    }

    /// The URL of the service, which tokens for one audience name:
    /// `https://example.com/package.Service`. A port 443 is left out.
    #[must_use]
    pub fn service_url(&self) -> String {
        let host = self.authority.strip_suffix(":443");
        let host = host.unwrap_or(self.authority);
        let service = self.method.rfind('/').map_or("", |end| &self.method[..end]);
        format!("https://{host}{service}")
    }
}

/// Adds what all of these credentials make for a call.
///
/// Cancel-safe.
pub(crate) async fn add_metadata(
    credentials: &[Arc<dyn PerRpcCredentials>],
    request: RequestInfo<'_>,
    metadata: &mut Metadata,
) -> Result<(), Status> {
    for credentials in credentials {
        let made = credentials.metadata(request).await;
        metadata.merge(made.map_err(|status| failed(&**credentials, status))?);
    }
    Ok(())
}

/// The status of an attempt whose credentials failed.
///
/// Source: gRFC A54; grpc-go `http2Client.getTrAuthData`.
fn failed(credentials: &dyn PerRpcCredentials, status: Status) -> Status {
    let name = credentials.name();
    let (code, text) = (status.code(), status.message());
    if code.is_for_applications() {
        let text = format!("the per-RPC credentials {name} failed with {code}: {text}");
        return Status::internal(text).with_source(status);
    }
    let text = format!("the per-RPC credentials {name} failed: {text}");
    status.with_message(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Address;
    use crate::status::Code;

    #[test]
    fn the_url_of_a_service_has_its_authority_and_its_name() {
        let peer = Peer::new(Address::Pipe, Address::Pipe);
        for (authority, method, expected) in [
            ("example.com", "/a.B/C", "https://example.com/a.B"),
            ("example.com:443", "/a.B/C", "https://example.com/a.B"),
            ("example.com:8443", "/a.B/C", "https://example.com:8443/a.B"),
            ("[::1]:443", "/a/b/C", "https://[::1]/a/b"),
        ] {
            let info = RequestInfo::new(method, authority, &peer);
            assert_eq!(info.service_url(), expected);
        }
    }

    #[test]
    fn codes_that_are_about_a_calls_arguments_become_internal() {
        struct Token;
        impl PerRpcCredentials for Token {
            fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
                Box::pin(async { Ok(Metadata::new()) })
            }

            fn name(&self) -> &str {
                "token"
            }
        }
        for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
            let status = failed(&Token, Status::new(code, "expired"));
            let becomes_internal = [
                Code::InvalidArgument,
                Code::NotFound,
                Code::AlreadyExists,
                Code::FailedPrecondition,
                Code::Aborted,
                Code::OutOfRange,
                Code::DataLoss,
            ]
            .contains(&code);
            let (expected, text) = if becomes_internal {
                (Code::Internal, format!(" with {code}"))
            } else {
                (code, String::new())
            };
            assert_eq!(status.code(), expected);
            let text = format!("the per-RPC credentials token failed{text}: expired");
            assert_eq!(status.message(), text);
        }
    }
}
