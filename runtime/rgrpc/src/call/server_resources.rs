//! The resources of a server that its calls use. A connection's handle keeps them; the server's
//! options own them.

use crate::buffer_pool::BufferPool;
use crate::codec::CompressorRegistry;

/// The resources of a server that its calls use.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerResources {
    pub(crate) compressors: CompressorRegistry,
    /// The pool of the buffers of received messages.
    pub(crate) pool: BufferPool,
}
