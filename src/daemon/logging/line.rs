//! One log line: an event's name and its fields, written once and shown three ways.

use std::fmt::Write as _;
use std::time::Duration;

use tracing::field::Value;

/// The target of all lines of the daemon's own.
pub(super) const TARGET: &str = "presenced";

/// The value of a field.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Field {
    /// The field is left out.
    Absent,
    Text(String),
    Number(u64),
    Signed(i64),
    Decimal(f64),
    Flag(bool),
}

impl Field {
    /// What `tracing` records of it; `None` records nothing.
    pub(super) fn value(&self) -> Option<&dyn Value> {
        match self {
            Self::Absent => None,
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number),
            Self::Signed(number) => Some(number),
            Self::Decimal(number) => Some(number),
            Self::Flag(flag) => Some(flag),
        }
    }
}

macro_rules! field_from {
    ($($type:ty => |$value:ident| $field:expr;)*) => {
        $(impl From<$type> for Field {
            fn from($value: $type) -> Self {
                $field
            }
        })*
    };
}

field_from! {
    &str => |v| Self::Text(v.to_owned());
    String => |v| Self::Text(v);
    i64 => |v| Self::Signed(v);
    u64 => |v| Self::Number(v);
    u32 => |v| Self::Number(v.into());
    u16 => |v| Self::Number(v.into());
    usize => |v| Self::Number(v as u64);
    bool => |v| Self::Flag(v);
    Duration => |v| Self::Decimal((v.as_secs_f64() * 1e3).round() / 1e3); // seconds
}

impl<T: Into<Self>> From<Option<T>> for Field {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// `name key=value key="a value"`, for people. Control characters come out escaped: a log line is one line.
pub(super) fn text(event: &str, fields: &[(&str, &Field)]) -> String {
    let mut line = event.to_owned();
    for (key, field) in fields {
        // Writing to a String cannot fail.
        let _ = match field {
            Field::Absent => Ok(()),
            Field::Text(text) if is_plain(text) => write!(line, " {key}={text}"),
            Field::Text(text) => write!(line, " {key}={text:?}"),
            Field::Number(number) => write!(line, " {key}={number}"),
            Field::Signed(number) => write!(line, " {key}={number}"),
            Field::Decimal(number) => write!(line, " {key}={number}"),
            Field::Flag(flag) => write!(line, " {key}={flag}"),
        };
    }
    line
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=')
}

/// Logs one line at a level, or at one level if a condition holds and at debug otherwise:
/// `line!(INFO, "name", key = value)`, `line!(loud => INFO, "name", key = value)`.
macro_rules! line {
    ($loud:expr => $level:ident, $($rest:tt)*) => {
        if $loud { line!($level, $($rest)*) } else { line!(DEBUG, $($rest)*) }
    };
    ($level:ident, $event:literal $(, $key:ident = $value:expr)* $(,)?) => {
        if tracing::enabled!(target: crate::daemon::logging::line::TARGET, tracing::Level::$level) {
            // All values are made before a key hides a variable of the same name.
            match ($(crate::daemon::logging::line::Field::from($value),)*) {
                ($($key,)*) => {
                    let text = crate::daemon::logging::line::text($event, &[$((stringify!($key), &$key)),*]);
                    tracing::event!(
                        target: crate::daemon::logging::line::TARGET,
                        tracing::Level::$level,
                        event = $event,
                        $($key = $key.value(),)*
                        "{text}"
                    );
                }
            }
        }
    };
}
pub(super) use line;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_would_break_the_line_are_quoted() {
        let shown = |value: Field| text("e", &[("k", &value)]);
        assert_eq!(shown("plain".into()), "e k=plain");
        assert_eq!(shown("two words".into()), r#"e k="two words""#);
        assert_eq!(shown("line\nbreak".into()), r#"e k="line\nbreak""#);
        assert_eq!(shown("".into()), r#"e k="""#);
        assert_eq!(shown(11_u32.into()), "e k=11");
        assert_eq!(shown(Duration::from_millis(2_128).into()), "e k=2.128");
        assert_eq!(shown(Duration::from_secs(11).into()), "e k=11");
        assert_eq!(shown(None::<u32>.into()), "e");
    }
}
