//! The cases: what the interop client does, and what it asserts.
//!
//! One function each, grouped by what they are about. Called by [`crate::client`] with a real
//! channel; the assertions are those of grpc-go's client.
//!
//! Source: gRPC's `doc/interop-test-descriptions.md`; grpc-go `interop/test_utils.go`.

mod cancellation;
pub(crate) mod compressed;
mod failure;
mod metadata;
mod status;
mod streaming;
mod unary;
mod unimplemented;

use std::fmt;

use rgrpc::Invoke;

pub use failure::Failure;
pub(crate) use failure::{OrFailure, expect_eq, expect_payload};

use crate::proto::{TestServiceClient, UnimplementedServiceClient};

/// A case that needs nothing but a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Case {
    /// Zero-byte messages both ways.
    EmptyUnary,
    /// Messages larger than a flow-control window both ways.
    LargeUnary,
    /// Four requests, one response.
    ClientStreaming,
    /// One request, four responses.
    ServerStreaming,
    /// Requests and responses in lock step.
    PingPong,
    /// A stream without messages.
    EmptyStream,
    /// A deadline that passes before the server answers.
    TimeoutOnSleepingServer,
    /// A call that is cancelled before it has sent a message.
    CancelAfterBegin,
    /// A call that is cancelled between two responses.
    CancelAfterFirstResponse,
    /// A status of the server's, on a unary call and on a stream.
    StatusCodeAndMessage,
    /// A status whose text has whitespace and characters outside ASCII.
    SpecialStatusMessage,
    /// Metadata there, and back in the header and in the trailer.
    CustomMetadata,
    /// A method that the service declares and the server does not implement.
    UnimplementedMethod,
    /// A service that the server does not have.
    UnimplementedService,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::EmptyUnary,
        Self::LargeUnary,
        Self::ClientStreaming,
        Self::ServerStreaming,
        Self::PingPong,
        Self::EmptyStream,
        Self::TimeoutOnSleepingServer,
        Self::CancelAfterBegin,
        Self::CancelAfterFirstResponse,
        Self::StatusCodeAndMessage,
        Self::SpecialStatusMessage,
        Self::CustomMetadata,
        Self::UnimplementedMethod,
        Self::UnimplementedService,
    ];

    /// The case's name in `--test_case`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptyUnary => "empty_unary",
            Self::LargeUnary => "large_unary",
            Self::ClientStreaming => "client_streaming",
            Self::ServerStreaming => "server_streaming",
            Self::PingPong => "ping_pong",
            Self::EmptyStream => "empty_stream",
            Self::TimeoutOnSleepingServer => "timeout_on_sleeping_server",
            Self::CancelAfterBegin => "cancel_after_begin",
            Self::CancelAfterFirstResponse => "cancel_after_first_response",
            Self::StatusCodeAndMessage => "status_code_and_message",
            Self::SpecialStatusMessage => "special_status_message",
            Self::CustomMetadata => "custom_metadata",
            Self::UnimplementedMethod => "unimplemented_method",
            Self::UnimplementedService => "unimplemented_service",
        }
    }

    /// Returns whether the responses of this case are large enough for a server to compress them.
    pub(crate) const fn has_large_responses(self) -> bool {
        matches!(
            self,
            Self::LargeUnary | Self::ServerStreaming | Self::PingPong
        )
    }

    /// Runs the case on a channel to a server that has [`crate::service::TestService`].
    ///
    /// # Errors
    /// The fault of the server or the channel.
    pub async fn run<I: Invoke>(self, channel: &I) -> Result<(), Failure> {
        let client = TestServiceClient::new(channel);
        match self {
            Self::EmptyUnary => unary::empty_unary(&client).await,
            Self::LargeUnary => unary::large_unary(&client).await,
            Self::ClientStreaming => streaming::client_streaming(&client).await,
            Self::ServerStreaming => streaming::server_streaming(&client).await,
            Self::PingPong => streaming::ping_pong(&client).await,
            Self::EmptyStream => streaming::empty_stream(&client).await,
            Self::TimeoutOnSleepingServer => {
                cancellation::timeout_on_sleeping_server(&client).await
            }
            Self::CancelAfterBegin => cancellation::cancel_after_begin(&client).await,
            Self::CancelAfterFirstResponse => {
                cancellation::cancel_after_first_response(&client).await
            }
            Self::StatusCodeAndMessage => status::status_code_and_message(&client).await,
            Self::SpecialStatusMessage => status::special_status_message(&client).await,
            Self::CustomMetadata => metadata::custom_metadata(&client).await,
            Self::UnimplementedMethod => unimplemented::unimplemented_method(&client).await,
            Self::UnimplementedService => {
                let client = UnimplementedServiceClient::new(channel);
                unimplemented::unimplemented_service(&client).await
            }
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
