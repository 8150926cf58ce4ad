//! The first page of a lane's file: what it is, and whose.
//!
//! Magic, format version, length of the text, checksum of everything else in the page, then the text: one line each
//! for Graph's root, tenant, client id, requests, window in milliseconds and the app's name.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::keeper::id::LaneKey;
use crate::keeper::{LaneHead, Quota};

/// Bytes before the first record: one page, so that records keep to theirs.
pub(super) const SIZE: usize = 4096;

const MAGIC: &[u8; 8] = b"prsncdL\n";
/// Of the whole file; another one is not read.
const VERSION: u32 = 1;
const TEXT: usize = 20;

/// The header page, or `None` when the lane's names are too long for it.
pub(super) fn encode(key: &LaneKey, head: &LaneHead) -> Option<Box<[u8; SIZE]>> {
    let text = format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        key.graph,
        key.tenant,
        key.client,
        head.quota.requests,
        head.quota.per.as_millis(),
        head.name
    );
    let mut page = Box::new([0; SIZE]);
    page[..8].copy_from_slice(MAGIC);
    page[8..12].copy_from_slice(&VERSION.to_le_bytes());
    page[12..16].copy_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    page.get_mut(TEXT..TEXT + text.len())?.copy_from_slice(text.as_bytes());
    let sum = checksum(&page[..]);
    page[16..20].copy_from_slice(&sum);
    Some(page)
}

/// Reads a header page; `None` when it is cut, damaged or of another version.
pub(super) fn decode(page: &[u8]) -> Option<(LaneKey, LaneHead)> {
    let page = page.get(..SIZE)?;
    if page[..8] != MAGIC[..] || page[8..12] != VERSION.to_le_bytes() || page[16..20] != checksum(page) {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(page[12..16].try_into().ok()?)).ok()?;
    let text = std::str::from_utf8(page.get(TEXT..TEXT.checked_add(length)?)?).ok()?;
    let mut lines = text.splitn(6, '\n');
    let key = LaneKey {
        graph: lines.next()?.into(),
        tenant: lines.next()?.parse().ok()?,
        client: lines.next()?.parse().ok()?,
    };
    let requests = lines.next()?.parse().ok().filter(|&requests| requests > 0)?;
    let per = lines.next()?.parse().ok().filter(|&ms| ms > 0).map(Duration::from_millis)?;
    Some((key, LaneHead { quota: Quota { requests, per }, name: lines.next()?.into() }))
}

/// The file of a lane: the beginning of a hash of its key.
pub(super) fn file_name(key: &LaneKey) -> String {
    let digest = Sha256::digest(format!("{}\n{}\n{}", key.graph, key.tenant, key.client));
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{short}.ledger")
}

fn checksum(page: &[u8]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&page[..16]);
    sum.update(&page[TEXT..]);
    sum.finalize().to_le_bytes()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::keeper::id::Guid;

    pub(in crate::daemon::ledger) fn lane(client: u128) -> (LaneKey, LaneHead) {
        let key = LaneKey {
            graph: "https://graph.test".into(),
            tenant: Guid::from_u128(1),
            client: Guid::from_u128(client),
        };
        (key, LaneHead { name: format!("app{client}").into(), quota: Quota::PRESENCE })
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let (key, head) = lane(7);
        let page = encode(&key, &head).unwrap();
        assert_eq!(decode(&page[..]), Some((key, head)));
    }

    #[test]
    fn a_header_with_any_byte_changed_or_cut_is_refused() {
        let (key, head) = lane(7);
        let page = encode(&key, &head).unwrap();
        for at in 0..SIZE {
            let mut damaged = page.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged[..]), None, "byte {at}");
            assert_eq!(decode(&page[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let (key, _) = lane(7);
        let head = LaneHead { name: "x".repeat(SIZE).into(), quota: Quota::PRESENCE };
        assert_eq!(encode(&key, &head), None);
    }

    #[test]
    fn each_lane_has_its_own_file() {
        assert_ne!(file_name(&lane(1).0), file_name(&lane(2).0));
        assert_eq!(file_name(&lane(1).0).len(), 16 + 7);
    }
}
