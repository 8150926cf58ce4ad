//! Who is to be told of what, and when: a state machine without clock or IO.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::conditions::{Facts, Key};
use crate::config::notify::Notify;
use crate::keeper::MonoTime;

/// What holds, since when, and who was told.
#[derive(Debug, Default)]
pub(super) struct Machine {
    holding: BTreeMap<Key, Holding>,
    rules: Vec<Rule>,
}

/// A condition that holds.
#[derive(Debug)]
struct Holding {
    since: MonoTime,
    wall: SystemTime,
    facts: Facts,
}

/// A `[[notify]]`, and what was told by it and is not over.
#[derive(Debug)]
struct Rule {
    notify: Arc<Notify>,
    told: BTreeSet<Key>,
}

/// Somebody is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Due {
    /// By what.
    pub(super) notify: Arc<Notify>,
    /// Of what.
    pub(super) key: Key,
    /// That it began, or that it is over.
    pub(super) state: State,
    /// When it began.
    pub(super) since: SystemTime,
    /// How long it has held, or held.
    pub(super) held: Duration,
    /// What there is to say of it; once it is over, what there was last.
    pub(super) facts: Facts,
}

/// What is told of a condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Begin,
    End,
}

impl State {
    /// As it is written.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
        }
    }
}

impl Machine {
    /// What is to be told now that this holds and nothing else. A rule that stays in the config remembers what it told;
    /// one that is new tells of what has held long enough already.
    pub(super) fn step(
        &mut self,
        notify: &[Notify],
        now: MonoTime,
        wall: SystemTime,
        facts: BTreeMap<Key, Facts>,
    ) -> Vec<Due> {
        self.follow(notify);
        let mut due = Vec::new();
        let rules = &mut self.rules;
        self.holding.retain(|key, holding| {
            let holds = facts.contains_key(key);
            if !holds {
                let over = rules.iter_mut().filter_map(|rule| {
                    rule.told.remove(key).then(|| holding.due(key, &rule.notify, State::End, now))
                });
                due.extend(over);
            }
            holds
        });
        for (key, facts) in facts {
            let new = || Holding { since: now, wall, facts: Facts::default() };
            self.holding.entry(key).or_insert_with(new).facts = facts;
        }
        for rule in rules {
            let (notify, told) = (&rule.notify, &mut rule.told);
            let long = |holding: &Holding| now.since(holding.since) >= notify.hold;
            for (key, holding) in self.holding.iter().filter(|(key, _)| notify.on.contains(&key.0)) {
                if long(holding) && told.insert(key.clone()) {
                    due.push(holding.due(key, notify, State::Begin, now));
                }
            }
        }
        due
    }

    /// Takes the rules of a config.
    fn follow(&mut self, notify: &[Notify]) {
        if self.rules.iter().map(|rule| &*rule.notify).eq(notify) {
            return;
        }
        let mut before = std::mem::take(&mut self.rules);
        self.rules = notify
            .iter()
            .map(|notify| match before.iter().position(|rule| *rule.notify == *notify) {
                Some(same) => before.swap_remove(same),
                None => Rule { notify: Arc::new(notify.clone()), told: BTreeSet::new() },
            })
            .collect();
    }
}

impl Holding {
    fn due(&self, key: &Key, notify: &Arc<Notify>, state: State, now: MonoTime) -> Due {
        Due {
            notify: Arc::clone(notify),
            key: key.clone(),
            state,
            since: self.wall,
            held: now.since(self.since),
            facts: self.facts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::notify::Condition;

    /// Seconds pass one by one; what holds is what a test says.
    struct Bench {
        machine: Machine,
        notify: Vec<Notify>,
        second: u64,
        told: Vec<String>,
    }

    fn rule(name: &str, on: &[Condition], hold: u64) -> Notify {
        let on = on.iter().copied().collect();
        Notify { on, hold: Duration::from_secs(hold), command: vec![name.into()] }
    }

    impl Bench {
        fn new(notify: impl Into<Vec<Notify>>) -> Self {
            Self { machine: Machine::default(), notify: notify.into(), second: 0, told: Vec::new() }
        }

        /// So many seconds with these conditions; returns what is told: `second rule event app state held`.
        fn pass(&mut self, seconds: u64, holds: &[(Condition, &str)]) -> Vec<String> {
            for _ in 0..seconds {
                self.second += 1;
                let app = |app: &str| (!app.is_empty()).then(|| Arc::from(app));
                let facts = holds.iter().map(|(what, name)| {
                    let count = Some(u32::try_from(self.second).unwrap());
                    ((*what, app(name)), Facts { count, ..Facts::default() })
                });
                let span = Duration::from_secs(self.second);
                let (now, wall) = (MonoTime::ZERO + span, SystemTime::UNIX_EPOCH + span);
                for due in self.machine.step(&self.notify, now, wall, facts.collect()) {
                    let began = due.since.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                    assert!(due.state == State::End || began + due.held == span);
                    self.told.push(format!(
                        "{} {} {} {} {} {}",
                        self.second,
                        due.notify.command[0],
                        due.key.0.word(),
                        due.key.1.as_deref().unwrap_or("-"),
                        due.state.word(),
                        due.held.as_secs()
                    ));
                }
            }
            std::mem::take(&mut self.told)
        }
    }

    use Condition::{AppDown, Lapsed, Parked, ReloadRefused};

    #[test]
    fn what_has_held_for_long_enough_is_told_once_and_once_more_when_it_is_over() {
        let mut bench = Bench::new([rule("page", &[Lapsed, AppDown], 300)]);
        assert!(bench.pass(100, &[]).is_empty());
        assert!(bench.pass(300, &[(AppDown, "contoso")]).is_empty());
        assert_eq!(bench.pass(900, &[(AppDown, "contoso")]), ["401 page app_down contoso begin 300"]);
        assert_eq!(bench.pass(900, &[]), ["1301 page app_down contoso end 1200"]);
    }

    #[test]
    fn what_is_over_sooner_is_nobodys_business() {
        let mut bench = Bench::new([rule("page", &[Lapsed], 300)]);
        for _ in 0..5 {
            assert!(bench.pass(300, &[(Lapsed, "contoso")]).is_empty());
            assert!(bench.pass(1, &[]).is_empty(), "it begins to count anew");
        }
    }

    #[test]
    fn without_a_time_it_is_told_at_once_and_each_app_by_itself() {
        let mut bench = Bench::new([rule("tell", &[Parked, ReloadRefused], 0)]);
        let told = bench.pass(10, &[(Parked, "contoso"), (ReloadRefused, ""), (Lapsed, "contoso")]);
        assert_eq!(told, ["1 tell parked contoso begin 0", "1 tell reload_refused - begin 0"]);
        let told = bench.pass(10, &[(Parked, "fabrikam"), (ReloadRefused, "")]);
        assert_eq!(told, ["11 tell parked contoso end 10", "11 tell parked fabrikam begin 0"]);
    }

    #[test]
    fn each_rule_counts_for_itself() {
        let mut bench = Bench::new([rule("chat", &[Lapsed], 0), rule("page", &[Lapsed], 60)]);
        let told = bench.pass(100, &[(Lapsed, "contoso")]);
        assert_eq!(told, ["1 chat lapsed contoso begin 0", "61 page lapsed contoso begin 60"]);
        let told = bench.pass(1, &[]);
        assert_eq!(told, ["101 chat lapsed contoso end 100", "101 page lapsed contoso end 100"]);
    }

    #[test]
    fn a_reload_tells_nothing_twice_and_a_new_rule_of_what_has_held_already() {
        let mut bench = Bench::new([rule("chat", &[Lapsed], 0)]);
        let lapsed = [(Lapsed, "contoso")];
        assert_eq!(bench.pass(100, &lapsed).len(), 1);
        bench.notify.insert(0, rule("page", &[Lapsed], 60));
        bench.notify.push(rule("later", &[Lapsed], 300));
        assert_eq!(bench.pass(100, &lapsed), ["101 page lapsed contoso begin 100"]);
        // A rule that is gone says nothing more.
        bench.notify.remove(1);
        assert_eq!(bench.pass(1, &[]), ["201 page lapsed contoso end 200"]);
    }

    #[test]
    fn the_end_tells_what_there_was_last() {
        let notify = [rule("chat", &[Lapsed], 0)];
        let mut machine = Machine::default();
        let facts = |count| {
            let facts = Facts { count: Some(count), ..Facts::default() };
            BTreeMap::from([((Lapsed, None), facts)])
        };
        let mut step = |second, facts| {
            let told = machine.step(&notify, MonoTime::from_secs(second), SystemTime::UNIX_EPOCH, facts);
            told.iter().map(|due| (due.state, due.facts.count)).collect::<Vec<_>>()
        };
        assert_eq!(step(1, facts(3)), [(State::Begin, Some(3))]);
        assert_eq!(step(2, facts(7)), []);
        assert_eq!(step(3, BTreeMap::new()), [(State::End, Some(7))]);
    }
}
