//! Large messages, which are read from the socket straight into one buffer.
//!
//! A message from 64 KiB to 16 MiB that a call waits for gets its whole buffer when its first DATA
//! arrives. The connection's task then reads the content of the following DATA frames into that
//! buffer, without a copy through the connection's read buffer. The [`MemoryBudget`] of the channel or
//! the server limits these buffers; other messages arrive in pieces.
//!
//! [`MemoryBudget`]: crate::MemoryBudget
//!
//! A stream's [`Inbound`](super::inbound::Inbound) owns the [`Assembly`]. The connection's
//! [`Link`](super::link::Link) owns the [`DirectRead`]. The buffer moves between them:
//!
//! ```text
//!                  ┌────────────push────────────┐
//!                  ▼                            │
//!  begin ──► Assembly has the buffer ───────────┤
//!              ▲              │                 └──nothing is missing──► into_bytes
//!              │              │ take_buffer: a DATA frame of the message
//!  return_     │              │ has arrived in part
//!  buffer      │              ▼
//!  (the frame  └──── DirectRead has the buffer
//!  is whole)                  │
//!                             └──the stream has ended──► the buffer is dropped
//! ```

mod assembly;
mod direct_read;

pub(super) use assembly::Assembly;
pub(super) use direct_read::DirectRead;
