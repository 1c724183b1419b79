//! The status of a message that a client sends after the server has ended the call with OK. Streams
//! return it to the sender, on its task; calls recognise it.

use std::error::Error;
use std::fmt;

use crate::status::Status;

/// The source of the status of a message that is sent after the server has ended the call with OK.
/// The call has not failed, so no layer maps its status to another.
///
/// The code is CANCELLED: nothing has failed, and nothing is retried. grpc-go returns `io.EOF`.
#[derive(Debug)]
struct EndedWell;

impl fmt::Display for EndedWell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call ended with OK")
    }
}

impl Error for EndedWell {}

/// Creates the status of a message that was sent after the server had ended the call with OK.
pub(crate) fn ended_well() -> Status {
    Status::cancelled(
        "the message was not sent: the server has ended the call with OK, which the receiving half \
         tells",
    )
    .with_source(EndedWell)
}

/// Returns whether the status is that of [`ended_well`].
pub(crate) fn is_ended_well(status: &Status) -> bool {
    let source = Error::source(status);
    source.is_some_and(<dyn Error>::is::<EndedWell>)
}
