use std::io::{self, Read};

use crate::codec::MessageBytes;

/// A way to compress messages, known by its name to both sides of a call.
///
/// Channels and servers are given it when they are built
/// ([`ClientConnBuilder::compressor`](crate::ClientConnBuilder::compressor),
/// [`Server::compressor`](crate::Server::compressor)), and then understand messages that come
/// compressed by it. A call compresses what it sends if it [says
/// so](crate::Call::compressor); a server answers a call as the call came, unless its handler says
/// otherwise ([`CallContext::set_send_compressor`](crate::CallContext::set_send_compressor)).
///
/// Messages are compressed and decompressed one by one on the task that sends or receives them.
///
/// ```
/// use std::io::{self, Read};
///
/// use bytes::{Buf, BufMut};
/// use rgrpc::{Compressor, MessageBytes};
///
/// /// Each run of an octet as its length and the octet.
/// struct RunLength;
///
/// impl Compressor for RunLength {
///     fn name(&self) -> &str {
///         "x-run-length"
///     }
///
///     fn compress(&self, mut message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
///         let (mut last, mut length) = (0, 0);
///         while message.has_remaining() {
///             let octet = message.get_u8();
///             if length > 0 && (octet != last || length == u8::MAX) {
///                 output.put_slice(&[length, last]);
///                 length = 0;
///             }
///             (last, length) = (octet, length + 1);
///         }
///         if length > 0 {
///             output.put_slice(&[length, last]);
///         }
///         Ok(())
///     }
///
///     fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
///         Ok(Box::new(Runs { message, length: 0, octet: 0 }))
///     }
/// }
///
/// struct Runs {
///     message: MessageBytes,
///     length: u8,
///     octet: u8,
/// }
///
/// impl Read for Runs {
///     fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
///         if self.length == 0 {
///             match self.message.remaining() {
///                 0 => return Ok(0),
///                 1 => return Err(io::ErrorKind::UnexpectedEof.into()),
///                 _ => (self.length, self.octet) = (self.message.get_u8(), self.message.get_u8()),
///             }
///         }
///         let count = into.len().min(self.length.into());
///         into[..count].fill(self.octet);
///         self.length -= count as u8;
///         Ok(count)
///     }
/// }
///
/// let server = rgrpc::Server::new().compressor(RunLength);
/// ```
///
/// Source: grpc-go `encoding.Compressor`.
pub trait Compressor: Send + Sync + 'static {
    /// What `grpc-encoding` calls it: always the same, visible ASCII in lower case without commas,
    /// and not `identity`, which is the name of no compression.
    fn name(&self) -> &str;

    /// Appends the compressed message to `output`. Never called with an empty message: such are
    /// sent as they are.
    ///
    /// # Errors
    /// The message cannot be compressed; sending it fails with INTERNAL.
    fn compress(&self, message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()>;

    /// The message that this was made of, to be read to its end.
    ///
    /// It is read no further than to one octet more than the receiver's `max_receive_message_size`,
    /// so that a small message cannot become one that fills the memory, as long as the reader makes
    /// no more than it is asked for.
    ///
    /// # Errors
    /// `message` was not made by [`compress`](Self::compress), whether that is found here or when
    /// it is read; the call fails with INTERNAL.
    fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>>;
}
