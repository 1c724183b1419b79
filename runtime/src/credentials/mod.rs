//! How a connection is secured.
//!
//! Security is never implicit: a channel is made with credentials, and [`insecure`] is one of them.

/// What secures the connections of a channel.
///
/// Source: grpc-go's package `credentials`, `TransportCredentials`.
#[derive(Clone, Debug)]
pub struct ChannelCredentials(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Insecure,
}

/// No security at all: HTTP/2 in plain text with prior knowledge.
///
/// Source: grpc-go's package `credentials/insecure`.
#[must_use]
pub const fn insecure() -> ChannelCredentials {
    ChannelCredentials(Kind::Insecure)
}

impl ChannelCredentials {
    /// The `:scheme` of requests.
    pub(crate) const fn scheme(&self) -> &'static str {
        match self.0 {
            Kind::Insecure => "http",
        }
    }
}
