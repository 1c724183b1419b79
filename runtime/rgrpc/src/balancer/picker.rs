//! The pickers: their trait, the pick and its end, and two pickers that all policies need.
//!
//! Created by policies, on the channel's task; asked by attempts, on the tasks of their calls,
//! without a lock.

use std::fmt;

use bytes::Bytes;

use super::{LoadReport, SubConn};
use crate::extensions::Extensions;
use crate::metadata::Metadata;
use crate::status::Status;

/// A snapshot of a policy's decisions: chooses a subchannel for each call.
///
/// Each attempt at a call calls it once, on the call's own task, many at the same time. It must not block, and must
/// not take a lock that may be held for long. A panic fails the call with INTERNAL.
///
/// Source: grpc-go `balancer.Picker`.
pub trait Picker: Send + Sync + 'static {
    /// Picks a subchannel for a call.
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_>;
}

/// The call that a picker decides about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PickInfo<'a> {
    /// The path of the method: "/service/method".
    pub method: &'a str,
    /// The request's metadata.
    pub metadata: &'a Metadata,
    /// The call's extensions, with those of the channel's config selector if it has one.
    pub extensions: &'a Extensions,
}

impl<'a> PickInfo<'a> {
    /// Creates the information of a call of this method with this metadata and without extensions.
    #[must_use]
    pub const fn new(method: &'a str, metadata: &'a Metadata) -> Self {
        static NONE: Extensions = Extensions::new();
        Self {
            method,
            metadata,
            extensions: &NONE,
        }
    }

    /// Sets the call's extensions.
    #[must_use]
    pub const fn with_extensions(mut self, extensions: &'a Extensions) -> Self {
        self.extensions = extensions;
        self
    }
}

/// The decision of a picker.
#[derive(Debug)]
pub enum PickResult<'a> {
    /// The call uses this subchannel. If its connection was lost meanwhile, the call waits for the
    /// next picker.
    Pick(Pick<'a>),
    /// The call waits for the next picker. Source: grpc-go `ErrNoSubConnAvailable`.
    Queue,
    /// The call fails with this status, unless it waits for ready. In that case it waits for the
    /// next picker.
    Fail(Status),
    /// The call fails with this status even if it waits for ready, and is not retried. Status codes
    /// that are reserved for applications become INTERNAL (gRFC A54).
    Drop(Status),
}

/// The subchannel for a call.
#[non_exhaustive]
pub struct Pick<'a> {
    /// The subchannel that the attempt uses.
    pub subconn: &'a SubConn,
    /// The callback for the end of the attempt. It runs on the task on which the attempt ends.
    pub on_done: Option<OnDone>,
    /// The metadata that is added to the request of this attempt; see
    /// [`with_metadata`](Self::with_metadata). It carries the [authority](Self::with_authority)
    /// too. Default: none.
    pub metadata: Metadata,
}

/// A callback for the end of an attempt.
pub type OnDone = Box<dyn FnOnce(&DoneInfo<'_>) + Send + Sync>;

impl<'a> Pick<'a> {
    /// Creates a pick without a callback.
    #[must_use]
    pub const fn new(subconn: &'a SubConn) -> Self {
        Self {
            subconn,
            on_done: None,
            metadata: Metadata::new(),
        }
    }

    /// Adds metadata to the request of this attempt, after the call's own and that of the policies
    /// below. Other attempts of the call do not have it.
    ///
    /// A policy with children passes the metadata of a child's pick on.
    ///
    /// Source: grpc-go `PickResult.Metadata`.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata.merge(metadata);
        self
    }

    /// Sets the `:authority` of this attempt's request, in place of the channel's. It replaces that
    /// of a policy below, which is passed on with the metadata of its pick. A call with an
    /// [authority of its own](crate::CallOptions::set_authority) keeps that one.
    ///
    /// The channel's credentials [check](crate::credentials::ClientHandshake::check_host) that the
    /// server is known to serve it: with TLS, that its certificate is valid for it. If it is not,
    /// or if the authority is malformed, the attempt fails with UNAVAILABLE, and nothing is sent.
    ///
    /// Source: gRFC A81.
    #[must_use]
    pub fn with_authority(mut self, authority: impl Into<Bytes>) -> Self {
        self.metadata.remove(AUTHORITY);
        let name = Bytes::from_static(AUTHORITY.as_bytes());
        // Cannot fail: it is not a `-bin` key.
        let _ = self.metadata.append_from_wire(name, authority.into());
        self
    }

    /// Adds a callback for the end of the attempt. It runs after the earlier ones.
    #[must_use]
    pub fn on_done(mut self, on_done: impl FnOnce(&DoneInfo<'_>) + Send + Sync + 'static) -> Self {
        self.on_done = Some(match self.on_done.take() {
            None => Box::new(on_done),
            Some(first) => Box::new(move |done| {
                first(done);
                on_done(done);
            }),
        });
        self
    }
}

impl fmt::Debug for Pick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick")
            .field("subconn", &self.subconn)
            .finish_non_exhaustive()
    }
}

/// The key of a pick's authority in its metadata, where picks without one need no space for it.
const AUTHORITY: &str = ":authority";

/// Returns whether a pick with this metadata has an authority.
pub(crate) fn has_authority(of_pick: &Metadata) -> bool {
    !of_pick.is_empty() && of_pick.get_bytes(AUTHORITY).is_some()
}

/// Takes a pick's authority out of its metadata. The last one was set by the outermost policy.
pub(crate) fn take_authority(of_pick: &mut Metadata) -> Option<String> {
    let authority = of_pick.get_all(AUTHORITY).last();
    let authority = authority.map(|octets| String::from_utf8_lossy(octets).into_owned())?;
    of_pick.remove(AUTHORITY);
    Some(authority)
}

/// The end of an attempt that a picker has assigned.
///
/// Source: grpc-go `balancer.DoneInfo`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DoneInfo<'a> {
    /// The status of a failed attempt. That of the call if its deadline or its cancel handle has ended
    /// it, CANCELLED if the caller has dropped it. `None` if the
    /// attempt has ended with OK and, for a call with one response, the response was valid.
    pub failure: Option<&'a Status>,
    /// The trailers, or the metadata of a response without headers. Empty if nothing came.
    pub trailers: &'a Metadata,
    /// The request was handed to the subchannel's connection. False if the attempt ended before.
    pub bytes_sent: bool,
    /// Something of the response has come: headers, or trailers without them.
    pub bytes_received: bool,
    /// The backend's load report in the trailers. A failed attempt may have one too.
    pub load_report: Option<&'a LoadReport>,
}

impl<'a> DoneInfo<'a> {
    /// Creates the information of an attempt with a request and a response, without trailers, for
    /// the tests of policies.
    #[must_use]
    pub const fn new(failure: Option<&'a Status>, load_report: Option<&'a LoadReport>) -> Self {
        static NONE: Metadata = Metadata::new();
        Self {
            failure,
            trailers: &NONE,
            bytes_sent: true,
            bytes_received: true,
            load_report,
        }
    }

    /// Sets the trailers.
    #[must_use]
    pub const fn with_trailers(mut self, trailers: &'a Metadata) -> Self {
        self.trailers = trailers;
        self
    }

    /// Sets whether the request was sent and whether something of the response has come.
    #[must_use]
    pub const fn with_bytes(mut self, sent: bool, received: bool) -> Self {
        self.bytes_sent = sent;
        self.bytes_received = received;
        self
    }
}

/// A picker of a CONNECTING policy: calls wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueuingPicker;

impl Picker for QueuingPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Queue
    }
}

/// A picker of a policy in TRANSIENT_FAILURE: calls that do not wait for ready fail.
#[derive(Clone, Debug)]
pub struct FailingPicker(Status);

impl FailingPicker {
    /// Creates a picker that fails calls with this status.
    #[must_use]
    pub const fn new(status: Status) -> Self {
        Self(status)
    }
}

impl Picker for FailingPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Fail(self.0.clone())
    }
}

/// The status of calls that fail because of a resolver's error: UNAVAILABLE with the same text. The
/// resolver's own code does not describe the calls.
pub(super) fn call_failure(resolver_error: &Status) -> Status {
    resolver_error.to_unavailable(resolver_error.message().to_owned())
}
