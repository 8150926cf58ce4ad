//! One session on disk: 64 bytes, so that no record lies across two pages.
//!
//! ```text
//!  0  user id            16   ┐
//! 16  written, wall ms    8   │ who and what: checksum at 28
//! 24  kind, state, minutes 3  │ (kind: 1 lease unknown, 2 lease known)
//! 28  crc32 of 0..28      4   ┘
//! 32  sent, wall ms       8   ┐
//! 40  state, minutes      2   │ the lease: checksum at 60, over everything before it
//! 60  crc32 of 0..60      4   ┘
//! ```
//!
//! Whole numbers are little-endian, what is not named is zero, and 64 zeroes are a free slot. Two checksums, so that
//! damage to the lease alone leaves known who owns the session: its lease is unknown then, never guessed.

use crate::keeper::id::UserId;
use crate::keeper::{Expiration, PresenceState, Wish};

/// Bytes of one record.
pub(super) const SIZE: usize = 64;

const UNKNOWN: u8 = 1;
const KNOWN: u8 = 2;

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slotted {
    /// Nothing.
    Free,
    /// A session.
    Session(Stored),
    /// Bytes of which not even the owner can be trusted.
    Damaged,
}

/// A session as it is written: times are wall milliseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Whose.
    pub user: UserId,
    /// When it was written.
    pub written_ms: u64,
    /// What was wanted.
    pub wish: Wish,
    /// State and expiration as granted last, and when that was sent.
    pub lease: Option<(Wish, u64)>,
}

impl Stored {
    /// Its bytes.
    pub(super) fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..16].copy_from_slice(self.user.as_bytes());
        bytes[16..24].copy_from_slice(&self.written_ms.to_le_bytes());
        bytes[24] = if self.lease.is_some() { KNOWN } else { UNKNOWN };
        bytes[25] = self.wish.state as u8;
        bytes[26] = self.wish.expiration.minutes();
        seal(&mut bytes, 28);
        if let Some((granted, sent_ms)) = self.lease {
            bytes[32..40].copy_from_slice(&sent_ms.to_le_bytes());
            bytes[40] = granted.state as u8;
            bytes[41] = granted.expiration.minutes();
        }
        seal(&mut bytes, 60);
        bytes
    }
}

/// Reads a slot. A lease whose bytes are damaged or impossible is unknown.
pub(super) fn decode(bytes: &[u8; SIZE]) -> Slotted {
    if bytes.iter().all(|&byte| byte == 0) {
        return Slotted::Free;
    }
    let Some(wish) = wish(bytes[25], bytes[26]) else { return Slotted::Damaged };
    if !sealed(bytes, 28) || !matches!(bytes[24], KNOWN | UNKNOWN) {
        return Slotted::Damaged;
    }
    let lease = (bytes[24] == KNOWN && sealed(bytes, 60))
        .then(|| Some((self::wish(bytes[40], bytes[41])?, number(bytes, 32))))
        .flatten();
    let user = UserId::from_bytes(std::array::from_fn(|at| bytes[at]));
    Slotted::Session(Stored { user, written_ms: number(bytes, 16), wish, lease })
}

/// Whether there was a lease in these bytes that cannot be trusted, although its session can.
pub(super) fn lost_its_lease(bytes: &[u8; SIZE], slotted: &Slotted) -> bool {
    bytes[24] == KNOWN && matches!(slotted, Slotted::Session(Stored { lease: None, .. }))
}

fn wish(state: u8, minutes: u8) -> Option<Wish> {
    let state = *PresenceState::ALL.get(usize::from(state))?;
    Some(Wish { state, expiration: Expiration::from_minutes(u64::from(minutes))? })
}

fn seal(bytes: &mut [u8; SIZE], at: usize) {
    let sum = crc32fast::hash(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

fn sealed(bytes: &[u8; SIZE], at: usize) -> bool {
    crc32fast::hash(&bytes[..at]).to_le_bytes() == bytes[at..at + 4]
}

fn number(bytes: &[u8; SIZE], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_wish() -> impl Strategy<Value = Wish> {
        (0_usize..5, 5_u64..=240).prop_map(|(state, minutes)| Wish {
            state: PresenceState::ALL[state],
            expiration: Expiration::from_minutes(minutes).unwrap(),
        })
    }

    pub(in crate::daemon::ledger) fn any_stored() -> impl Strategy<Value = Stored> {
        let times = 1_700_000_000_000_u64..1_900_000_000_000;
        (1_u128..50, times.clone(), any_wish(), prop::option::of((any_wish(), times))).prop_map(
            |(user, written_ms, wish, lease)| Stored {
                user: UserId::from_u128(user),
                written_ms,
                wish,
                lease,
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(stored in any_stored()) {
            prop_assert_eq!(decode(&stored.encode()), Slotted::Session(stored));
        }

        #[test]
        fn a_flipped_bit_never_makes_another_user_or_another_lease(stored in any_stored(), bit in 0_usize..SIZE * 8) {
            let mut bytes = stored.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let without_lease = Stored { lease: None, ..stored };
            match decode(&bytes) {
                Slotted::Damaged => prop_assert!(bit / 8 < 32, "the lease's bytes leave the owner known"),
                Slotted::Session(read) => prop_assert_eq!(read, without_lease),
                Slotted::Free => prop_assert!(false, "a record became a free slot"),
            }
        }

        #[test]
        fn noise_is_no_record(bytes in prop::array::uniform32(any::<u8>())) {
            let mut noise = [0; SIZE];
            noise[..32].copy_from_slice(&bytes);
            noise[32..].copy_from_slice(&bytes);
            prop_assert!(matches!(decode(&noise), Slotted::Damaged | Slotted::Free));
        }
    }

    #[test]
    fn sixty_four_zeroes_are_a_free_slot() {
        assert_eq!(decode(&[0; SIZE]), Slotted::Free);
    }
}
