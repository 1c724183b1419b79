//! Test support for rgrpc: an HTTP/2 peer that a test scripts frame by frame, and a faulty network
//! around it.
//!
//! - [`WirePeer`] speaks raw HTTP/2 frames (RFC 9113), as client or as server, over any byte
//!   stream. A test that uses it reads like a transcript of the wire, and when an expectation fails
//!   it prints one.
//! - The frame types ([`Data`], [`Headers`], … and [`RawFrame`] for invalid frames) are plain values
//!   that write themselves.
//! - The gRPC helpers ([`message`], [`grpc_request`], [`Trailers`], …) express the HTTP/2 mapping of
//!   gRPC in one word each.
//! - [`FaultProxy`] stalls, delays and cuts a TCP connection on command; [`CountingListener`] and
//!   [`RefusingAddress`] are addresses that count and refuse connections. [`ConnectProxy`] is an
//!   HTTP proxy.
//!
//! ```no_run
//! use rgrpc_test_support::{WirePeer, data, grpc_request, message};
//!
//! # async fn test(io: tokio::net::TcpStream) {
//! let mut peer = WirePeer::client(io).await.housekeeping();
//! peer.send(grpc_request(1, "/grpc.testing.TestService/EmptyCall")).await;
//! peer.send(data(1, message(b"")).end_stream()).await;
//! let response = peer.expect_headers(1).await;
//! assert_eq!(response.get("content-type"), Some("application/grpc"));
//! peer.expect_message(1).await;
//! assert_eq!(peer.expect_trailers(1).await.code, 0);
//! peer.assert_silent_until_ping().await;
//! # }
//! ```
//!
//! Everything here judges the runtime from outside, so nothing here depends on it: frames, HPACK
//! and status decoding are written against the RFCs and share no code with it. An assertion that
//! does not hold panics, as an assertion should; every wait is bounded.

mod connect_proxy;
mod frame;
mod grpc;
mod header_list;
pub mod hpack;
mod listener;
mod peer;
mod proxy;
mod reader;
mod transcript;

pub use connect_proxy::{ConnectAnswer, ConnectProxy};
pub use frame::{
    Continuation, Data, Dependency, ErrorCode, Frame, GoAway, HeaderBlock, Headers, Malformation,
    Ping, Priority, PushPromise, RawFrame, RstStream, Settings, WindowUpdate, WireFrame,
    continuation, data, flag, goaway, headers, kind, ping, priority, push_promise, rst_stream,
    setting, settings, settings_ack, window_update,
};
pub use grpc::{
    GrpcMessage, GrpcRequest, GrpcResponse, Trailers, grpc_request, grpc_response, grpc_trailers,
    message, message_with, trailers_only,
};
pub use header_list::HeaderList;
pub use listener::{Accepted, CountingListener, RefusingAddress, connected_pair, free_listener};
pub use peer::{Event, Io, PREFACE, WirePeer};
pub use proxy::{Cut, Direction, FaultProxy};
pub use reader::FrameReader;
pub use transcript::Transcript;
