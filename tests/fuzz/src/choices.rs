//! Decisions made by the octets of an input.

use bytes::Bytes;

/// Octets that decide, one after another. When they are used up, every number is 0: a loop asks for
/// [`is_empty`](Self::is_empty).
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Decisions by these octets.
    pub fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// Returns whether the input is used up.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Any octet.
    pub fn octet(&mut self) -> u8 {
        self.octets(1).first().copied().unwrap_or_default()
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    /// Any number of 16 bits.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// Any number of 32 bits.
    pub fn word(&mut self) -> u32 {
        u32::from(self.short()) << 16 | u32::from(self.short())
    }

    /// A length: mostly short, sometimes up to 65,280.
    pub fn length(&mut self) -> usize {
        match self.octet() {
            short @ 0..0xc0 => usize::from(short),
            _ => usize::from(self.octet()) << 8,
        }
    }

    /// One of `options`, which is not empty.
    pub fn one_of<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[usize::from(self.octet()) % options.len()]
    }

    /// The next `count` octets, or as many as there are.
    pub fn octets(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// As many octets as the next one says.
    pub fn string(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet());
        self.octets(length)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.octets(usize::MAX)
    }

    /// Names and values until the octets are used up: a name is often one of `names`.
    pub fn fields(&mut self, names: &[&'static str]) -> Vec<(Bytes, Bytes)> {
        let mut fields = Vec::new();
        while !self.is_empty() {
            let choice = usize::from(self.octet());
            let name = match names.get(choice % (names.len() + 1)) {
                Some(name) => Bytes::from_static(name.as_bytes()),
                None => Bytes::copy_from_slice(self.string()),
            };
            fields.push((name, Bytes::copy_from_slice(self.string())));
        }
        fields
    }
}
