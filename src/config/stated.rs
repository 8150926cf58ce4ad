//! What a place of the config says about presence: `availability`, `activity` and `expiration`.

use toml::de::DeTable;

use super::problem::{Code, Problem, shown};
use super::read::{Key, Reader, did_you_mean, unknown_word};
use super::source::Placed;
use super::words;
use crate::keeper::{Expiration, PresenceState};

/// What one place says: of a user, or of the defaults of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    /// The pair; inside, `None` is `availability = "none"`.
    pub(super) state: Key<Option<PresenceState>>,
    pub(super) expiration: Key<Expiration>,
}

/// The word for having no session of ours.
const NONE: &str = "none";
const AVAILABILITIES: [&str; 5] = ["Available", "Busy", "Away", "DoNotDisturb", NONE];
const ACTIVITIES: [&str; 5] = ["Available", "InACall", "InAConferenceCall", "Away", "Presenting"];
/// Words that Graph knows from reading presence or from the preferred presence, and refuses in a session.
///
/// Source: the `presence` resource and `setUserPreferredPresence` pages of the Graph reference.
const ONLY_READ: [&str; 16] = [
    "AvailableIdle",
    "BeRightBack",
    "Busy",
    "BusyIdle",
    "DoNotDisturb",
    "Focusing",
    "Idle",
    "InAMeeting",
    "Inactive",
    "OffWork",
    "Offline",
    "OutOfOffice",
    "PresenceUnknown",
    "UrgentInterruptionsOnly",
    "InACall",
    "InAConferenceCall",
];

impl Stated {
    /// Reads the three keys of `table`.
    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Self {
        let mut word = |name: &str| {
            reader.key(table, name, |reader, value| reader.string(value, "write the word in quotes"))
        };
        let (availability, activity) = (word("availability"), word("activity"));
        Self {
            state: settle(reader, &availability, &activity),
            expiration: reader.key(table, "expiration", words::expiration),
        }
    }
}

/// What the two keys mean together. Where they do not settle a pair, says so.
pub(super) fn settle(
    reader: &mut Reader<'_>,
    availability: &Key<&str>,
    activity: &Key<&str>,
) -> Key<Option<PresenceState>> {
    let state = match (availability, activity) {
        (Key::Absent, Key::Absent) => return Key::Absent,
        (Key::Bad, _) | (_, Key::Bad) => None,
        (Key::Given(availability), Key::Absent) => alone(reader, availability),
        (Key::Absent, Key::Given(activity)) => match by_activity(activity.value) {
            Some(state) => Some(Some(state)),
            None => {
                reader.push(unknown_activity(activity, &ACTIVITIES));
                None
            }
        },
        (Key::Given(availability), Key::Given(activity)) => both(reader, availability, activity),
    };
    let at = availability.given().or(activity.given()).map(|word| word.at);
    match (state, at) {
        (Some(value), Some(at)) => Key::Given(Placed { value, at }),
        _ => Key::Bad,
    }
}

/// An availability without an activity: enough for all but Busy, which stands for two.
fn alone(reader: &mut Reader<'_>, availability: &Placed<&str>) -> Option<Option<PresenceState>> {
    let word = availability.value;
    if word.eq_ignore_ascii_case(NONE) {
        return Some(None);
    }
    let activities = activities_of(word);
    if let [one] = activities[..] {
        return Some(by_activity(one));
    }
    reader.push(if activities.is_empty() {
        unknown_availability(availability)
    } else {
        Problem::new(Code::BusyWithoutActivity, availability.at, "`Busy` needs an activity")
            .label("which kind of busy?")
            .help("add activity = \"InACall\" or activity = \"InAConferenceCall\"")
    });
    None
}

fn both(
    reader: &mut Reader<'_>,
    availability: &Placed<&str>,
    activity: &Placed<&str>,
) -> Option<Option<PresenceState>> {
    if availability.value.eq_ignore_ascii_case(NONE) {
        let problem = Problem::new(Code::IllegalPair, activity.at, "`none` takes no activity");
        reader.push(problem.label("nothing is set").also(availability.at, "no session of ours"));
        return None;
    }
    let activities = activities_of(availability.value);
    if activities.is_empty() {
        reader.push(unknown_availability(availability));
        if !is_known(activity.value) {
            reader.push(unknown_activity(activity, &ACTIVITIES));
        }
        return None;
    }
    if activities.iter().any(|legal| legal.eq_ignore_ascii_case(activity.value)) {
        return Some(by_activity(activity.value));
    }
    if is_known(activity.value) {
        reader.push(illegal_pair(availability, activity, &activities));
    } else {
        reader.push(unknown_activity(activity, &activities));
    }
    None
}

fn illegal_pair(availability: &Placed<&str>, activity: &Placed<&str>, legal: &[&str]) -> Problem {
    let message = format!(
        "availability {} cannot be combined with activity {} in a session",
        shown(availability.value),
        shown(activity.value)
    );
    let legal: Vec<String> = legal.iter().map(|word| format!("activity = \"{word}\"")).collect();
    let pairs: Vec<String> = PresenceState::ALL.iter().map(ToString::to_string).collect();
    Problem::new(Code::IllegalPair, activity.at, message)
        .label("not supported by setPresence")
        .also(availability.at, "with this availability")
        .help(format!("use {}", legal.join(" or ")))
        .help(format!("the pairs that Graph accepts: {}", pairs.join(", ")))
}

fn unknown_availability(word: &Placed<&str>) -> Problem {
    if !is_known(word.value) {
        return unknown_word(word.at, "availability", word.value, &AVAILABILITIES);
    }
    let hint = if word.value.eq_ignore_ascii_case("Offline") {
        "use \"none\": without any session a user is shown as Offline".to_owned()
    } else {
        format!("one of: {}", AVAILABILITIES.join(", "))
    };
    Problem::new(
        Code::UnknownWord,
        word.at,
        format!("a session cannot show availability {}", shown(word.value)),
    )
    .label("not supported by setPresence")
    .help(hint)
}

fn unknown_activity(word: &Placed<&str>, legal: &[&str]) -> Problem {
    if is_known(word.value) {
        let message = format!("a session cannot show activity {}", shown(word.value));
        let problem = Problem::new(Code::UnknownWord, word.at, message).label("not supported by setPresence");
        return problem.help(format!("one of: {}", legal.join(", ")));
    }
    // The nearest word of all is the better guess; the legal ones are named below it.
    match did_you_mean(word.value, legal) {
        Some(_) => unknown_word(word.at, "activity", word.value, legal),
        None => unknown_word(word.at, "activity", word.value, &ACTIVITIES),
    }
}

/// The activities that go with an availability; none for one that no session can show.
fn activities_of(availability: &str) -> Vec<&'static str> {
    let of = |state: &&PresenceState| state.availability().eq_ignore_ascii_case(availability);
    PresenceState::ALL.iter().filter(of).map(|state| state.activity()).collect()
}

fn by_activity(activity: &str) -> Option<PresenceState> {
    PresenceState::ALL.into_iter().find(|state| state.activity().eq_ignore_ascii_case(activity))
}

fn is_known(word: &str) -> bool {
    AVAILABILITIES.iter().chain(&ACTIVITIES).chain(&ONLY_READ).any(|known| known.eq_ignore_ascii_case(word))
}
