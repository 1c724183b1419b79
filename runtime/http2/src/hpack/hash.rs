//! A fast hash function, for tables in which a collision costs time but causes no error.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes octets.
#[inline]
pub(super) fn hash(octets: &[u8]) -> u64 {
    extend(octets.len() as u64, octets)
}

/// Adds octets to a hash.
#[inline]
pub(super) fn extend(mut hash: u64, octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<8>();
    for &word in words {
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    let mut last = rest.len() as u64;
    for &octet in rest {
        last = last << 8 | u64::from(octet);
    }
    mix(hash ^ last)
}

#[inline]
const fn mix(word: u64) -> u64 {
    let product = word.wrapping_mul(MULTIPLIER);
    product ^ product >> 32
}
