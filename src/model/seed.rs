//! Everything random in a run comes from its seed, by SHA-256, so that anyone can derive it again.

use super::digits::{Digits, Stack, hex_into};
use sha2::{Digest, Sha256};

/// A number derived from the seed, a label and an index:
/// the first eight bytes (big endian) of SHA-256("passmuster/v1" ‖ 0 ‖ label ‖ 0 ‖ seed ‖ index).
pub fn derive(seed: u64, label: &str, index: u64) -> u64 {
    let digest = hash(seed, label.as_bytes(), index);
    u64::from_be_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
}

/// A number from 0 (included) to 1 (excluded), derived as [`derive`].
pub fn unit(seed: u64, label: &str, index: u64) -> f64 {
    (derive(seed, label, index) >> 11) as f64 / (1u64 << 53) as f64
}

fn hash(seed: u64, label: &[u8], index: u64) -> [u8; 32] {
    // In one piece: most of the messages are one block, and there are millions of them.
    let tail = Stack::new().with(&[0]).with(&seed.to_be_bytes()).with(&index.to_be_bytes());
    if label.len() > 32 {
        return Sha256::new().chain_update(b"passmuster/v1\0").chain_update(label).chain_update(tail.as_bytes()).finalize().into();
    }
    Sha256::digest(Stack::new().with(b"passmuster/v1\0").with(label).with(tail.as_bytes()).as_bytes()).into()
}

/// Hexadecimal blocks derived under `<label>/<block>`, into the first 64 bytes for each block of `out`.
fn blocks<'o>(label: &[u8], blocks: usize, seed: u64, index: u64, out: &'o mut [u8; 256]) -> &'o [u8] {
    for (block, place) in out.chunks_exact_mut(64).take(blocks).enumerate() {
        let label = Stack::new().with(label).with(b"/").number(block as u64);
        hex_into(&hash(seed, label.as_bytes(), index), place);
    }
    &out[..blocks * 64]
}

/// Length of an operation's payload in characters, for [`payload`].
pub fn payload_len(seed: u64, client: u32, seq: u64) -> usize {
    64 + (derive(seed, "payload-length", op_index(client, seq)) % 4) as usize * 64
}

/// The payload of an operation: hexadecimal SHA-256 blocks under the label `payload/<block>`, so that
/// a row or an object that is read back can be told from any other.
pub fn payload(seed: u64, client: u32, seq: u64) -> String {
    ascii(payload_blocks(seed, client, seq, &mut [0; 256]))
}

/// The short digest of an operation's payload.
pub fn payload_digits(seed: u64, client: u32, seq: u64) -> Digits {
    Digits::of(payload_blocks(seed, client, seq, &mut [0; 256]))
}

fn payload_blocks(seed: u64, client: u32, seq: u64, out: &mut [u8; 256]) -> &[u8] {
    blocks(b"payload", payload_len(seed, client, seq) / 64, seed, op_index(client, seq), out)
}

/// The content of the object that a linked operation stores.
pub fn object(seed: u64, client: u32, seq: u64) -> String {
    ascii(blocks(b"object", 4, seed, op_index(client, seq), &mut [0; 256]))
}

/// The short digest of that content.
pub fn object_digits(seed: u64, client: u32, seq: u64) -> Digits {
    Digits::of(blocks(b"object", 4, seed, op_index(client, seq), &mut [0; 256]))
}

fn ascii(digits: &[u8]) -> String {
    String::from_utf8_lossy(digits).into_owned()
}

/// One row of the base data (what is in the database before the load): 480 hexadecimal characters.
pub fn base_row(seed: u64, id: u64) -> String {
    let block = hex(&hash(seed, b"base-row", id));
    let mut out = String::with_capacity(480);
    // Rotated copies keep the rows incompressible enough without eight hashes a row.
    for i in 0..8 {
        out.push_str(&block[i * 8..]);
        out.push_str(&block[..i * 8]);
    }
    out.truncate(480);
    out
}

/// Bytes that one row of base data takes on disk with its header and index entry, about.
const BASE_ROW_BYTES: u64 = 540;

/// Rows of base data for a size on disk.
pub fn base_rows(bytes: u64) -> u64 {
    bytes / BASE_ROW_BYTES
}

fn op_index(client: u32, seq: u64) -> u64 {
    (u64::from(client) << 40) | seq
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    hex_into(bytes, &mut out);
    ascii(&out)
}

/// SHA-256 as lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 in base64, as a content policy of HTML wants it.
pub fn sha256_base64(bytes: &[u8]) -> String {
    base64(&Sha256::digest(bytes))
}

/// Standard base64 with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = u32::from(chunk[0]) << 16 | u32::from(chunk.get(1).copied().unwrap_or(0)) << 8 | u32::from(chunk.get(2).copied().unwrap_or(0));
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize] as char;
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivation_is_fixed_for_ever() {
        // A changed value here would make old evidence unverifiable.
        assert_eq!(format!("{:016x}", derive(1, "archive-phase", 0)), "dd42b07f50e95b02");
        assert_eq!(sha256(payload(7, 1, 2).as_bytes()), "4b30addf69528c8a8ed571d0ebbfd1f35a16d69b3a253fdf73d0f4ed56bc077c");
        assert_eq!(sha256(object(7, 1, 2).as_bytes()), "e8e1166d67ad78051b05458d9919a2707e61baefe4dec705fe2798fdbec7624d");
        assert_eq!(sha256(base_row(7, 3).as_bytes()), "b5083a72a17e06ebe3950d7ff93dda47f62345e16b9cffab41e8a3ef43e3eb12");
        assert_eq!(payload_digits(7, 1, 2).as_str(), &sha256(payload(7, 1, 2).as_bytes())[..32]);
        assert_eq!(object_digits(7, 1, 2).as_str(), &sha256(object(7, 1, 2).as_bytes())[..32]);
        let long = "x".repeat(40);
        assert_eq!(format!("{:016x}", derive(1, &long, 0)), "92951dd7e4d0e8cd");
        assert_ne!(payload(7, 1, 2), payload(7, 2, 1));
        assert_eq!(payload(7, 1, 2).len(), payload_len(7, 1, 2));
        assert_eq!([base64(b""), base64(b"f"), base64(b"fo"), base64(b"foo")], ["", "Zg==", "Zm8=", "Zm9v"]);
        assert_eq!(base_row(7, 1).len(), 480);
        assert!((0.0..1.0).contains(&unit(3, "x", 9)));
    }
}
