//! Which sessions a view of the page shows: a page of them, found without asking the driver for more than it can tell
//! between two renewals.
//!
//! The worst come first, the others in the order of the plan: by app, then by object id. What is searched for is
//! looked up in the config, on a thread of its own; how a session stands only the driver knows, and it is asked for a few
//! hundred at a time, for a few thousand at most.

use std::collections::HashSet;
use std::sync::Arc;

use super::ask::{Ask, Stands};
use super::strip::{self, Shown};
use crate::config::settings::LogUsers;
use crate::daemon::control::Desk;
use crate::daemon::control::people::Names;
use crate::daemon::control::problem::Problem;
use crate::daemon::driver::{Command, Looked};
use crate::daemon::figures::Figures;
use crate::daemon::logging::People;
use crate::daemon::overrides::Whom;
use crate::keeper::LaneSnapshot;
use crate::keeper::id::UserId;

/// Sessions on a page.
pub(super) const ROWS: usize = 25;
/// The worst sessions are looked at, so many.
const WORST: usize = 250;
/// The driver is asked for so many sessions at a time, and for no more in a view.
const CHUNK: usize = 250;
const LOOKED_AT: usize = 5_000;
/// So many that are searched for are listed.
const MATCHES: usize = 10_000;
/// So many overrides are listed.
const OVERRIDES: usize = 1_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// How the daemon stands at the look.
    pub(super) figures: Figures,
    pub(super) rows: Vec<Looked>,
    /// How many there are in all; `None`: not all were looked at.
    pub(super) of: Option<usize>,
    /// Where the next page begins; `None`: that was the last.
    pub(super) next: Option<usize>,
    /// Of how many sessions those that are asked for were sought.
    pub(super) among: usize,
    /// More are called so than are listed.
    pub(super) cut: bool,
}

/// Finds them.
pub(super) async fn find(desk: &Desk, names: &Arc<Names>, ask: &Ask) -> Result<Found, Problem> {
    let (figures, worst) = desk.ask(|to| Command::Worst { limit: WORST, app: ask.app.clone(), to }).await?;
    let (places, cut) = {
        let (names, ask) = (Arc::clone(names), ask.clone());
        let search = tokio::task::spawn_blocking(move || Places::of(&names, &ask));
        search.await.map_err(|_| Problem::bug())?
    };
    let among = places.len();
    let found = |rows, of, next| Found { figures: figures.clone(), rows, of, next, among, cut };
    let worst = |keep: &dyn Fn(&Looked) -> bool| -> Vec<(usize, Looked)> {
        let here = worst.iter().filter(|looked| keep(looked));
        here.filter_map(|looked| Some((places.position(names, &looked.whom)?, looked.clone()))).collect()
    };
    if ask.state == Stands::Any || ask.state == Stands::Unfunded {
        let mut first = worst(&|looked| ask.state == Stands::Any && is_wrong(strip::now(looked)));
        // A request that is under way moves nobody.
        first.sort_by_key(|(_, looked)| badness(strip::now(looked)));
        let (rows, next) = in_order(desk, names, &places, first, ask.from).await?;
        return Ok(found(rows, Some(among), next));
    }
    if ask.state == Stands::Overridden {
        let page = desk.ask(|to| Command::Overrides { limit: OVERRIDES, to }).await?;
        let held = page.overrides.iter().filter(|(.., holds)| *holds);
        let mut whom: Vec<Whom> = held.map(|(whom, ..)| whom.clone()).collect();
        whom.retain(|whom| places.position(names, whom).is_some());
        let (of, next) = (whom.len(), page_after(ask.from, whom.len()));
        let whom = whom.into_iter().skip(ask.from).take(ROWS).collect();
        let rows = desk.ask(|to| Command::Look { whom, to }).await?;
        return Ok(found(rows, (page.of <= OVERRIDES).then_some(of), next));
    }
    let all = worst(&|looked| fits(ask.state, strip::now(looked)));
    if expected(&figures, ask).is_some_and(|expected| all.len() >= expected) && all.len() < WORST {
        let (of, next) = (all.len(), page_after(ask.from, all.len()));
        let rows = all.into_iter().skip(ask.from).take(ROWS).map(|(_, looked)| looked).collect();
        return Ok(found(rows, Some(of), next));
    }
    let (rows, next) = scan(desk, names, &places, ask).await?;
    let whole = next.is_none() && ask.from == 0;
    let of = whole.then_some(rows.len());
    Ok(found(rows, of, next))
}

/// The page from `from` on: `first`, then all others in their order.
async fn in_order(
    desk: &Desk,
    names: &Names,
    places: &Places,
    first: Vec<(usize, Looked)>,
    from: usize,
) -> Result<(Vec<Looked>, Option<usize>), Problem> {
    let mut taken: Vec<usize> = first.iter().map(|(place, _)| *place).collect();
    taken.sort_unstable();
    let before = first.len();
    let mut rows: Vec<Looked> = first.into_iter().skip(from).take(ROWS).map(|(_, looked)| looked).collect();
    let others = from.saturating_sub(before)..(from + ROWS).saturating_sub(before);
    let whom = others.filter_map(|nth| places.get(names, other(nth, &taken))).collect();
    rows.extend(desk.ask(|to| Command::Look { whom, to }).await?);
    Ok((rows, page_after(from, places.len())))
}

/// The place of the `nth` that is not among the taken ones, which ascend.
fn other(nth: usize, taken: &[usize]) -> usize {
    taken.iter().fold(nth, |place, taken| if *taken <= place { place + 1 } else { place })
}

fn page_after(from: usize, of: usize) -> Option<usize> {
    Some(from + ROWS).filter(|next| *next < of)
}

/// Looks at one after the other until a page is full, or for long enough.
async fn scan(
    desk: &Desk,
    names: &Names,
    places: &Places,
    ask: &Ask,
) -> Result<(Vec<Looked>, Option<usize>), Problem> {
    let mut rows = Vec::new();
    let mut at = ask.from;
    while at < places.len() && at < ask.from + LOOKED_AT {
        let whom = (at..at + CHUNK).filter_map(|place| places.get(names, place)).collect();
        for looked in desk.ask(|to| Command::Look { whom, to }).await? {
            if rows.len() == ROWS {
                return Ok((rows, Some(at)));
            }
            at += 1;
            if fits(ask.state, strip::now(&looked)) {
                rows.push(looked);
            }
        }
    }
    Ok((rows, Some(at).filter(|at| *at < places.len())))
}

/// How many sessions stand as asked for, where figures tell.
fn expected(figures: &Figures, ask: &Ask) -> Option<usize> {
    let lanes = figures.snapshot.lanes.iter();
    let lanes = lanes.filter(|lane| ask.app.as_ref().is_none_or(|app| **app == *lane.name));
    let count = |of: fn(&LaneSnapshot) -> u32| Some(lanes.map(|lane| of(lane) as usize).sum());
    match ask.state {
        // Some of them may not be called so.
        _ if !ask.text.is_empty() => None,
        Stands::Late => count(|lane| lane.late),
        Stands::Lapsed => count(|lane| lane.lapsed),
        Stands::Pending => count(|lane| lane.pending),
        Stands::Parked => count(|lane| lane.parked),
        Stands::Wrong => count(|lane| lane.late + lane.lapsed + lane.pending + lane.parked + lane.unfunded),
        Stands::Any | Stands::Held | Stands::Unfunded | Stands::Overridden => None,
    }
}

/// The worst have the least.
const fn badness(shown: Shown) -> u8 {
    match shown {
        Shown::Lapsed => 0,
        Shown::Parked => 1,
        Shown::Late => 2,
        _ => 3,
    }
}

const fn is_wrong(shown: Shown) -> bool {
    matches!(shown, Shown::Late | Shown::Lapsed | Shown::Pending | Shown::Parked | Shown::Unfunded)
}

fn fits(state: Stands, shown: Shown) -> bool {
    match state {
        Stands::Any => true,
        Stands::Wrong => is_wrong(shown),
        Stands::Held => matches!(shown, Shown::Held | Shown::Overridden | Shown::Late),
        Stands::Late => shown == Shown::Late,
        Stands::Lapsed => shown == Shown::Lapsed,
        Stands::Pending => shown == Shown::Pending,
        Stands::Parked => shown == Shown::Parked,
        Stands::Unfunded => shown == Shown::Unfunded,
        Stands::Overridden => shown == Shown::Overridden,
    }
}

/// The sessions of the plan that are asked for, as far as the config tells, in its order.
struct Places {
    /// The lanes, and how many sessions come before each.
    lanes: Vec<(usize, usize)>,
    len: usize,
    /// Lane and session; `None`: all of these lanes.
    some: Option<Vec<(usize, usize)>>,
}

impl Places {
    /// Seeks them, and tells whether there are more than are listed.
    fn of(names: &Names, ask: &Ask) -> (Self, bool) {
        let (mut lanes, mut len) = (Vec::new(), 0);
        for (at, lane) in names.plan().lanes().iter().enumerate() {
            if ask.app.as_ref().is_none_or(|app| **app == *lane.head.name) {
                lanes.push((at, len));
                len += lane.sessions.len();
            }
        }
        let mut places = Self { lanes, len, some: None };
        if ask.text.is_empty() && ask.state != Stands::Unfunded {
            return (places, false);
        }
        let is_meant = meant(names, &ask.text);
        let mut some = Vec::new();
        for &(at, _) in &places.lanes {
            for (nth, session) in names.plan().lanes()[at].sessions.iter().enumerate() {
                let unfunded = session.wish.is_some() && !session.funded;
                if (ask.state != Stands::Unfunded || unfunded) && is_meant(session.user) {
                    some.push((at, nth));
                    if some.len() > MATCHES {
                        break;
                    }
                }
            }
        }
        let cut = some.len() > MATCHES;
        some.truncate(MATCHES);
        places.len = some.len();
        places.some = Some(some);
        (places, cut)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, names: &Names, place: usize) -> Option<Whom> {
        let (lane, nth) = match &self.some {
            Some(some) => *some.get(place)?,
            None => {
                let after = self.lanes.partition_point(|(_, before)| *before <= place);
                let (lane, before) = self.lanes.get(after.checked_sub(1)?)?;
                (*lane, place - before)
            }
        };
        let lane = &names.plan().lanes()[lane];
        Some(Whom { lane: lane.key.clone(), user: lane.sessions.get(nth)?.user })
    }

    fn position(&self, names: &Names, whom: &Whom) -> Option<usize> {
        let plan = names.plan().lanes();
        let (at, before) = self.lanes.iter().find(|(at, _)| plan[*at].key == whom.lane)?;
        let nth = plan[*at].sessions.binary_search_by_key(&whom.user, |session| session.user).ok()?;
        match &self.some {
            Some(some) => some.binary_search(&(*at, nth)).ok(),
            None => Some(before + nth),
        }
    }
}

/// Whether a user is meant by a text. Nobody is found by what is not shown, or not without knowing the whole of it:
/// where users appear by object id, a part of an id or a whole name will do; where they appear by hash, the beginning of a
/// hash or a whole id, and no name.
fn meant<'a>(names: &'a Names, text: &str) -> impl Fn(UserId) -> bool + use<'a> {
    let word = text.to_lowercase();
    let settings = names.settings();
    let called: HashSet<UserId> = match settings.log_users {
        _ if word.is_empty() => HashSet::new(),
        LogUsers::Hash => HashSet::new(),
        LogUsers::Id => names.called(&word, false),
        LogUsers::Name => names.called(&word, true),
    };
    let whole: Option<UserId> = word.parse().ok();
    let may_be_id = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    move |user| {
        word.is_empty()
            || called.contains(&user)
            || whole == Some(user)
            || may_be_id
                && match settings.log_users {
                    LogUsers::Hash => People::shown(settings, user).starts_with(&word),
                    LogUsers::Id | LogUsers::Name => user.to_string().contains(&word),
                }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_are_those_that_are_not_taken_each_once() {
        let taken = [0, 1, 4, 7];
        let others: Vec<usize> = (0..5).map(|nth| other(nth, &taken)).collect();
        assert_eq!(others, [2, 3, 5, 6, 8]);
        assert_eq!(other(3, &[]), 3);
    }
}
