//! Panics of the codecs and the compressors of a client's calls.
//!
//! They run on the task of the caller, where a panic ends only the call. On a server they run with
//! the handler, whose code is guarded as a whole.

use crate::side::Side;
use crate::status::Status;
use crate::task::caught_status;

/// Runs a codec or a compressor of a call. `what` names it.
///
/// # Errors
/// The error of the code; INTERNAL if it has panicked on a client.
#[inline]
pub(crate) fn caught_on_client<T>(
    side: Side,
    what: &'static str,
    run: impl FnOnce() -> Result<T, Status>,
) -> Result<T, Status> {
    match side {
        Side::Client => caught_status(what, run),
        Side::Server => run(),
    }
}
