//! Content lines of an iCalendar text, RFC 5545 section 3.1: unfolded, each with its place.
//!
//! The lines are made here and only single ones are given to the parser of `icalendar`: on a whole text it goes down by
//! recursion, and looks for the end of a line through all that follows.

use icalendar::parser::Property;

use super::CalendarError;

/// A line without the breaks that folding put into it.
#[derive(Debug)]
pub(super) struct Line {
    /// Where it begins, in bytes of the text.
    pub(super) at: usize,
    text: String,
}

/// What a line says.
#[derive(Debug)]
pub(super) struct Content {
    /// In bytes of the text.
    pub(super) at: usize,
    pub(super) value: String,
    /// Names in capitals.
    parameters: Vec<(String, String)>,
}

impl Line {
    /// The name of the property, in capitals.
    pub(super) fn name(&self) -> String {
        let end = self.text.find([';', ':']).unwrap_or(self.text.len());
        self.text[..end].to_ascii_uppercase()
    }

    /// What follows `name:` in capitals, if the line is that.
    pub(super) fn after(&self, name: &str) -> Option<String> {
        let (start, rest) = self.text.split_once(':')?;
        start.eq_ignore_ascii_case(name).then(|| rest.trim().to_ascii_uppercase())
    }

    /// That the line has a name and a value at all.
    pub(super) fn check(&self) -> Result<(), CalendarError> {
        if self.text.contains(':') { Ok(()) } else { Err(self.broken()) }
    }

    fn broken(&self) -> CalendarError {
        CalendarError::new("this is no line of a calendar; NAME:value is expected", self.at)
    }

    /// The line taken apart.
    pub(super) fn content(&self) -> Result<Content, CalendarError> {
        let property = Property::try_from(self.text.as_str()).map_err(|_| self.broken())?;
        // Where the parser does not get to a value, it takes the name alone and leaves the rest.
        let left = property.val.as_str().is_empty() && !self.text.ends_with(':');
        let named = property.name.as_str().eq_ignore_ascii_case(&self.name());
        if left || !named || property.name.as_str().is_empty() {
            return Err(self.broken());
        }
        let parameter = |parameter: &icalendar::parser::Parameter<'_>| {
            let value = parameter.val.as_ref().map_or("", |value| value.as_str());
            (parameter.key.as_str().to_ascii_uppercase(), value.to_owned())
        };
        let parameters = property.params.iter().map(parameter).collect();
        Ok(Content { at: self.at, value: property.val.as_str().trim().to_owned(), parameters })
    }
}

impl Content {
    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The lines of a text; empty ones are passed over.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Line, CalendarError>> {
    const MARK: &str = "\u{feff}";
    let start = if text.starts_with(MARK) { MARK.len() } else { 0 };
    let mut at = start;
    let mut raw = text[start..].split_inclusive('\n').map(move |line| {
        let began = at;
        at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        (began, line.strip_suffix('\r').unwrap_or(line))
    });
    let mut raw = std::iter::from_fn(move || raw.next()).peekable();
    std::iter::from_fn(move || {
        loop {
            let (at, first) = raw.next()?;
            if first.starts_with([' ', '\t']) && !first.trim().is_empty() {
                return Some(Err(CalendarError::new("this goes on with a line that there is not", at)));
            }
            if first.trim().is_empty() {
                continue;
            }
            let mut text = first.to_owned();
            while let Some((_, more)) = raw.next_if(|(_, line)| line.starts_with([' ', '\t'])) {
                text.push_str(&more[1..]);
            }
            return Some(Ok(Line { at, text }));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String)> {
        lines(text).map(|line| line.unwrap()).map(|line| (line.at, line.text)).collect()
    }

    #[test]
    fn lines_are_unfolded_and_keep_their_places() {
        let text = "\u{feff}BEGIN:X\r\nSUMMARY:Chris\r\n tmas\r\n\t Eve\n\nEND:X";
        let expected = [(3, "BEGIN:X"), (12, "SUMMARY:Christmas Eve"), (41, "END:X")];
        assert_eq!(read(text), expected.map(|(at, line)| (at, line.to_owned())));
        assert!(read("").is_empty() && read(" \r\n").is_empty());
        assert_eq!(lines(" x").next().unwrap().unwrap_err().at, Some(0));
    }

    #[test]
    fn a_line_has_a_name_parameters_and_a_value() {
        let content = |text: &str| Line { at: 7, text: text.to_owned() }.content();
        let start = content("DtStart;value=DATE;X=\"a:b;c\":20261224").unwrap();
        assert_eq!((start.value.as_str(), start.at), ("20261224", 7));
        assert_eq!((start.parameter("VALUE"), start.parameter("X")), (Some("DATE"), Some("a:b;c")));
        assert_eq!(content("SUMMARY:Peter\\, Paul\\; and: all").unwrap().value, "Peter, Paul; and: all");
        assert_eq!(content("SUMMARY:").unwrap().value, "");
        for broken in ["SUMMARY", "SUMMARY x", "SUM MARY:x", ":x", "BEGIN;X=1:VEVENT"] {
            let told = content(broken);
            assert!(told.as_ref().is_err_and(|error| error.at == Some(7)), "{broken}: {told:?}");
        }
    }
}
