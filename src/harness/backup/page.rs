//! PostgreSQL's page checksum, to tell which pages of a damaged file are bad.
//!
//! The algorithm is the one that PostgreSQL documents in `src/include/storage/checksum_impl.h`: FNV-1a on 32
//! parallel lanes, with an extra shift, folded, mixed with the block number, and reduced to 1…65535.

/// Bytes of a page.
pub const PAGE: usize = 8192;
/// Offset of `pd_checksum` in a page's header.
const CHECKSUM_AT: usize = 8;
const LANES: usize = 32;
const PRIME: u32 = 16_777_619;

/// Initial values of the lanes, as PostgreSQL has them.
const BASIS: [u32; LANES] = [
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C, 0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA,
    0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
];

fn mix(lane: u32, value: u32) -> u32 {
    let t = lane ^ value;
    t.wrapping_mul(PRIME) ^ (t >> 17)
}

/// The checksum that a page of a block should carry.
pub fn checksum(page: &[u8; PAGE], block: u32) -> u16 {
    let mut lanes = BASIS;
    for row in 0..PAGE / (4 * LANES) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            let at = (row * LANES + i) * 4;
            // The stored checksum counts as zero.
            let word = if at == CHECKSUM_AT {
                u32::from_le_bytes([0, 0, page[at + 2], page[at + 3]])
            } else {
                u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]])
            };
            *lane = mix(*lane, word);
        }
    }
    for _ in 0..2 {
        for lane in &mut lanes {
            *lane = mix(*lane, 0);
        }
    }
    let folded = lanes.iter().fold(0, |a, b| a ^ b) ^ block;
    ((folded % 65_535) + 1) as u16
}

/// Whether a page is what its checksum says; pages that were never used are all zero and have none.
pub fn is_sound(page: &[u8; PAGE], block: u32) -> bool {
    if page.iter().all(|b| *b == 0) {
        return true;
    }
    u16::from_le_bytes([page[CHECKSUM_AT], page[CHECKSUM_AT + 1]]) == checksum(page, block)
}

/// First block of a segment file: `16384` is segment 0, `16384.2` begins at block 2 × 131072.
pub fn first_block(file_name: &str) -> u32 {
    const BLOCKS_PER_SEGMENT: u32 = 131_072;
    file_name.rsplit_once('.').and_then(|(_, n)| n.parse::<u32>().ok()).unwrap_or(0) * BLOCKS_PER_SEGMENT
}

/// Whether a path below the data directory is a relation's main or other fork with checksummed pages.
pub fn is_relation(path: &str) -> bool {
    let Some((dir, name)) = path.rsplit_once('/') else { return false };
    let in_data = dir == "global" || dir.starts_with("base/") || dir.starts_with("pg_tblspc/");
    let stem = name.split(['.', '_']).next().unwrap_or("");
    in_data && !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_told_by_their_path() {
        assert!(is_relation("base/5/16384") && is_relation("base/5/16384.1") && is_relation("global/1262_fsm"));
        assert!(!is_relation("global/pg_control") && !is_relation("base/5/PG_VERSION") && !is_relation("pg_xact/0000"));
        assert_eq!(first_block("16384.2"), 262_144);
        assert_eq!(first_block("16384"), 0);
    }

    #[test]
    fn a_changed_byte_changes_the_checksum() {
        let mut page = [0u8; PAGE];
        assert!(is_sound(&page, 0), "an unused page has no checksum");
        page[100] = 7;
        let sum = checksum(&page, 3).to_le_bytes();
        page[8..10].copy_from_slice(&sum);
        assert!(is_sound(&page, 3));
        assert!(!is_sound(&page, 4), "the block number is part of it");
        page[8000] ^= 1;
        assert!(!is_sound(&page, 3));
    }
}
