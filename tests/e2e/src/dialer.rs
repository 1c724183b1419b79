//! A dialer of the test's own.

use std::fmt;
use std::io;

use rgrpc::io::{Address, Connected, Dial, DialFuture};

/// Dials by a closure.
pub struct FnDialer<F>(F);

impl<F, Fut> FnDialer<F>
where
    F: Fn(Address) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Connected>> + Send + 'static,
{
    /// A dialer that does this.
    pub fn new(dial: F) -> Self {
        Self(dial)
    }
}

impl<F, Fut> Dial for FnDialer<F>
where
    F: Fn(Address) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Connected>> + Send + 'static,
{
    fn dial(&self, address: Address) -> DialFuture {
        Box::pin((self.0)(address))
    }
}

impl<F> fmt::Debug for FnDialer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnDialer")
    }
}
