//! What is kept of overrides, and what is known of them after a restart.

use super::super::{Put, Release, Rule, Source, Whom};
use super::*;
use crate::keeper::PresenceState;
use crate::keeper::id::{Guid, LaneKey};
use std::time::Duration;

const NOW: MonoTime = MonoTime::from_secs(1_000);

fn at(secs: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_000 + secs)
}

fn whom(user: u128) -> Whom {
    let lane = LaneKey { graph: "g".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(2) };
    Whom { lane, user: Guid::from_u128(user) }
}

fn put(secs: u64) -> Put {
    Put {
        state: Some(PresenceState::InACall),
        ends_at: NOW + Duration::from_secs(secs),
        ends_wall: at(secs),
        priority: 3,
        by: "token pbx".into(),
        reason: Some("a call".into()),
        since: at(0),
    }
}

fn line(overrides: &mut Overrides, user: u128, source: &str, secs: u64) -> Line {
    let source = Source::named(source).unwrap();
    overrides.put(whom(user), source.clone(), put(secs)).unwrap();
    let (_, over) = overrides.of(&whom(user)).find(|(known, _)| **known == source).unwrap();
    Line::put(&whom(user), &source, over)
}

fn write(state: &Path, lines: impl IntoIterator<Item = Line>) {
    let (scribe, writer) = Scribe::new(state, at(0));
    for line in lines {
        scribe.write(Job { line: Some(line), ..Job::default() });
    }
    drop(scribe);
    writer.run();
}

#[test]
fn what_is_written_is_in_force_after_a_restart_until_its_end() {
    let state = tempfile::tempdir().unwrap();
    let mut all = Overrides::default();
    let lines = [line(&mut all, 1, "a", 60), line(&mut all, 2, "operator", 600)];
    write(state.path(), lines);
    let (found, damaged) = load(state.path(), at(30), NOW).unwrap();
    assert_eq!((found.len(), damaged), (2, 0));
    assert_eq!(found.next_end(), NOW + Duration::from_secs(30), "half a minute is over");
    let Some(Rule::Override(source, over)) = found.rule(&whom(2)) else { panic!("nothing holds") };
    assert_eq!((source, over.priority, over.reason.as_deref()), (&Source::Operator, 3, Some("a call")));
    assert_eq!(load(state.path(), at(60), NOW).unwrap().0.len(), 1);
    assert_eq!(load(state.path(), at(700), NOW).unwrap().0.len(), 0);
}

#[test]
fn what_is_over_or_taken_back_is_not_in_force_again() {
    let state = tempfile::tempdir().unwrap();
    let mut all = Overrides::default();
    let release = Release { by: "uid 0".into(), reason: None, since: at(0) };
    write(
        state.path(),
        [
            line(&mut all, 1, "a", 60),
            line(&mut all, 1, "b", 60),
            Line::ended(&whom(1), &Source::named("a").unwrap()),
            Line::released(Some(&whom(2)), &release),
            Line::released(Some(&whom(3)), &release),
            Line::released(None, &release),
            Line::resumed(Some(&whom(2)), at(1)),
        ],
    );
    let (found, _) = load(state.path(), at(1), NOW).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found.all_released().is_some());
    assert_eq!(found.released().map(|(whom, _)| whom.clone()).collect::<Vec<_>>(), [whom(3)]);
    write(state.path(), [Line::resumed(None, at(2))]);
    let (found, _) = load(state.path(), at(2), NOW).unwrap();
    assert!(found.all_released().is_none() && found.released().next().is_none());
    assert_eq!(found.len(), 1, "overrides stay");
}

#[test]
fn half_a_line_and_what_is_no_line_cost_nothing_else() {
    let state = tempfile::tempdir().unwrap();
    let mut all = Overrides::default();
    write(state.path(), [line(&mut all, 1, "a", 60)]);
    let path = state.path().join(FILE);
    let good = std::fs::read_to_string(&path).unwrap();
    let text = format!("no line\n{good}\u{0}\u{1}\n{}", &good[..good.len() / 2]);
    std::fs::write(&path, text).unwrap();
    let (found, damaged) = load(state.path(), at(1), NOW).unwrap();
    assert_eq!((found.len(), damaged), (1, 3));
    write(state.path(), [line(&mut all, 2, "b", 60)]);
    let (found, damaged) = load(state.path(), at(1), NOW).unwrap();
    assert_eq!((found.len(), damaged), (2, 0), "written anew");
}

#[test]
fn the_file_does_not_grow_with_calls_that_are_over() {
    let state = tempfile::tempdir().unwrap();
    let mut all = Overrides::default();
    let mut lines = Vec::new();
    for n in 0..2_000 {
        lines.push(line(&mut all, n, "a", 60));
        lines.push(Line::ended(&whom(n), &Source::named("a").unwrap()));
        all.remove(&whom(n), &Source::named("a").unwrap());
    }
    write(state.path(), lines);
    let lines = std::fs::read_to_string(state.path().join(FILE)).unwrap().lines().count();
    assert!(lines <= IDLE_LINES + 2, "{lines}");
    assert_eq!(load(state.path(), at(1), NOW).unwrap().0.len(), 0);
}

#[test]
fn what_ended_while_nothing_ran_is_not_kept_on() {
    let state = tempfile::tempdir().unwrap();
    let mut all = Overrides::default();
    write(state.path(), [line(&mut all, 1, "a", 60), line(&mut all, 2, "b", 600)]);
    let (scribe, writer) = Scribe::new(state.path(), at(100));
    drop(scribe);
    writer.run();
    let text = std::fs::read_to_string(state.path().join(FILE)).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("\"source\":\"b\""), "{text}");
}

#[test]
fn what_could_not_be_written_is_tried_again_and_what_was_lost_is_told_anew() {
    let state = tempfile::tempdir().unwrap();
    let obstacle = state.path().join("overrides.jsonl.next");
    std::fs::create_dir(&obstacle).unwrap();
    let mut all = Overrides::default();
    let (scribe, mut writer) = Scribe::new(state.path(), at(0));
    writer.take(Job { line: Some(line(&mut all, 1, "a", 60)), ..Job::default() });
    std::fs::remove_dir(&obstacle).unwrap();
    writer.take(Job::default());
    assert_eq!(load(state.path(), at(1), NOW).unwrap().0.len(), 1);
    for n in 0..=JOBS {
        scribe.write(Job { line: Some(line(&mut all, 2 + n as u128, "a", 60)), ..Job::default() });
    }
    assert!(scribe.has_lost());
    let first = writer.inbox.try_recv().unwrap();
    writer.take(first);
    scribe.write(Job { whole: Some(all.lines()), ..Job::default() });
    assert!(!scribe.has_lost());
    drop(scribe);
    writer.run();
    assert_eq!(load(state.path(), at(1), NOW).unwrap().0.len(), all.len());
}

#[test]
fn nobody_is_told_that_something_is_kept_that_is_not() {
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("overrides.jsonl.next")).unwrap();
    let mut all = Overrides::default();
    let (scribe, writer) = Scribe::new(state.path(), at(0));
    let (done, mut answer) = oneshot::channel();
    scribe.write(Job { line: Some(line(&mut all, 1, "a", 60)), done: Some(done), ..Job::default() });
    drop(scribe);
    writer.run();
    assert_eq!(answer.try_recv(), Ok(false));
}
