//! Helpers of the end-to-end tests: a service whose methods a test writes as closures, a server and
//! a channel for it, and the wire peer in the place of either.
//!
//! The tests themselves are in `tests/e2e`, a module for each behaviour. Most run over in-memory
//! pipes and in virtual time, where a wait that nothing ends fails at once instead of hanging.
//!
//! They hold on both engines. `RGRPC_TRANSPORT` sets the engine of a run; tests make their servers
//! and channels by [`new_server`] and [`channel_builder`], which set it. Parameters that an engine
//! may choose, such as its windows, are read off the wire.

mod calls;
mod dialer;
mod engine;
mod hang;
mod health;
mod leaf_policy;
mod log;
mod message;
pub mod proto;
mod scripted;
mod settle;
mod soon;
mod stub;
mod test_server;

pub use calls::{Outcome, answer, expect_text, unary};
pub use dialer::FnDialer;
pub use engine::{channel_builder, engine, native, new_channel, new_server};
pub use hang::{Hang, HangWatch, hang};
pub use health::{HealthService, ServingStatus, register_health};
pub use leaf_policy::LeafPolicy;
pub use log::{Log, log};
pub use message::{encoded, framed, msg, text};
pub use proto::{
    Message, STUB_BIDI_STREAMING, STUB_CLIENT_STREAMING, STUB_SERVER_STREAMING, STUB_UNARY,
    StubClient, register_stub,
};
pub use scripted::{ScriptedServer, scripted, scripted_by};
pub use settle::settle;
pub use soon::soon;
pub use stub::StubService;
pub use test_server::{TestServer, serve, serve_with};
