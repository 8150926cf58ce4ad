use super::header::tests::lane;
use super::record::tests::any_stored;
use super::*;
use crate::keeper::id::{Guid, LaneIx, SessionIx};
use crate::keeper::{Expiration, PresenceState};
use proptest::prelude::*;

const NOW: MonoTime = MonoTime::from_secs(1_000_000);

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

fn at(slot: u32) -> SessionIx {
    SessionIx { lane: LaneIx(3), slot: Slot(slot) }
}

fn held(user: u128, written_ms: u64, ago_ms: u64) -> Stored {
    let wish = Wish { state: PresenceState::Available, expiration: Expiration::MAX };
    let sent = wall_ms(wall()) - ago_ms;
    Stored { user: Guid::from_u128(user), written_ms, wish, lease: Some((wish, sent)) }
}

/// Writes as the daemon does, through queue and thread.
fn write(leases: &Path, records: &[(u32, Option<Stored>)]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut queue, writer) = Queue::new(leases.to_owned());
    let (key, head) = lane(1);
    queue.push(Write::Open { lane: LaneIx(3), key, head });
    for &(slot, stored) in records {
        queue.push(Write::Record { session: at(slot), stored });
    }
    let thread = std::thread::spawn(|| writer.run());
    runtime.block_on(queue.close());
    thread.join().unwrap();
}

fn users(found: &Found) -> Vec<(u32, UserId)> {
    found.lanes.iter().flat_map(|lane| &lane.sessions).map(|(slot, user, _)| (slot.0, *user)).collect()
}

#[test]
fn what_was_written_is_found_in_its_slot_with_its_lease_as_old_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[(0, Some(held(7, 1, 1_500))), (4, Some(held(8, 1, 0))), (5, Some(held(9, 1, 0)))]);
    write(dir.path(), &[(5, None)]);

    let found = load(dir.path(), wall(), NOW).unwrap();

    assert!(found.damage.is_empty(), "{:?}", found.damage);
    assert_eq!(users(&found), [(0, Guid::from_u128(7)), (4, Guid::from_u128(8))]);
    let (_, _, record) = found.lanes[0].sessions[0];
    assert_eq!(record.lease.unwrap().sent_at, NOW - Duration::from_millis(1_500));
    assert_eq!((found.lanes[0].key.clone(), found.lanes[0].head.clone()), lane(1));
}

#[test]
fn a_lease_goes_to_the_wall_clock_and_back() {
    let wish = Wish { state: PresenceState::Away, expiration: Expiration::MAX };
    let lease = Lease { granted: wish, sent_at: NOW - Duration::from_secs(77) };
    let record = Record { wish, lease: Some(lease) };

    let stored = store(Guid::from_u128(1), &record, wall(), NOW);
    let later = Duration::from_secs(60);
    // The next process's clock starts elsewhere; only the age of the lease counts.
    let restarted = MonoTime::from_secs(5_000);
    let back = restore(&stored, wall() + later, restarted);

    assert_eq!(back.lease.unwrap().sent_at, restarted - Duration::from_secs(77 + 60));
}

#[test]
fn a_lease_from_the_future_is_unknown() {
    let stored = Stored { lease: Some((held(1, 1, 0).wish, wall_ms(wall()) + 1)), ..held(1, 1, 0) };
    assert_eq!(restore(&stored, wall(), NOW).lease, None);
    assert_eq!(restore(&stored, wall(), NOW).wish, stored.wish);
}

#[test]
fn of_two_records_of_a_user_the_newer_is_kept_and_the_other_freed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[(0, Some(held(7, 10, 0))), (1, Some(held(7, 30, 0))), (2, Some(held(7, 20, 0)))]);

    let found = load(dir.path(), wall(), NOW).unwrap();
    assert_eq!(users(&found), [(1, Guid::from_u128(7))]);
    assert!(matches!(found.damage[..], [Damage { what: Harm::Doubles(2), .. }]));

    let again = load(dir.path(), wall(), NOW).unwrap();
    assert!(again.damage.is_empty(), "the others are gone from the disk");
}

#[test]
fn damage_is_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[(0, Some(held(7, 1, 0))), (1, Some(held(8, 1, 0)))]);
    let path = file_of(dir.path(), &lane(1).0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[header::SIZE] ^= 1;
    bytes.extend_from_slice(b"torn");
    std::fs::write(&path, &bytes).unwrap();

    let found = load(dir.path(), wall(), NOW).unwrap();
    assert!(matches!(found.damage[..], [Damage { what: Harm::Records(2), .. }]), "{:?}", found.damage);
    let again = load(dir.path(), wall(), NOW).unwrap();
    assert!(again.damage.is_empty(), "{:?}", again.damage);
    assert_eq!(users(&again), [(1, Guid::from_u128(8))]);
}

#[test]
fn a_damaged_lease_is_told_of_and_its_session_is_known() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[(0, Some(held(7, 1, 0))), (1, Some(held(8, 1, 0)))]);
    let path = file_of(dir.path(), &lane(1).0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[header::SIZE + 33] ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    let found = load(dir.path(), wall(), NOW).unwrap();
    assert!(matches!(found.damage[..], [Damage { what: Harm::Leases(1), .. }]), "{:?}", found.damage);
    assert_eq!(users(&found), [(0, Guid::from_u128(7)), (1, Guid::from_u128(8))]);
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_records_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<_> = (0..3).map(|slot| (slot, Some(held(u128::from(slot) + 1, 1, 0)))).collect();
    write(dir.path(), &records);
    let path = file_of(dir.path(), &lane(1).0);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len(), header::SIZE + 3 * record::SIZE);

    for cut in (0..whole.len()).rev() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let found = load(dir.path(), wall(), NOW).unwrap();
        let records = cut.saturating_sub(header::SIZE) / record::SIZE;
        assert_eq!(users(&found).len(), records, "cut at {cut}");
        let whole_records = cut >= header::SIZE && (cut - header::SIZE).is_multiple_of(record::SIZE);
        assert_eq!(found.damage.is_empty(), whole_records, "cut at {cut}");
    }
}

#[test]
fn a_file_with_a_damaged_header_is_set_aside_and_its_lane_is_new() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[(0, Some(held(7, 1, 0)))]);
    let path = file_of(dir.path(), &lane(1).0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    let found = load(dir.path(), wall(), NOW).unwrap();
    assert!(found.lanes.is_empty());
    assert!(matches!(found.damage[..], [Damage { what: Harm::Header, .. }]));

    write(dir.path(), &[(0, Some(held(8, 1, 0)))]);
    assert_eq!(users(&load(dir.path(), wall(), NOW).unwrap()), [(0, Guid::from_u128(8))]);
    assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), bytes, "kept for a look");
}

#[test]
fn a_file_under_the_name_of_another_lane_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[(0, Some(held(7, 1, 0)))]);
    std::fs::rename(file_of(dir.path(), &lane(1).0), file_of(dir.path(), &lane(2).0)).unwrap();

    let found = load(dir.path(), wall(), NOW).unwrap();
    assert!(found.lanes.is_empty());
    assert!(matches!(found.damage[..], [Damage { what: Harm::Header, .. }]));
}

#[test]
fn the_file_of_a_closed_lane_is_gone_and_nobody_else_may_read_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[(0, Some(held(7, 1, 0)))]);
    let path = file_of(dir.path(), &lane(1).0);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let (mut queue, writer) = Queue::new(dir.path().to_owned());
    let (key, head) = lane(1);
    queue.push(Write::Open { lane: LaneIx(3), key, head });
    queue.push(Write::Close { lane: LaneIx(3) });
    queue.flush();
    drop(queue);
    writer.run();

    assert!(!path.exists());
}

proptest! {
    #[test]
    fn bytes_changed_at_random_never_invent_a_session_or_a_lease(
        records in prop::collection::vec(any_stored(), 1..20),
        damage in prop::collection::vec((0_usize..20 * record::SIZE, any::<u8>()), 0..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let slots: Vec<_> = (0..).zip(&records).map(|(slot, stored)| (slot, Some(*stored))).collect();
        write(dir.path(), &slots);
        let path = file_of(dir.path(), &lane(1).0);
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(header::SIZE + at) {
                *place = byte;
            }
        }
        std::fs::write(&path, &bytes).unwrap();

        let found = load(dir.path(), wall(), NOW).unwrap();

        for (slot, user, record) in found.lanes.iter().flat_map(|lane| &lane.sessions) {
            let written = &records[slot.0 as usize];
            prop_assert_eq!(*user, written.user);
            prop_assert_eq!(record.wish, written.wish);
            if record.lease.is_some() {
                prop_assert_eq!(record.lease, restore(written, wall(), NOW).lease);
            }
        }
    }
}
