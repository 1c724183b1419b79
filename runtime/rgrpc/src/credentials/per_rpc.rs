//! Per-RPC credentials: metadata such as a token or a signature that is sent with each call.
//!
//! Asked by each attempt that has a connection, on the caller's task, without a lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::io::{Peer, SecurityLevel};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::{Panicked, caught, caught_in, caught_status};

/// A source of metadata that authenticates the caller of each call.
///
/// [`ClientConnBuilder::per_rpc_credentials`](crate::ClientConnBuilder::per_rpc_credentials) sets
/// them for all calls of a channel, and
/// [`CallOptions::per_rpc_credentials`](crate::CallOptions::per_rpc_credentials) for one call. They
/// run for every attempt of a call once it has a connection, on the task that makes the call. Their
/// metadata follows the call's own. An implementation that fetches tokens must cache them until
/// they expire. A panic fails the attempt with INTERNAL.
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
    /// Returns the metadata for an attempt. The future is dropped if the call ends before it is
    /// ready.
    ///
    /// # Errors
    /// A failure fails the attempt with its code. Codes that only a server's application may use
    /// become INTERNAL (gRFC A54).
    fn metadata<'a>(&'a self, request: RequestInfo<'a>) -> MetadataFuture<'a>;

    /// Returns the lowest security level of a connection on which the metadata may be sent.
    /// Default: [`SecurityLevel::PrivacyAndIntegrity`].
    ///
    /// An attempt on a connection with a lower level fails with UNAUTHENTICATED, and nothing is
    /// sent. A channel whose transport credentials are [`insecure`](super::insecure) cannot be
    /// built with credentials that require more than [`SecurityLevel::NoSecurity`].
    ///
    /// Source: grpc-go `PerRPCCredentials.RequireTransportSecurity`, as a level.
    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::PrivacyAndIntegrity
    }

    /// Returns the name of the credentials in errors. Default: the name of the type.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

/// The future of [`PerRpcCredentials::metadata`].
pub type MetadataFuture<'a> = Pin<Box<dyn Future<Output = Result<Metadata, Status>> + Send + 'a>>;

/// The call that [`PerRpcCredentials`] create metadata for.
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

    /// Returns the method's full name: `/package.Service/Method`.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// Returns the `:authority` of the request.
    #[must_use]
    pub const fn authority(&self) -> &'a str {
        self.authority
    }

    /// Returns the two ends of the request's connection, and the result of its handshake in
    /// [`Peer::auth`], whose level is at least that of
    /// [`min_security_level`](PerRpcCredentials::min_security_level).
    #[must_use]
    pub const fn peer(&self) -> &'a Peer {
        self.peer
    }

    /// Returns the URL of the service: `https://example.com/package.Service`. Tokens for one
    /// audience contain it. The port 443 is omitted.
    #[must_use]
    pub fn service_url(&self) -> String {
        let host = self.authority.strip_suffix(":443");
        let host = host.unwrap_or(self.authority);
        let service = self.method.rfind('/').map_or("", |end| &self.method[..end]);
        format!("https://{host}{service}")
    }
}

/// The name of per-RPC credentials in the text of a panic.
const CREDENTIALS: &str = "the per-RPC credentials";

/// Checks that all credentials may be sent on a connection.
///
/// # Errors
/// UNAUTHENTICATED: its security level is too low.
pub(crate) fn check_security_level(
    credentials: &[Arc<dyn PerRpcCredentials>],
    peer: &Peer,
) -> Result<(), Status> {
    for credentials in credentials {
        caught_status(CREDENTIALS, || {
            let required = credentials.min_security_level();
            peer.auth.check_security_level(required).map_err(|error| {
                Status::unauthenticated(format!(
                    "the per-RPC credentials {} were not sent to {}: {error}; the options are \
                     min_security_level and the channel's credentials",
                    credentials.name(),
                    peer.remote,
                ))
            })
        })?;
    }
    Ok(())
}

/// Appends the metadata of all credentials for a call. Their security levels were checked.
///
/// It is cancel-safe.
pub(crate) async fn add_metadata(
    credentials: &[Arc<dyn PerRpcCredentials>],
    request: RequestInfo<'_>,
    metadata: &mut Metadata,
) -> Result<(), Status> {
    for credentials in credentials {
        let made = caught_in(CREDENTIALS, || credentials.metadata(request)).await;
        let made = made.map_err(Panicked::to_status)?;
        metadata.merge(made.map_err(|status| failed(&**credentials, status))?);
    }
    Ok(())
}

/// Returns the status of an attempt whose credentials have failed.
///
/// Source: gRFC A54; grpc-go `http2Client.getTrAuthData`.
fn failed(credentials: &dyn PerRpcCredentials, status: Status) -> Status {
    let name = caught(CREDENTIALS, || credentials.name()).unwrap_or("without a name");
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
    fn codes_for_applications_become_internal() {
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
