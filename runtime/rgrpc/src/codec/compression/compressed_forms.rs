//! The compressed forms of a prepared message.
//!
//! Owned by a [`PreparedMessage`](crate::PreparedMessage); used by all tasks that send it, under
//! its lock.

use std::io;
use std::sync::Mutex;

use bytes::Bytes;

use super::{Compressor, compress};
use crate::lock::lock;

/// The compressed forms of one framed message, by the name of the compressor.
///
/// A compressor runs once. Only calls that begin at the same time, before there is a form, may each
/// run it: users' code does not run under the lock.
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
        let name = compressor.name();
        if let Some(form) = self.find(name) {
            return Ok(form);
        }
        let form = compress(compressor, framed.clone().into())?.into_bytes();
        let mut forms = lock(&self.0);
        if !forms.iter().any(|(other, _)| **other == *name) {
            forms.push((name.into(), form.clone()));
        }
        Ok(form)
    }

    fn find(&self, name: &str) -> Option<Bytes> {
        let forms = lock(&self.0);
        let found = forms.iter().find(|(other, _)| **other == *name);
        found.map(|(_, form)| form.clone())
    }
}
