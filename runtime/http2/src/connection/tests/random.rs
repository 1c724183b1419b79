//! Reproducible random numbers.

/// A sequence of random numbers that depends only on its seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `bound`.
    pub(super) fn next(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) as u32) % bound
    }

    /// Returns `true` with a probability of 1 in `times`.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        self.next(times) == 0
    }

    /// Returns one of `options`, which must not be empty.
    pub(super) fn one_of<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.next(options.len() as u32) as usize]
    }

    /// Returns random octets.
    pub(super) fn octets(&mut self, length: u32) -> Vec<u8> {
        (0..length).map(|_| self.next(256) as u8).collect()
    }
}
