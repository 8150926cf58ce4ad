//! What a view of the page is asked to show: the parameters behind its `?`, and links with others. What cannot be read is
//! as if it were not there.

use axum::http::Uri;
use url::form_urlencoded::{Serializer, parse};

/// Longest text to search for, in characters.
const TEXT_MAX: usize = 100;
/// How far back strips may go, in hours.
pub(super) const HOURS: [u32; 5] = [1, 3, 6, 12, 24];
/// How far they go where nobody says.
const HOURS_UNSAID: u32 = 6;

/// What is to be shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ask {
    /// The app; `None`: all.
    pub(super) app: Option<String>,
    /// Sessions that stand so.
    pub(super) state: Stands,
    /// Users who are called so, or whose id has it; empty: all.
    pub(super) text: String,
    /// How far back strips go: one of [`HOURS`].
    hours: Option<u32>,
    /// How many of the sessions come before the first one that is shown, or were looked at without showing.
    pub(super) from: usize,
}

/// How sessions stand that are to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Stands {
    /// However.
    #[default]
    Any,
    /// Otherwise than wanted.
    Wrong,
    Held,
    Late,
    Lapsed,
    Pending,
    Parked,
    Unfunded,
    /// An override holds for them.
    Overridden,
}

impl Stands {
    /// All, with their words in links and for people.
    pub(super) const ALL: [(Self, &str, &str); 9] = [
        (Self::Any, "", "all"),
        (Self::Wrong, "wrong", "not as wanted"),
        (Self::Held, "held", "held"),
        (Self::Late, "late", "late"),
        (Self::Lapsed, "lapsed", "lapsed"),
        (Self::Pending, "pending", "not set yet"),
        (Self::Parked, "parked", "refused by Graph"),
        (Self::Unfunded, "unfunded", "beyond the quota"),
        (Self::Overridden, "overridden", "overridden"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(stands, ..)| *stands == self).map_or("", |(_, word, _)| word)
    }
}

impl Ask {
    /// Reads it. Of two of a kind the first counts.
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs: Vec<_> = parse(uri.query().unwrap_or_default().as_bytes()).collect();
        let get =
            |key: &str| pairs.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value).trim();
        Self {
            app: Some(get("app")).filter(|app| !app.is_empty()).map(str::to_owned),
            state: Stands::ALL
                .iter()
                .find(|(_, word, _)| *word == get("state"))
                .map_or(Stands::Any, |(stands, ..)| *stands),
            text: get("q").chars().filter(|letter| !letter.is_control()).take(TEXT_MAX).collect(),
            hours: get("hours").parse().ok().filter(|hours| HOURS.contains(hours)),
            from: get("from").parse::<u32>().map_or(0, |from| from as usize),
        }
    }

    /// How far back strips go.
    pub(super) fn hours(&self) -> u32 {
        self.hours.unwrap_or(HOURS_UNSAID)
    }

    /// Whether less than all sessions are asked for.
    pub(super) fn narrows(&self) -> bool {
        self.app.is_some() || self.state != Stands::Any || !self.text.is_empty()
    }

    /// A link to the same from elsewhere on.
    pub(super) fn at(&self, from: usize) -> String {
        Self { from, ..self.clone() }.link()
    }

    /// A link to the sessions of an app, or of all.
    pub(super) fn of_app(&self, app: Option<&str>) -> String {
        Self { app: app.map(str::to_owned), from: 0, ..self.clone() }.link()
    }

    /// A link to all sessions.
    pub(super) fn of_all(&self) -> String {
        Self { hours: self.hours, ..Self::default() }.link()
    }

    fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        if let Some(app) = &self.app {
            query.append_pair("app", app);
        }
        for (key, value) in [("state", self.state.word()), ("q", &self.text)] {
            if !value.is_empty() {
                query.append_pair(key, value);
            }
        }
        if let Some(hours) = self.hours {
            query.append_pair("hours", &hours.to_string());
        }
        if self.from > 0 {
            query.append_pair("from", &self.from.to_string());
        }
        format!("?{}#sessions", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Ask {
        Ask::of(&format!("/?{query}").parse().unwrap())
    }

    #[test]
    fn a_link_leads_to_what_it_was_made_of() {
        for query in
            ["", "app=a%26b&state=parked&q=%C3%A4+%22x%22&hours=24&from=50", "state=wrong", "q=%3Cscript%3E"]
        {
            let asked = ask(query);
            let link = asked.at(asked.from);
            assert_eq!(link, format!("?{query}#sessions"));
            assert_eq!(Ask::of(&format!("/{}", link.replace("#sessions", "")).parse().unwrap()), asked);
        }
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        assert_eq!(ask("state=happy&hours=7&from=-1&colour=red&app="), Ask::default());
        assert_eq!(ask("q=%00a%0ab").text, "ab");
        assert_eq!(ask(&format!("q={}", "x".repeat(5_000))).text.len(), TEXT_MAX);
        assert_eq!(ask("q=one&q=two").text, "one");
    }
}
