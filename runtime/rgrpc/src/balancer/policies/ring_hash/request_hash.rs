//! The hash of a call, which its config selector or its user sets and the picker reads.

/// The hash of a call for `ring_hash`: an extension of the call, for policies whose config has no
/// `requestHashHeader`.
///
/// A [`ConfigSelector`](crate::ConfigSelector) computes it and
/// [adds](crate::SelectedConfig::with_extension) it; the user can set it as well, as
/// [`Call::extension`](crate::Call::extension).
///
/// Source: gRFC A42; grpc-go `internal/ringhash.SetXDSRequestHash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestHash(pub u64);
