//! The Huffman code of RFC 7541 appendix B.
//!
//! The code is canonical. Among codes of one length, the smaller code belongs to the smaller
//! symbol. The first code of a length follows the last code of the previous length. So the tables
//! are computed from the lengths alone.

/// The end-of-string symbol. Only the beginning of its code is used, as padding.
pub(super) const EOS: u16 = 256;

/// The length of the longest code, in bits.
pub(super) const MAX_LENGTH: usize = 30;

const SYMBOLS: usize = 257;

/// The length of each symbol's code, in bits.
pub(super) const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0x00
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 0x10
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, // 0x20
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, // 0x30
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // 0x40
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, // 0x50
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, // 0x60
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, // 0x70
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 0x80
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 0x90
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 0xa0
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 0xb0
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 0xc0
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 0xd0
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 0xe0
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 0xf0
    30, // EOS
];

/// The codes of one length, which are consecutive numbers.
#[derive(Clone, Copy)]
pub(super) struct Length {
    /// The smallest code.
    pub(super) first_code: u32,
    /// The number of codes.
    pub(super) count: u32,
    /// The index in [`SORTED`] of the symbol of the smallest code.
    pub(super) first_symbol: u32,
}

/// The codes by their length.
pub(super) const BY_LENGTH: [Length; MAX_LENGTH + 1] = by_length();

/// The symbols, ordered by their codes.
pub(super) const SORTED: [u16; SYMBOLS] = sorted();

/// The code of each symbol, right-aligned.
pub(super) const CODES: [u32; SYMBOLS] = codes();

/// The symbol and the length of the code at the beginning of each octet. The length is 0 if the
/// code is longer than the octet.
pub(super) const SHORT: [(u8, u8); 256] = short();

const fn by_length() -> [Length; MAX_LENGTH + 1] {
    let mut lengths = [Length {
        first_code: 0,
        count: 0,
        first_symbol: 0,
    }; MAX_LENGTH + 1];
    let mut symbol = 0;
    while symbol < SYMBOLS {
        lengths[LENGTHS[symbol] as usize].count += 1;
        symbol += 1;
    }
    let mut length = 1;
    while length <= MAX_LENGTH {
        let shorter = lengths[length - 1];
        lengths[length].first_code = (shorter.first_code + shorter.count) << 1;
        lengths[length].first_symbol = shorter.first_symbol + shorter.count;
        length += 1;
    }
    lengths
}

const fn sorted() -> [u16; SYMBOLS] {
    let mut symbols = [0; SYMBOLS];
    let mut filled = 0;
    let mut length = 1;
    while length <= MAX_LENGTH {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                symbols[filled] = symbol as u16;
                filled += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
}

const fn codes() -> [u32; SYMBOLS] {
    let mut codes = [0; SYMBOLS];
    let mut place = 0;
    while place < SYMBOLS {
        let symbol = SORTED[place] as usize;
        let length = BY_LENGTH[LENGTHS[symbol] as usize];
        codes[symbol] = length.first_code + (place as u32 - length.first_symbol);
        place += 1;
    }
    codes
}

const fn short() -> [(u8, u8); 256] {
    let mut table = [(0, 0); 256];
    let mut symbol = 0;
    while symbol < SYMBOLS {
        let length = LENGTHS[symbol] as usize;
        if length <= 8 {
            let free_bits = 8 - length;
            let start = (CODES[symbol] as usize) << free_bits;
            let mut octet = start;
            while octet < start + (1 << free_bits) {
                table[octet] = (symbol as u8, length as u8);
                octet += 1;
            }
        }
        symbol += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_appendix_b() {
        let table: [(u16, u32, u8); 9] = [
            (0, 0x1ff8, 13),
            (u16::from(b' '), 0x14, 6),
            (u16::from(b'0'), 0x0, 5),
            (u16::from(b'a'), 0x3, 5),
            (u16::from(b'z'), 0x7b, 7),
            (u16::from(b'\\'), 0x7fff0, 19),
            (199, 0x1ff_ffec, 25),
            (255, 0x3ff_ffee, 26),
            (EOS, 0x3fff_ffff, 30),
        ];
        for (symbol, code, length) in table {
            let symbol = usize::from(symbol);
            assert_eq!((CODES[symbol], LENGTHS[symbol]), (code, length), "{symbol}");
        }
    }

    #[test]
    fn the_code_is_complete() {
        // Kraft's sum: every string of 30 bits starts with exactly one code.
        let sum: u64 = LENGTHS.iter().map(|&length| 1 << (30 - length)).sum();
        assert_eq!(sum, 1 << 30);
    }
}
