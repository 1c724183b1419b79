//! The option that collects a call's header metadata, trailers and peer.
//!
//! Filled in by the attempts of the call, on the task that polls it; read by the user, on any task.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;

/// The header metadata, the trailers and the peer of a call, whichever way it ends.
///
/// A handle that is an option of a call and is filled in as the response comes. It works alike for
/// all four kinds of calls, and on success, failure, cancellation and deadline: it has all that was
/// received until then. A [`Response`](crate::Response) or [`RecvStream`](crate::RecvStream) has
/// the same for a call that succeeds, and [`Status::metadata`](crate::Status::metadata) the
/// trailers of a failure; only this handle has the header metadata and the peer of a failure.
///
/// ```
/// # use rgrpc::{Call, Codec, Invoke, ResponseInfo, Status, Unary};
/// # async fn example<I: Invoke, C: Codec<()>>(call: Call<'_, I, Unary<(), ()>, C>) {
/// let info = ResponseInfo::new();
/// if let Err(status) = call.response_info(&info).await {
///     let server = info.peer().map(|peer| peer.remote.to_string());
///     let request_id = info.header().get("x-request-id").map(str::to_owned);
///     eprintln!("{status} ({server:?}, request {request_id:?})");
/// }
/// # }
/// ```
///
/// A call that is retried or hedged shows the attempt that it has ended with, and until then the
/// attempt that began last. A handle of several calls shows the one whose attempt began or ended
/// last: use a new one for each call. A clone is another handle of the same call.
///
/// It is an option, and not part of [`Status`](crate::Status), for three reasons: a status that a
/// deadline or a cancellation makes does not come from the response, a status that is passed on
/// would carry the response of another call, and calls that do not ask pay nothing.
///
/// Source: grpc-go's call options `Header`, `Trailer` and `Peer`.
#[derive(Clone, Default)]
pub struct ResponseInfo(Arc<Mutex<Option<Arc<Exchange>>>>);

impl ResponseInfo {
    /// Creates a handle of no call.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The header metadata; empty before it is received, and when the call ended without any: a
    /// failure without messages is mostly trailers-only.
    ///
    /// Source: grpc-go `Header`.
    #[must_use]
    pub fn header(&self) -> Metadata {
        let exchange = self.exchange();
        let header = exchange.as_ref().and_then(|exchange| exchange.header.get());
        header.cloned().unwrap_or_default()
    }

    /// The trailers; empty before the call has ended, and when it ended without any.
    ///
    /// Source: grpc-go `Trailer`.
    #[must_use]
    pub fn trailer(&self) -> Metadata {
        let exchange = self.exchange();
        let trailer = exchange
            .as_ref()
            .and_then(|exchange| exchange.trailer.get());
        trailer.cloned().unwrap_or_default()
    }

    /// The two ends of the connection; `None` before the call has one.
    ///
    /// Source: grpc-go `Peer`.
    #[must_use]
    pub fn peer(&self) -> Option<Arc<Peer>> {
        Some(Arc::clone(&self.exchange()?.peer))
    }

    pub(crate) fn show(&self, exchange: &Arc<Exchange>) {
        *lock(&self.0) = Some(Arc::clone(exchange));
    }

    fn exchange(&self) -> Option<Arc<Exchange>> {
        lock(&self.0).clone()
    }
}

impl fmt::Debug for ResponseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseInfo")
            .field("header", &self.header())
            .field("trailer", &self.trailer())
            .field("peer", &self.peer())
            .finish()
    }
}

/// The peer, the headers and the trailers of an attempt, for the user's handles.
pub(crate) struct Exchange {
    peer: Arc<Peer>,
    header: OnceLock<Metadata>,
    trailer: OnceLock<Metadata>,
}

impl Exchange {
    pub(crate) fn new(peer: &Arc<Peer>) -> Arc<Self> {
        Arc::new(Self {
            peer: Arc::clone(peer),
            header: OnceLock::new(),
            trailer: OnceLock::new(),
        })
    }

    /// Sets the received header metadata.
    pub(crate) fn set_header(&self, header: &Metadata) {
        // Headers are received once.
        let _ = self.header.set(header.clone());
    }

    /// Sets the received trailers.
    pub(crate) fn set_trailer(&self, trailer: &Metadata) {
        // Trailers are received once.
        let _ = self.trailer.set(trailer.clone());
    }
}
