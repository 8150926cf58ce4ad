//! Why a user is seen as they are: what is wanted and from where, what we hold, what others see, and which rule decides.
//!
//! Sources of the rules: the pages "Manage presence state", `setPresence` and `setUserPreferredPresence` of Microsoft
//! Graph.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;

use super::caller::Caller;
use super::problem::Problem;
use super::sessions::{look, look_at};
use super::{Desk, schedules, wire};
use crate::config::{self, Look, origin};
use crate::daemon::driver::{Command, Looked, ReadResult, Unread};
use crate::daemon::graph::Seen;
use crate::daemon::overrides::Whom;
use crate::keeper::id::LaneKey;
use crate::keeper::{Phase, PresenceState};

/// `GET /v1/users/{user}/why`
pub(super) async fn why(
    State(desk): State<Desk>,
    caller: Caller,
    Path(word): Path<String>,
    uri: Uri,
) -> Result<Json<wire::Why>, Problem> {
    let (user, looked) = look(&desk, &caller, &word, &uri).await?;
    let (line, origins) = lines_of(&desk, &looked).await?;
    let names = desk.names().await;
    let mut why = Vec::with_capacity(looked.len());
    for ((looked, session), origin) in looked.iter().zip(&user.sessions).zip(origins) {
        let read = read(&desk, &looked.whom).await?;
        let now = look_at(&desk, &looked.whom).await?;
        let scheduled = schedules::of(&now, &names);
        let is_open = scheduled.is_some_and(|scheduled| scheduled.by.is_some());
        let begin = if is_open { "Outside of schedules it is" } else { "That is" };
        let says = |origin| format!("{begin} what {origin} says.");
        let mut sentences: Vec<String> = origin.map(says).into_iter().collect();
        sentences.extend(scheduled.iter().flat_map(schedules::Scheduled::sentences));
        why.push(reasons(&now, session, line.clone(), sentences, &read));
    }
    Ok(Json(wire::Why { user, why }))
}

/// One read, as soon as there is room for it, and not for longer than people wait.
async fn read(desk: &Desk, whom: &Whom) -> Result<ReadResult, Problem> {
    const TRIES: usize = 20;
    const PAUSE: Duration = Duration::from_millis(100);
    let mut tries = 0;
    loop {
        let whom = whom.clone();
        let read = desk.ask(|to| Command::Read { whom, to }).await?;
        tries += 1;
        if tries == TRIES || !matches!(read, Err(Unread::NotNow(_))) {
            return Ok(read);
        }
        desk.clock.sleep_real(PAUSE).await;
    }
}

/// The line of the config in force that the user is on, and for each session what says its state.
async fn lines_of(desk: &Desk, looked: &[Looked]) -> Result<(Option<String>, Vec<Option<String>>), Problem> {
    let Some(user) = looked.first().map(|looked| looked.whom.user) else { return Ok((None, Vec::new())) };
    let lanes: Vec<LaneKey> = looked.iter().map(|looked| looked.whom.lane.clone()).collect();
    // Who the members of Entra groups are, the config in force knows.
    let groups = desk.figures().accepted.settings.groups.clone();
    let in_force = desk.figures().accepted.settings.hash;
    let path = desk.config.clone();
    let _one = desk.looking.lock().await;
    let found = tokio::task::spawn_blocking(move || {
        let Ok(mut loaded) = config::load(&path, Look::Variables) else {
            return (None, vec![None; lanes.len()]);
        };
        let same = loaded.settings.hash == in_force;
        let changed = if same { "" } else { " (the files have changed since)" };
        let line = loaded.sources.line_with(&user.to_string()).map(|line| format!("{line}{changed}"));
        loaded.settings.groups = groups;
        let origin = |lane| origin::of_state(&loaded, lane, user).filter(|_| same);
        (line, lanes.iter().map(origin).collect())
    });
    found.await.map_err(|_| Problem::bug())
}

fn reasons(
    looked: &Looked,
    session: &wire::Session,
    line: Option<String>,
    scheduled: Vec<String>,
    read: &ReadResult,
) -> wire::Reasons {
    let mut explanation = Vec::new();
    let mut advice = Vec::new();
    let from = line.as_deref().map(|line| format!(" ({line})")).unwrap_or_default();
    explanation.push(format!("The config wants {}{from}.", session.planned));
    explanation.extend(match &session.groups[..] {
        [] => None,
        [group] => Some(format!("The user belongs to group `{group}`.")),
        groups => Some(format!("The user belongs to groups `{}`.", groups.join("`, `"))),
    });
    explanation.extend(scheduled);
    if let Some(release) = &session.released {
        explanation.push(format!(
            "Nothing is held: released by {} at {}{}.",
            release.by,
            to_the_second(&release.since),
            because(release.reason.as_deref())
        ));
        advice.push("`presenced resume` takes the release back".to_owned());
    } else if let Some(over) = session.overrides.iter().find(|over| over.holds) {
        explanation.push(format!(
            "Until {} an override of source `{}` wants {}: set by {}{}.",
            to_the_second(&over.ends_at),
            over.source,
            over.wanted,
            over.by,
            because(over.reason.as_deref())
        ));
    }
    explanation.push(holding(looked, session));
    let (others_see, not_read) = match read {
        Ok(Seen { availability, activity }) => (Some(format!("{availability}/{activity}")), None),
        Err(Unread::NotNow(why) | Unread::Failed(why)) => (None, Some(why.clone())),
    };
    if let Ok(seen) = read {
        let wanted = looked.view.as_ref().and_then(|view| view.wish).map(|wish| wish.state);
        let held = looked.view.as_ref().is_some_and(|view| view.phase == Phase::Held);
        let (told, what_to_do) = compare(wanted, held, seen);
        explanation.extend(told);
        advice.extend(what_to_do.map(str::to_owned));
    }
    wire::Reasons { app: session.brief.app.clone(), line, others_see, not_read, explanation, advice }
}

fn to_the_second(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(whole, _)| format!("{whole}Z"))
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(", because \"{reason}\"")).unwrap_or_default()
}

fn holding(looked: &Looked, session: &wire::Session) -> String {
    let next = match (session.next.as_str(), session.next_in_s) {
        ("renewal", Some(secs)) => format!("; renewed in {secs:.0} s"),
        ("trial", Some(secs)) => format!("; tried again in {secs:.0} s"),
        ("retry", Some(secs)) => format!("; sent again in {secs:.0} s"),
        ("answer", _) => "; a request is under way".to_owned(),
        ("turn", _) => "; a request is about to go out".to_owned(),
        _ => String::new(),
    };
    let brief = &session.brief;
    match (&looked.view, &brief.granted) {
        (None, _) => "There is no session of ours.".to_owned(),
        (Some(view), Some(granted)) if view.phase == Phase::Held => {
            let lapses = brief.lapses_in_s.unwrap_or_default();
            format!("We hold {granted}, which lapses in {lapses:.0} s{next}.")
        }
        (Some(_), _) => match &brief.reason {
            Some(reason) => format!("We hold nothing in date: {reason}{next}."),
            None => format!("We hold nothing{next}."),
        },
    }
}

/// What a difference between what is wanted and what others see comes from.
fn compare(wanted: Option<PresenceState>, held: bool, seen: &Seen) -> (Vec<String>, Option<&'static str>) {
    let is = |availability: &str, activity: &str| {
        seen.availability.eq_ignore_ascii_case(availability) && seen.activity.eq_ignore_ascii_case(activity)
    };
    let shown = format!("{}/{}", seen.availability, seen.activity);
    let one = |text: String, advice| (vec![text], advice);
    let Some(wanted) = wanted else {
        return one(format!("Others see {shown}, which is none of our doing."), None);
    };
    if is(wanted.availability(), wanted.activity()) {
        return one(format!("Others see {shown}: what is wanted."), None);
    }
    if !held {
        return one(format!("Others see {shown}: what is wanted is not held, see above."), None);
    }
    let hand_set = [
        ("Busy", "Busy"),
        ("DoNotDisturb", "DoNotDisturb"),
        ("BeRightBack", "BeRightBack"),
        ("Offline", "OffWork"),
    ];
    if hand_set.iter().any(|(availability, activity)| is(availability, activity)) {
        return one(
            format!("Others see {shown}: a state set by hand in Teams, which outranks every session."),
            Some("the user resets it in Teams (\"Reset status\"); it ends by itself after a day, or seven"),
        );
    }
    let rank = |availability: &str| match availability.to_lowercase().as_str() {
        "donotdisturb" => 4,
        "busy" | "busyidle" => 3,
        "available" | "availableidle" => 2,
        "away" | "berightback" => 1,
        _ => 0,
    };
    let (ours, theirs) = (rank(wanted.availability()), rank(&seen.availability));
    if theirs > ours || theirs == ours && theirs == 3 {
        let what = match seen.activity.to_lowercase().as_str() {
            "inacall" | "inaconferencecall" => "a call",
            "inameeting" => "a meeting of the calendar",
            "presenting" => "a presentation",
            _ => "a Teams client, or another application,",
        };
        return one(
            format!(
                "Others see {shown}: {what} has a session that outranks ours (DoNotDisturb > Busy > Available > Away)."
            ),
            Some("it passes with the call, the meeting or the client's session"),
        );
    }
    if theirs == 0 {
        return one(
            format!(
                "Others see {shown}: no session is seen, or the user appears offline by their own choice."
            ),
            Some("wait a few minutes: clients poll. If it stays, the user resets their status in Teams"),
        );
    }
    one(
        format!(
            "Others see {shown}, which ranks below what we hold: Teams has not taken it in yet, or it was set by hand."
        ),
        Some("wait a few minutes: clients poll. If it stays, the user resets their status in Teams"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_that_decides_is_named() {
        use PresenceState::{Available, Away, InACall};
        let cases = [
            (Some(Available), true, "Available", "Available", "what is wanted"),
            (Some(Available), true, "available", "available", "what is wanted"),
            (Some(Available), true, "Busy", "InAMeeting", "a meeting of the calendar"),
            (Some(Available), true, "Busy", "InACall", "a call has a session that outranks"),
            (Some(Available), true, "Busy", "Busy", "set by hand"),
            (Some(InACall), true, "DoNotDisturb", "Presenting", "a presentation"),
            (Some(Away), true, "Available", "Available", "a Teams client"),
            (Some(Available), true, "Offline", "Offline", "no session is seen"),
            (Some(Available), true, "Offline", "OffWork", "set by hand"),
            (Some(Available), true, "Away", "Away", "ranks below"),
            (Some(Available), false, "Away", "Away", "not held"),
            (None, false, "Away", "Away", "none of our doing"),
        ];
        for (wanted, held, availability, activity, told) in cases {
            let seen = Seen { availability: availability.to_owned(), activity: activity.to_owned() };
            let (text, _) = compare(wanted, held, &seen);
            assert!(text[0].contains(told), "{availability}/{activity}: {text:?}");
        }
    }
}
