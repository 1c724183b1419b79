//! gzip that can be asked whether it was used: a case says nothing of how its messages came.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rgrpc::{Compressor, Gzip, MessageBytes};

/// The name of the only compressor that the flag can choose.
pub(crate) const GZIP: &str = "gzip";

/// gzip that counts. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountedGzip {
    gzip: Arc<Gzip>,
    decompressed: Arc<AtomicUsize>,
}

impl CountedGzip {
    /// The number of messages that came compressed.
    pub(crate) fn decompressed(&self) -> usize {
        self.decompressed.load(Ordering::Relaxed)
    }
}

impl Compressor for CountedGzip {
    fn name(&self) -> &str {
        GZIP
    }

    fn compress(&self, message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
        self.gzip.compress(message, output)
    }

    fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
        self.decompressed.fetch_add(1, Ordering::Relaxed);
        self.gzip.decompress(message)
    }
}
