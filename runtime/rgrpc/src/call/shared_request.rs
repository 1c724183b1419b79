//! The only request of a server's call, which an interceptor has received before the handler.
//!
//! Used on the task of the call. Shared by the clones of the call, so that each run of the handler has
//! the request, whoever received it.

use std::fmt;

use tokio::sync::Mutex;

use super::{RawMessage, RecvStream};
use crate::status::Status;

/// The only request of a call, encoded: received once, by the first that asks for it.
pub(crate) struct SharedRequest(Mutex<SharedRequestState>);

enum SharedRequestState {
    Receiving(RecvStream<RawMessage>),
    Received(Result<RawMessage, Status>),
}

impl SharedRequest {
    /// Creates it from the half that receives the request.
    pub(crate) fn new(requests: RecvStream<RawMessage>) -> Self {
        let requests = requests.only_one();
        Self(Mutex::new(SharedRequestState::Receiving(requests)))
    }

    /// Receives the request. Cancel-safe: the part that has come stays here.
    ///
    /// # Errors
    /// Those of [`RecvStream::recv`]; UNIMPLEMENTED for no request, or several.
    pub(crate) async fn message(&self) -> Result<RawMessage, Status> {
        let mut state = self.0.lock().await;
        let received = match &mut *state {
            SharedRequestState::Received(received) => return received.clone(),
            SharedRequestState::Receiving(requests) => requests.recv().await,
        };
        let received = received.and_then(|message| {
            message.ok_or_else(|| Status::internal("the request has ended without a message"))
        });
        *state = SharedRequestState::Received(received.clone());
        received
    }

    /// The request, if it has been received.
    pub(crate) fn received(&self) -> Option<RawMessage> {
        match &*self.0.try_lock().ok()? {
            SharedRequestState::Received(Ok(message)) => Some(message.clone()),
            _ => None,
        }
    }
}

impl fmt::Debug for SharedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRequest").finish_non_exhaustive()
    }
}
