use std::io;
use std::sync::Mutex;

use bytes::Bytes;

use super::{Compressor, compress};
use crate::lock::lock;

/// What has become of a framed message, by the names of compressors: each makes it once.
#[derive(Debug, Default)]
pub(in crate::codec) struct CompressedForms(Mutex<Vec<(Box<str>, Bytes)>>);

impl CompressedForms {
    /// The message compressed, which is always the same `framed`.
    pub(in crate::codec) fn get(
        &self,
        compressor: &dyn Compressor,
        framed: &Bytes,
    ) -> io::Result<Bytes> {
        // Held meanwhile, so that who else needs it waits instead of making it again.
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
