//! The trait of compressors.
//!
//! Implemented by [`Gzip`](super::Gzip) and by users; called by framing and by the reader, on the
//! task that sends or receives, under no lock but that of a prepared message.

use std::io::{self, Read};

use crate::codec::MessageBytes;

/// A compression algorithm for messages, known to both sides of a call by its name.
///
/// It is registered when a channel or a server is built
/// ([`ClientConnBuilder::compressor`](crate::ClientConnBuilder::compressor),
/// [`Server::compressor`](crate::Server::compressor)). They then decompress received messages by
/// it. A call compresses its requests if the [call option](crate::Call::compressor) names a
/// compressor. A server compresses a response by the encoding of the request, unless the handler
/// sets another one
/// ([`CallContext::set_send_compressor`](crate::CallContext::set_send_compressor)).
///
/// Messages are compressed and decompressed one by one on the task that sends or receives them. A
/// panic fails the call with INTERNAL.
///
/// ```
/// use std::io::{self, Read};
///
/// use bytes::{Buf, BufMut};
/// use rgrpc::{Compressor, MessageBytes};
///
/// /// Each run of a byte as its length and the byte.
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
///             let byte = message.get_u8();
///             if length > 0 && (byte != last || length == u8::MAX) {
///                 output.put_slice(&[length, last]);
///                 length = 0;
///             }
///             (last, length) = (byte, length + 1);
///         }
///         if length > 0 {
///             output.put_slice(&[length, last]);
///         }
///         Ok(())
///     }
///
///     fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
///         Ok(Box::new(Runs { message, length: 0, byte: 0 }))
///     }
/// }
///
/// struct Runs {
///     message: MessageBytes,
///     length: u8,
///     byte: u8,
/// }
///
/// impl Read for Runs {
///     fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
///         if self.length == 0 {
///             match self.message.remaining() {
///                 0 => return Ok(0),
///                 1 => return Err(io::ErrorKind::UnexpectedEof.into()),
///                 _ => (self.length, self.byte) = (self.message.get_u8(), self.message.get_u8()),
///             }
///         }
///         let count = into.len().min(self.length.into());
///         into[..count].fill(self.byte);
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
    /// Returns the name in `grpc-encoding`.
    ///
    /// The name never changes. It is visible ASCII in lower case without commas, and not
    /// `identity`, the name of no compression.
    fn name(&self) -> &str;

    /// Appends the compressed message to `output`.
    ///
    /// It is never called with an empty message, because empty messages are sent uncompressed.
    ///
    /// # Errors
    /// The message cannot be compressed. Sending it fails with INTERNAL.
    fn compress(&self, message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()>;

    /// Returns a reader of the decompressed message.
    ///
    /// The runtime reads to the end, but at most one byte more than the receiver's
    /// `max_receive_message_size`. This bounds the memory that a small message can cause, as long
    /// as the reader produces no more than each read asks for.
    ///
    /// # Errors
    /// `message` was not made by [`compress`](Self::compress). Either this method or a read may
    /// report it. The call fails with INTERNAL.
    fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>>;
}
