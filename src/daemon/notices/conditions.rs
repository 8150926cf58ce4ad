//! What is wrong right now, by the figures. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::notify::Condition;
use crate::daemon::figures::Figures;
use crate::daemon::token::expiry::Notice;
use crate::keeper::LaneSnapshot;

/// Which condition of which app; `None`: of the daemon as a whole.
pub(super) type Key = (Condition, Option<Arc<str>>);

/// What there is to say of a condition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Facts {
    /// How many sessions it is about, where it is about sessions.
    pub(super) count: Option<u32>,
    pub(super) detail: Option<String>,
    pub(super) advice: Option<String>,
}

/// All that is wrong.
pub(super) fn of(figures: &Figures) -> BTreeMap<Key, Facts> {
    let mut all = BTreeMap::new();
    for lane in figures.snapshot.lanes.iter().filter(|lane| lane.sessions > 0) {
        of_lane(lane, figures, &mut all);
    }
    let refused = figures.last_reload.as_ref().and_then(|reload| reload.refused.clone());
    if figures.trouble.refused || figures.trouble.last_good.is_some() {
        let advice = Some("mend the file and reload; `presenced check` shows all problems".to_owned());
        let detail = refused.or_else(|| figures.trouble.note());
        all.insert((Condition::ReloadRefused, None), Facts { count: None, detail, advice });
    }
    for app in &figures.accepted.settings.apps {
        let Some(end) = figures.ends.get(&app.lane()) else { continue };
        let Ok(now) = Timestamp::try_from(figures.wall) else { continue };
        if let Some(notice) = Notice::of(end.at, now) {
            let days = match notice.days_left {
                ..0 => "which is past".to_owned(),
                0 => "within a day".to_owned(),
                1 => "in a day".to_owned(),
                days => format!("in {days} days"),
            };
            let detail = Some(format!("the {} ends {end}, {days}", end.ending.word()));
            let facts = Facts { count: None, detail, advice: Some(end.ending.advice().to_owned()) };
            all.insert((Condition::CredentialExpiring, Some(Arc::clone(&app.name))), facts);
        }
    }
    all
}

fn of_lane(lane: &LaneSnapshot, figures: &Figures, all: &mut BTreeMap<Key, Facts>) {
    let trouble = figures.troubles.of(lane.lane);
    let down = trouble.and_then(|trouble| trouble.down.as_ref());
    let mut add = |condition, count: u32, detail: Option<String>, advice: Option<String>| {
        // An app that moved to another tenant has two lanes for a while.
        let facts: &mut Facts = all.entry((condition, Some(Arc::clone(&lane.name)))).or_default();
        facts.count = Some(facts.count.unwrap_or_default() + count);
        facts.detail = detail.or_else(|| facts.detail.take());
        facts.advice = advice.or_else(|| facts.advice.take());
    };
    if lane.lapsed > 0 {
        let said = down.cloned().unwrap_or_default();
        add(Condition::Lapsed, lane.lapsed, said.detail, said.advice);
    }
    if lane.parked > 0 {
        let said = trouble.map(|trouble| trouble.parked.clone()).unwrap_or_default();
        add(Condition::Parked, lane.parked, said.detail, said.advice);
    }
    if let Some(said) = down {
        add(Condition::AppDown, lane.sessions, said.detail.clone(), said.advice.clone());
    }
}
