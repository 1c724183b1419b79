/// What a call that waits for DATA can use: with it an engine can put a message together where it
/// arrives, let the peer send all of it, and wake the call once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A message from its prefix on, of at most this many bytes.
    Message { max: usize },
    /// This many bytes, of one that has begun.
    Rest(usize),
}
