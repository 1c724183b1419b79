//! The compressed forms of a prepared message.
//!
//! Owned by a [`PreparedMessage`](crate::PreparedMessage); used by all tasks that send it, under
//! its lock.

use std::io;
use std::sync::Mutex;

use bytes::Bytes;

use super::{Compressor, compress};
use crate::lock::lock;

/// The compressed forms of one framed message, by the name of the compressor. Each compressor runs
/// once.
#[derive(Debug, Default)]
pub(in crate::codec) struct CompressedForms(Mutex<Vec<(Box<str>, Bytes)>>);

impl CompressedForms {
    /// Returns the form that `compressor` makes of `framed`, which is the same message in every
    /// call.
    pub(in crate::codec) fn get(
        &self,
        compressor: &dyn Compressor,
        framed: &Bytes,
    ) -> io::Result<Bytes> {
        // The lock is held while the message is compressed, so that a concurrent caller waits for
        // the form instead of making it again.
        let mut forms = lock(&self.0);
        let name = compressor.name();
        if let Some((_, form)) = forms.iter().find(|(other, _)| **other == *name) {
            return Ok(form.clone());
        }
        let form = compress(compressor, framed.clone().into())?.into_bytes();
        forms.push((name.into(), form.clone()));
        Ok(form)
    }
}
