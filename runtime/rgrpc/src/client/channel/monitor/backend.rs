//! The backend of a monitor.
//!
//! Made by the channel's task, used by the monitor's.

use std::sync::Arc;

use crate::buffer_pool::BufferPool;
use crate::credentials::PerRpcCredentials;
use crate::io::Address;
use crate::transport::{ClientTransport, CommonHeaders};

/// A backend and the connection to it.
pub(super) struct Backend {
    pub(super) address: Address,
    pub(super) transport: Arc<dyn ClientTransport>,
    pub(super) headers: Arc<CommonHeaders>,
    /// The channel's credentials.
    pub(super) credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
    /// The channel's pool.
    pub(super) buffer_pool: BufferPool,
}
