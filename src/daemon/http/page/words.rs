//! Numbers, spans and times as people read them.

use std::time::Duration;

/// A number, its digits in threes.
pub(super) fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same of what is counted in memory.
pub(super) fn size(number: usize) -> String {
    count(number as u64)
}

/// A span, its two largest units.
pub(super) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600, secs / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, ..10) if !secs.is_multiple_of(60) => format!("{minutes} min {} s", secs % 60),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) if !minutes.is_multiple_of(60) => format!("{hours} h {} min", minutes % 60),
        (0, ..) => format!("{hours} h"),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Words as a sentence.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    first.chain(letters).chain(['.']).collect()
}

/// Seconds as a span; of those below zero, how many there were.
pub(super) fn seconds(secs: f64) -> String {
    span(Duration::try_from_secs_f64(secs.abs()).unwrap_or_default())
}

/// An RFC 3339 time in UTC, to the second, for people: `2026-11-25 09:46:40`.
pub(super) fn time(text: &str) -> String {
    text.get(..19).unwrap_or(text).replace('T', " ")
}

/// The time of day of it: `09:46:40`.
pub(super) fn time_of_day(text: &str) -> &str {
    text.get(11..19).unwrap_or(text)
}

/// A state in Graph's words, each said once: `Away`, `Busy, InACall`.
pub(super) fn state(text: &str) -> String {
    match text.split_once('/') {
        Some((availability, activity)) if availability == activity => availability.to_owned(),
        Some((availability, activity)) => format!("{availability}, {activity}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_spans_and_states_are_said_in_short() {
        assert_eq!([0_u32, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let spans = [0, 59, 60, 61, 600, 3_599, 3_600, 7_260, 86_400 + 7_200];
        assert_eq!(
            spans.map(|secs| span(Duration::from_secs(secs))),
            ["0 s", "59 s", "1 min", "1 min 1 s", "10 min", "59 min", "1 h", "2 h 1 min", "1 d 2 h"]
        );
        assert_eq!(
            ["Available/Available", "Busy/InACall", "none"].map(state),
            ["Available", "Busy, InACall", "none"]
        );
        assert_eq!(time("2026-11-25T09:46:40.125Z"), "2026-11-25 09:46:40");
        assert_eq!(time_of_day("2026-11-25T09:46:40.125Z"), "09:46:40");
    }
}
