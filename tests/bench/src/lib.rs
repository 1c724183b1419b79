//! rgrpc measured against its peers: tonic, a hand-framed floor, and a bare socket.
//!
//! All of them serve or call `grpc.testing.BenchmarkService` with the same messages. A client is
//! closed-loop: so many connections, so many calls open on each, and the next begins when one has
//! ended. Its last line of output is a [`report`] in JSON. The programs:
//!
//! | what | server | client |
//! |---|---|---|
//! | rgrpc | `bench-server` | `bench-client` |
//! | tonic | `bench-server-tonic` | `bench-client-tonic` |
//! | floor: frames without HTTP/2, but the messages are encoded and decoded | `bench-floor` | `bench-floor-client` |
//! | bare socket | `bench-echo-server` | `bench-echo-client` |
//!
//! `bench-allocations` counts allocations, apart from timing. `bench-drive`, which the script `run`
//! calls, runs all of them in turns and writes the tables of `RESULTS.md`.

pub mod allocations;
pub mod channel;
pub mod closed_loop;
pub mod counting_handler;
pub mod cpu;
pub mod drive;
pub mod echo;
pub mod engine;
pub mod flags;
pub mod floor;
pub mod latency;
pub mod payload;
pub mod proto;
pub mod report;
pub mod rgrpc_client;
pub mod rgrpc_server;
pub mod serve;
pub mod tonic_client;
pub mod tonic_server;
