//! Short digests without the heap: a ledger of a million operations is checked in a second, and most of that is SHA-256.

use sha2::{Digest, Sha256};
use std::fmt;

/// Two hexadecimal digits of each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// Writes bytes as lower-case hexadecimal; `out` is twice as long.
pub fn hex_into(bytes: &[u8], out: &mut [u8]) {
    for (byte, two) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        two.copy_from_slice(&HEX[usize::from(*byte)]);
    }
}

/// The first 16 bytes of a SHA-256 as 32 hexadecimal digits: enough to tell contents apart, short enough to keep millions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digits([u8; 32]);

impl Digits {
    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Digits {
        Digits::from_hash(Sha256::new_with_prefix(bytes))
    }

    /// Of what was given to a hash so far.
    pub fn from_hash(hash: Sha256) -> Digits {
        let mut out = [0; 32];
        hex_into(&hash.finalize()[..16], &mut out);
        Digits(out)
    }

    /// As bytes of text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        // Digits are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl PartialEq<str> for Digits {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other.as_bytes()
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A short text on the stack: what does not fit is left out, so it is for what is known to be short.
pub struct Stack {
    bytes: [u8; 64],
    len: usize,
}

impl Stack {
    /// Nothing yet.
    pub fn new() -> Stack {
        Stack { bytes: [0; 64], len: 0 }
    }

    /// With some bytes after what is there.
    #[must_use]
    pub fn with(mut self, more: &[u8]) -> Stack {
        let room = &mut self.bytes[self.len..];
        let n = more.len().min(room.len());
        room[..n].copy_from_slice(&more[..n]);
        self.len += n;
        self
    }

    /// With a decimal number after what is there.
    #[must_use]
    pub fn number(self, mut n: u64) -> Stack {
        let mut digits = [0; 20];
        let mut from = digits.len();
        loop {
            from -= 1;
            digits[from] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                return self.with(&digits[from..]);
            }
        }
    }

    /// What is there.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Default for Stack {
    fn default() -> Stack {
        Stack::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_the_first_half_of_the_hash() {
        let whole = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digits::of(b"abc").to_string(), whole[..32]);
        assert!(Digits::of(b"abc") == whole[..32] && Digits::of(b"abd") != whole[..32] && Digits::of(b"abc") != *whole);
    }

    #[test]
    fn short_texts_are_what_format_makes() {
        for n in [0, 7, 10, 999, u64::MAX] {
            assert_eq!(Stack::new().with(b"ledger/").number(3).with(b".").number(n).as_bytes(), format!("ledger/3.{n}").as_bytes());
        }
        assert_eq!(Stack::new().with(&[b'x'; 70]).as_bytes(), [b'x'; 64]);
    }
}
