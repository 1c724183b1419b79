//! The request of an attempt that is authorized on its connection.
//!
//! Made and sent on the caller's task.

use std::sync::Arc;

use crate::metadata::Metadata;
use crate::transport::CommonHeaders;

/// The differences of an authorized attempt's request from the call.
pub(in crate::client::call) struct Authorized {
    /// The metadata, if it is not the call's.
    pub(in crate::client::call) metadata: Option<Metadata>,
    /// The common headers, if the pick has another authority.
    pub(in crate::client::call) headers: Option<Arc<CommonHeaders>>,
}
