use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn lane() -> LaneKey {
    LaneKey { graph: "g".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(2) }
}

fn group() -> GroupKey {
    (lane(), Guid::from_u128(7))
}

fn members(range: Range<u128>) -> Vec<Member> {
    // In no order, and the first twice: a user may be in several groups within the group.
    let all = range.clone().rev().chain(range.take(1));
    all.map(|n| Member { id: Guid::from_u128(n), name: None }).collect()
}

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

/// A book that knows a group with these members.
fn knowing(range: Range<u128>) -> Book {
    let mut book = Book::default();
    let added = usize::try_from(range.end - range.start).unwrap();
    let change = book.learn(Learned::Members(group(), members(range)), at(1), 20);
    assert_eq!(change, Change::Members { added, removed: 0 });
    book
}

fn read(book: &mut Book, range: Range<u128>, max_removed: u8) -> Change {
    book.learn(Learned::Members(group(), members(range)), at(2), max_removed)
}

#[test]
fn members_come_and_go_and_many_at_once_wait() {
    let cases = [
        (0..40, 0..40, 20, Change::None),
        (0..40, 5..45, 20, Change::Members { added: 5, removed: 5 }),
        (0..40, 10..40, 20, Change::Members { added: 0, removed: 10 }),
        (0..40, 11..40, 20, Change::Held { removed: 11, of: 40, known: false }),
        (0..400, 50..400, 20, Change::Members { added: 0, removed: 50 }),
        (0..3, 0..0, 20, Change::Held { removed: 3, of: 3, known: false }),
        (0..3, 5..8, 20, Change::Held { removed: 3, of: 3, known: false }),
        (0..3, 0..0, 100, Change::Members { added: 0, removed: 3 }),
        (0..0, 0..3, 20, Change::Members { added: 3, removed: 0 }),
    ];
    assert_eq!(cases.len(), 9);
    for (before, after, max_removed, expected) in cases {
        let mut book = knowing(before.clone());
        assert_eq!(read(&mut book, after.clone(), max_removed), expected, "{before:?} -> {after:?}");
        let held = matches!(expected, Change::Held { .. });
        let stands = if held { before } else { after };
        assert_eq!(book.groups[&group()].all.len() as u128, stands.end - stands.start);
        assert_eq!(book.groups[&group()].read, at(2));
        assert_eq!(book.held() > 0, held);
    }
}

#[test]
fn what_waits_is_told_once_and_is_over_when_it_is_accepted_or_the_list_is_whole_again() {
    let mut book = knowing(0..40);
    assert_eq!(read(&mut book, 0..20, 20), Change::Held { removed: 20, of: 40, known: false });
    assert_eq!(read(&mut book, 0..20, 20), Change::Held { removed: 20, of: 40, known: true });
    assert_eq!(read(&mut book, 0..10, 20), Change::Held { removed: 30, of: 40, known: false });
    let mut accepted = book.clone();
    assert_eq!(accepted.accept(), [(group(), Change::Members { added: 0, removed: 30 })]);
    assert_eq!((accepted.known().groups[&group()].len(), accepted.held()), (10, 0));
    assert_eq!(accepted.accept(), []);
    assert_eq!(read(&mut book, 0..40, 20), Change::None);
    assert_eq!(book.held(), 0);
}

#[test]
fn a_name_keeps_its_owner_until_it_is_somebody_elses() {
    let name: NameKey = (lane(), "anna@contoso.com".into());
    let (anna, other) = (Guid::from_u128(1), Guid::from_u128(2));
    let mut book = Book::default();
    let mut look = |user| book.learn(Learned::Owner(name.clone(), user), at(1), 20);
    assert_eq!(look(None), Change::Nobody { was: None });
    assert_eq!(look(None), Change::None);
    assert_eq!(look(Some(anna)), Change::Owner { was: None, is: anna });
    assert_eq!(look(Some(anna)), Change::None);
    assert_eq!(look(None), Change::Nobody { was: Some(anna) }, "renamed, or gone");
    assert_eq!(look(None), Change::None);
    assert_eq!((book.known().users[&name], book.nobodys()), (Some(anna), 1));
    let change = book.learn(Learned::Owner(name.clone(), Some(other)), at(2), 20);
    assert_eq!(change, Change::Owner { was: Some(anna), is: other });
    book.retain(&Asks::default());
    assert_eq!(book, Book::default());
}
