//! The handlers of a server's calls. The dispatcher calls them, or the end of a chain of interceptors.

use std::sync::Arc;

use super::services::{MethodId, Services, UnknownHandler};
use super::{HandlerFuture, ServerCall};
use crate::status::Status;

/// The handlers of a server's calls: those of its services, and the one for all other calls.
#[derive(Debug)]
pub(super) struct Handlers {
    services: Arc<Services>,
    /// `None`: calls that no service has fail.
    unknown: Option<UnknownHandler>,
}

impl Handlers {
    pub(super) fn new(services: Arc<Services>, unknown: Option<UnknownHandler>) -> Self {
        Self { services, unknown }
    }

    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    /// Starts the handling of a call. `method` is what its path was looked up to.
    ///
    /// # Errors
    /// The server does not have the method.
    #[inline(always)]
    pub(super) fn handle(
        &self,
        method: Option<MethodId>,
        call: ServerCall,
    ) -> Result<HandlerFuture, Status> {
        match method {
            Some(id) => Ok(self.services.method(id).handle(call)),
            None => self.handle_unknown(call),
        }
    }

    fn handle_unknown(&self, call: ServerCall) -> Result<HandlerFuture, Status> {
        match &self.unknown {
            Some(unknown) => Ok(unknown.handle(call)),
            None => Err(self.services.missing(call.request().context().method())),
        }
    }
}
