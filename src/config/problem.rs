//! What is wrong with a config: where, and what would be right.

mod redact;
mod render;

use std::path::PathBuf;

use super::source::{Place, Sources};

pub(super) use redact::{holds_secret, is_plain, may_be_secret, names_secret, shown, shown_path};

/// All that was found in one config, with the texts that it is shown in.
pub struct Problems {
    sources: Sources,
    found: Vec<Problem>,
}

impl Problems {
    /// In the order of files and lines; what is about a file as a whole comes first.
    pub(super) fn new(sources: Sources, mut found: Vec<Problem>) -> Self {
        found.sort_by(|a, b| (&a.at, a.code as u8).cmp(&(&b.at, b.code as u8)));
        Self { sources, found }
    }

    /// How many forbid the config.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many do not forbid it, but should be looked at.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// How many are only worth knowing.
    #[must_use]
    pub fn notes(&self) -> usize {
        self.count(Severity::Note)
    }

    /// Whether nothing was found, not even a note.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The files of the config, as far as they could be read.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    fn count(&self, severity: Severity) -> usize {
        self.found.iter().filter(|problem| problem.code.severity() == severity).count()
    }
}

/// As [`Problems::render`] shows them, without colour.
impl std::fmt::Debug for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// One problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    at: At,
    message: String,
    /// What is said at the carets.
    label: String,
    /// Other places that belong to it.
    related: Vec<(Place, String)>,
    help: Vec<String>,
}

impl Problem {
    pub(super) fn new(code: Code, at: impl Into<At>, message: impl Into<String>) -> Self {
        let (at, message) = (at.into(), message.into());
        Self { code, at, message, label: String::new(), related: Vec::new(), help: Vec::new() }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn also(mut self, at: Place, label: impl Into<String>) -> Self {
        self.related.push((at, label.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    pub(super) fn place(&self) -> Option<Place> {
        match self.at {
            At::Place(place) => Some(place),
            At::File(_) => None,
        }
    }
}

/// Where a problem is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum At {
    /// In a file as a whole, also in one that could not be read.
    File(PathBuf),
    Place(Place),
}

impl From<Place> for At {
    fn from(place: Place) -> Self {
        Self::Place(place)
    }
}

impl From<PathBuf> for At {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Severity {
    Error,
    Warning,
    Note,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What kind of problem. The text of a code is stable: scripts and searches may rely on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    Syntax,
    UnknownKey,
    WrongType,
    MissingKey,
    NotBuiltYet,
    Unreadable,
    WrongFile,
    UnknownWord,
    BusyWithoutActivity,
    IllegalPair,
    OutOfRange,
    Malformed,
    NotAGuid,
    BadName,
    Columns,
    Row,
    NoApp,
    UserTwice,
    UnknownApp,
    WhichApp,
    LaneTwice,
    AppNameTwice,
    SignedInUsers,
    UnknownSchedule,
    NameTwice,
    Endpoint,
    TimeZone,
    NoPresenceInChina,
    Calendar,
    InlineSecret,
    CredentialShape,
    CredentialUnusable,
    CaFile,
    MatchesNothing,
    NotRead,
    CredentialExposed,
    Unfunded,
    NearQuota,
    NoState,
    AmbiguousAlias,
    NoUser,
    NoEffect,
    CredentialEnds,
    NotInForce,
    OtherAuthority,
    CommandUnusable,
    ScheduleUnused,
    NeverOpens,
    Shadowed,
    NeverShown,
    GroupsDisagree,
    SameUser,
    CredentialNotHere,
    NotSignedIn,
    AsksDirectory,
}

impl Code {
    /// `E`, `W` or `N` for how bad it is, and a number.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "E001",
            Self::UnknownKey => "E002",
            Self::WrongType => "E003",
            Self::MissingKey => "E004",
            Self::NotBuiltYet => "E005",
            Self::Unreadable => "E006",
            Self::WrongFile => "E007",
            Self::UnknownWord => "E010",
            Self::BusyWithoutActivity => "E011",
            Self::IllegalPair => "E012",
            Self::OutOfRange => "E014",
            Self::Malformed => "E015",
            Self::NotAGuid => "E016",
            Self::BadName => "E017",
            Self::Columns => "E018",
            Self::Row => "E019",
            Self::NoApp => "E020",
            Self::UserTwice => "E021",
            Self::UnknownApp => "E022",
            Self::WhichApp => "E023",
            Self::LaneTwice => "E024",
            Self::AppNameTwice => "E025",
            Self::SignedInUsers => "E026",
            Self::UnknownSchedule => "E027",
            Self::NameTwice => "E028",
            Self::Endpoint => "E030",
            Self::TimeZone => "E031",
            Self::NoPresenceInChina => "E032",
            Self::Calendar => "E033",
            Self::InlineSecret => "E040",
            Self::CredentialShape => "E041",
            Self::CredentialUnusable => "E042",
            Self::CaFile => "E043",
            Self::MatchesNothing => "W001",
            Self::NotRead => "W002",
            Self::CredentialExposed => "W003",
            Self::Unfunded => "W004",
            Self::NearQuota => "W005",
            Self::NoState => "W006",
            Self::AmbiguousAlias => "W007",
            Self::NoUser => "W008",
            Self::NoEffect => "W009",
            Self::CredentialEnds => "W010",
            Self::NotInForce => "W011",
            Self::OtherAuthority => "W012",
            Self::CommandUnusable => "W013",
            Self::ScheduleUnused => "W014",
            Self::NeverOpens => "W015",
            Self::Shadowed => "W016",
            Self::NeverShown => "W017",
            Self::GroupsDisagree => "W018",
            Self::SameUser => "W019",
            Self::CredentialNotHere => "N001",
            Self::NotSignedIn => "N002",
            Self::AsksDirectory => "N003",
        }
    }

    pub(super) const fn severity(self) -> Severity {
        match self.text().as_bytes()[0] {
            b'W' => Severity::Warning,
            b'N' => Severity::Note,
            _ => Severity::Error,
        }
    }
}

#[cfg(test)]
impl Code {
    /// All of them, in order.
    pub(super) const ALL: [Self; Self::AsksDirectory as usize + 1] = [
        Self::Syntax,
        Self::UnknownKey,
        Self::WrongType,
        Self::MissingKey,
        Self::NotBuiltYet,
        Self::Unreadable,
        Self::WrongFile,
        Self::UnknownWord,
        Self::BusyWithoutActivity,
        Self::IllegalPair,
        Self::OutOfRange,
        Self::Malformed,
        Self::NotAGuid,
        Self::BadName,
        Self::Columns,
        Self::Row,
        Self::NoApp,
        Self::UserTwice,
        Self::UnknownApp,
        Self::WhichApp,
        Self::LaneTwice,
        Self::AppNameTwice,
        Self::SignedInUsers,
        Self::UnknownSchedule,
        Self::NameTwice,
        Self::Endpoint,
        Self::TimeZone,
        Self::NoPresenceInChina,
        Self::Calendar,
        Self::InlineSecret,
        Self::CredentialShape,
        Self::CredentialUnusable,
        Self::CaFile,
        Self::MatchesNothing,
        Self::NotRead,
        Self::CredentialExposed,
        Self::Unfunded,
        Self::NearQuota,
        Self::NoState,
        Self::AmbiguousAlias,
        Self::NoUser,
        Self::NoEffect,
        Self::CredentialEnds,
        Self::NotInForce,
        Self::OtherAuthority,
        Self::CommandUnusable,
        Self::ScheduleUnused,
        Self::NeverOpens,
        Self::Shadowed,
        Self::NeverShown,
        Self::GroupsDisagree,
        Self::SameUser,
        Self::CredentialNotHere,
        Self::NotSignedIn,
        Self::AsksDirectory,
    ];
}
