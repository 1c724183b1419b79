//! The buffer of a large message that has arrived in part. Owned by the stream's receiving side.

use bytes::Bytes;
use rgrpc_http2::frame::Head;

use crate::buffer_pool::BufferPool;
use crate::memory_budget::MemoryReservation;
use crate::prefix::{PREFIX_LEN, Prefix};
use crate::transport::{MessageMemory, ReadDemand};

/// The minimum length of an assembled message, in octets. A shorter message is left in the pieces
/// in which it arrives.
const MIN_LEN: usize = 64 * 1024;

/// The maximum length of an assembled message, in octets. Memory for the whole message is allocated
/// before it has arrived.
const MAX_LEN: usize = 16 * 1024 * 1024;

/// A large message that a call waits for, and that has arrived in part. Its octets are contiguous.
///
/// The connection's task can [take the buffer](Self::take_buffer) and read the content of a frame
/// directly into it.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// The octets that have arrived. Its capacity includes the rest of the message and the head of
    /// the next frame. Empty while a direct read has it.
    buffer: Vec<u8>,
    /// The length of the whole message, with its prefix, in octets.
    len: usize,
    pool: BufferPool,
    _reservation: MemoryReservation,
}

impl Assembly {
    /// Begins an assembly with the first DATA of the demanded message. Returns `None` if the
    /// message has arrived whole or is not large, or if the memory is used up by others.
    pub(crate) fn begin(
        read_demand: ReadDemand,
        data: &[u8],
        memory: &MessageMemory,
    ) -> Option<Self> {
        let len = match read_demand {
            ReadDemand::Rest(len) => len,
            ReadDemand::Message { max } => {
                let prefix = Prefix::parse(*data.first_chunk()?)?;
                let len = usize::try_from(prefix.len).ok().filter(|&len| len <= max)?;
                PREFIX_LEN.checked_add(len)?
            }
        };
        if !(MIN_LEN..=MAX_LEN).contains(&len) || data.len() >= len {
            return None;
        }
        let reservation = memory.budget.reserve(len)?;
        let pool = memory.pool.clone();
        let mut buffer = pool.take(len + Head::LEN);
        buffer.extend_from_slice(data);
        Some(Self {
            buffer,
            len,
            pool,
            _reservation: reservation,
        })
    }

    /// The length of the whole message, with its prefix, in octets.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number of octets that have not arrived.
    pub(crate) fn missing(&self) -> usize {
        self.len - self.buffer.len()
    }

    /// Adds the part of `data` that belongs to the message. Returns the rest.
    pub(crate) fn push(&mut self, mut data: Bytes) -> Bytes {
        let rest = data.split_off(data.len().min(self.missing()));
        self.buffer.extend_from_slice(&data);
        rest
    }

    /// Takes the buffer to read the next `len` octets, and at most the head of the next frame,
    /// behind its content. Returns `None` if not all of them belong to the message. The caller
    /// [returns the buffer](Self::return_buffer).
    pub(crate) fn take_buffer(&mut self, len: usize) -> Option<Vec<u8>> {
        (len <= self.missing()).then(|| std::mem::take(&mut self.buffer))
    }

    /// Returns the buffer, with the octets that have arrived.
    pub(crate) fn return_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Returns the octets that have arrived, in one piece.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.pool.share(self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn message(len: usize) -> Bytes {
        let mut message = Vec::new();
        message.put_u8(0);
        message.put_u32(len as u32);
        message.extend((0..len).map(|at| at as u8));
        message.into()
    }

    #[test]
    fn only_a_large_allowed_and_incomplete_message_is_assembled() {
        let any = ReadDemand::Message { max: usize::MAX };
        let head = |len: u32| {
            let mut head = vec![0];
            head.extend(len.to_be_bytes());
            head
        };
        let (large, small) = (MIN_LEN as u32, (MIN_LEN - PREFIX_LEN) as u32);
        for (read_demand, data, len) in [
            (any, head(large), Some(MIN_LEN + PREFIX_LEN)),
            (any, head(small), Some(MIN_LEN)),
            (any, head(small - 1), None),
            (any, head(u32::MAX), None),
            (any, head(large)[..4].to_vec(), None),
            (any, vec![9, 0, 1, 0, 0], None),
            (
                ReadDemand::Message { max: MIN_LEN },
                head(large),
                Some(MIN_LEN + PREFIX_LEN),
            ),
            (ReadDemand::Message { max: MIN_LEN }, head(large + 1), None),
            (ReadDemand::Rest(MIN_LEN), vec![1], Some(MIN_LEN)),
            (ReadDemand::Rest(MIN_LEN - 1), vec![1], None),
            (ReadDemand::Rest(MAX_LEN + 1), vec![1], None),
            (ReadDemand::Rest(MIN_LEN), vec![1; MIN_LEN], None),
            (any, message(MIN_LEN).to_vec(), None),
        ] {
            let assembly = Assembly::begin(read_demand, &data, &MessageMemory::default());
            let name = (read_demand, data.len());
            assert_eq!(assembly.map(|assembly| assembly.len), len, "{name:?}");
        }
    }

    #[test]
    fn a_message_is_assembled_from_pieces_and_from_direct_reads() {
        let whole = message(MIN_LEN);
        let memory = MessageMemory::default();
        let read_demand = ReadDemand::Message { max: MIN_LEN };
        let assembly = Assembly::begin(read_demand, &whole[..1_000], &memory);
        let mut assembly = assembly.expect("a large message");
        let place = assembly.buffer.as_ptr();
        assert!(assembly.push(whole.slice(1_000..20_000)).is_empty());
        let mut buffer = assembly.take_buffer(10_000).expect("within the message");
        buffer.extend_from_slice(&whole[20_000..30_000]);
        assembly.return_buffer(buffer);
        assert_eq!(assembly.missing(), whole.len() - 30_000);
        assert!(assembly.take_buffer(assembly.missing() + 1).is_none());
        let mut rest = whole.slice(30_000..).to_vec();
        rest.extend_from_slice(b"next");
        assert_eq!(assembly.push(rest.into()), "next");
        assert_eq!(assembly.missing(), 0);
        let bytes = assembly.into_bytes();
        assert_eq!((bytes.as_ptr(), &bytes), (place, &whole));
    }
}
