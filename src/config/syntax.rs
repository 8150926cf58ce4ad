//! From a text to a tree, as far as its syntax allows one.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::file::Contents;
use super::problem::{Code, Problem};
use super::read::Reader;
use super::source::{FileIx, Place, Source};

/// How many syntax errors are shown of a file. One with more, such as a CSV, is no TOML at all.
const ERRORS_MAX: usize = 100;

/// A file's tree.
pub(super) struct Tree<'t> {
    file: FileIx,
    text: &'t str,
    pub(super) table: DeTable<'t>,
    /// The tables that a syntax error is in, from header to header, ascending: what is read of them may be nonsense.
    doubtful: Vec<Range<usize>>,
}

impl<'t> Tree<'t> {
    pub(super) fn parse(file: FileIx, source: &'t Source, problems: &mut Vec<Problem>) -> Self {
        let text = source.text();
        let (mistakes, mended) = mistakes_of(text);
        // What was mended has the places of what was written.
        let (tree, _) = DeTable::parse_recoverable(mended.map_or(text, |mended| source.mended(mended)));
        let mut doubtful: Vec<Range<usize>> = Vec::new();
        for mistake in mistakes.iter().take(ERRORS_MAX) {
            let at = Place::new(file, mistake.at.clone());
            // A table that is there twice is two tables in one; each of them can be read.
            if mistake.what == KEY_TWICE {
                problems.push(Problem::new(Code::Syntax, at, "key given twice").label("it is already there"));
                continue;
            }
            let problem = Problem::new(Code::Syntax, at, format!("syntax: {}", mistake.what));
            problems.push(match mistake.help {
                Some(help) => problem.help(help),
                None => problem,
            });
            let block = block(text, mistake.swallowed.clone());
            match doubtful.last_mut() {
                Some(last) if last.end >= mistake.swallowed.start => last.end = last.end.max(block.end),
                _ => doubtful.push(block),
            }
        }
        if mistakes.len() > ERRORS_MAX {
            let path = source.path().to_owned();
            let message = format!("{} more syntax errors: is this a TOML file?", mistakes.len() - ERRORS_MAX);
            problems.push(Problem::new(Code::Syntax, path, message));
            doubtful.clear();
            doubtful.push(0..text.len());
        }
        Self { file, text, table: Spanned::into_inner(tree), doubtful }
    }

    /// Whether all of it can be trusted.
    pub(super) fn is_sound(&self) -> bool {
        self.doubtful.is_empty()
    }

    /// Reads it; what is wrong in a doubtful part is left unsaid until the syntax is right.
    pub(super) fn read(self, main_path: &str, problems: &mut Vec<Problem>) -> Contents {
        let mut found = Vec::new();
        let mut reader = Reader::new(self.file, &mut found);
        let mut contents = Contents::read(&mut reader, &self.table, main_path);
        self.doubt(&mut contents);
        found.retain(|problem| problem.place().is_none_or(|place| !self.is_doubtful(&place.span())));
        problems.append(&mut found);
        contents
    }

    /// What is missing in a doubtful table may be in what could not be read of it.
    fn doubt(&self, contents: &mut Contents) {
        for app in contents.apps.iter_mut().filter(|app| self.is_doubtful(&app.at.span())) {
            app.name.doubt();
            app.keys.doubt();
        }
        for user in contents.users.iter_mut().filter(|user| self.is_doubtful(&user.at.span())) {
            user.id.doubt();
            user.app.doubt();
            user.stated.state.doubt();
        }
        let defaults = |block: &&Range<usize>| self.text[(*block).clone()].starts_with("[defaults");
        if self.doubtful.iter().any(|block| defaults(&block)) {
            contents.defaults.state.doubt();
            contents.app_defaults.doubt();
        }
    }

    fn is_doubtful(&self, span: &Range<usize>) -> bool {
        let first = self.doubtful.partition_point(|block| block.end <= span.start);
        self.doubtful.get(first).is_some_and(|block| block.start <= span.end)
    }
}

/// What the parser says of a key that is there already.
const KEY_TWICE: &str = "duplicate key";

/// One slip of the pen, however many errors the parser made of it.
struct Mistake {
    at: Range<usize>,
    what: String,
    help: Option<&'static str>,
    /// What was not read as it was meant.
    swallowed: Range<usize>,
    /// The lines without which the parser goes on to what comes after, where it would not.
    mend: Option<Range<usize>>,
}

/// How often a text is mended: each time shows what one list or inline table without an end has swallowed.
const MENDS_MAX: usize = 10;

/// All mistakes in their order, and the text without what the parser would not go on after, blank instead, where there
/// is such.
fn mistakes_of(text: &str) -> (Vec<Mistake>, Option<String>) {
    let mut found = Vec::new();
    let mut mended: Option<String> = None;
    for round in 0.. {
        let now = mended.as_deref().unwrap_or(text);
        let (_, errors) = DeTable::parse_recoverable(now);
        let mistakes = mistakes(now, &errors);
        let blank = merged(mistakes.iter().filter_map(|mistake| mistake.mend.clone()).collect());
        if blank.is_empty() || round == MENDS_MAX || mistakes.len() > ERRORS_MAX {
            found.extend(mistakes);
            break;
        }
        // What is not blank is found again.
        let gone = |at: usize| {
            let first = blank.partition_point(|range| range.end <= at);
            blank.get(first).is_some_and(|range| range.start <= at)
        };
        found.extend(mistakes.into_iter().filter(|mistake| mistake.mend.is_some() || gone(mistake.at.start)));
        mended = Some(without(now, &blank));
    }
    found.sort_by_key(|mistake| mistake.at.start);
    (found, mended)
}

fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

/// The text with these whole lines blank, as long as it was.
fn without(text: &str, blank: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in blank {
        bytes[range.clone()].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// In their order; of several in a line the first, and of a list or an inline table that does not end its first line
/// that cannot be in it.
fn mistakes(text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let mut all: Vec<Mistake> = errors.iter().map(|error| Mistake::of(text, error)).collect();
    all.sort_by_key(|mistake| mistake.at.start);
    let mut last: Option<usize> = None;
    all.dedup_by(|mistake, kept| {
        let from = last.unwrap_or(kept.at.start);
        last = Some(mistake.at.start);
        let same_line = !text[from..mistake.at.start].contains('\n') && mistake.what != KEY_TWICE;
        if same_line && kept.mend.is_none() {
            kept.mend = mistake.mend.take();
        }
        same_line
    });
    if let Some(found) = all.iter().position(|mistake| mistake.shows_no_end(text)) {
        let table = line_start(text, all[found].at.start);
        let same = |mistake: &Mistake| mistake.is_within() && !text[mistake.at.start..table].contains("\n[");
        let first = found - all[..found].iter().rev().take_while(|mistake| same(mistake)).count();
        all.truncate(first + 1);
        let mistake = &mut all[first];
        mistake.help = Some("does what stands before this lack its `]` or `}`?");
        let end = table.saturating_sub(1);
        mistake.swallowed = mistake.at.start.min(end)..end;
        // All of its table but the header: where it began to go wrong is not known.
        let whole = block(text, mistake.swallowed.clone());
        let header = text[whole.clone()].starts_with('[').then(|| text[whole.start..table].find('\n'));
        let body = whole.start + header.flatten().map_or(0, |end| end + 1);
        mistake.mend = (body < table).then_some(body..table);
    }
    all
}

impl Mistake {
    fn of(text: &str, error: &toml::de::Error) -> Self {
        let (at, message) = (error.span().unwrap_or_default(), error.message());
        let (found, rest) = (&text[at.clone()], &text[at.start..]);
        let mut mistake = Self { swallowed: at.clone(), at, what: message.into(), help: None, mend: None };
        let quotes = if message.contains("literal") { "'''" } else { "\"\"\"" };
        if message.starts_with("invalid multi-line") && rest.trim().is_empty() {
            // Nothing after its beginning can have ended it.
            let begin = text.rfind(quotes).unwrap_or(mistake.at.start);
            mistake.what = "this string does not end".into();
            mistake.at = begin..text.len().min(begin + quotes.len());
            mistake.swallowed.start = begin;
        } else if found.starts_with(char::is_alphabetic) {
            mistake.help = Some("if this is a string, write it in quotes");
            // What begins like `inf` or `nan` is taken for a number.
            if message.starts_with("invalid float") {
                mistake.what = "string values must be quoted".into();
            }
        } else if message.starts_with("string values must be quoted")
            && rest.trim_start_matches([' ', '\t', '\r']).starts_with(['\n', '#'])
        {
            mistake.what = "a value is missing".into();
        }
        if message.starts_with("key with no value") {
            let line = line_start(text, mistake.at.start);
            mistake.mend = Some(line..rest.find('\n').map_or(text.len(), |end| mistake.at.start + end));
        } else if message.starts_with("unclosed array table") {
            mistake.mend = Some(block(text, mistake.at.clone()));
        }
        mistake
    }

    /// Whether it is about what stands in a list or in an inline table.
    fn is_within(&self) -> bool {
        ["in array", "array elements", "unclosed array,", "inline table element", "key-value pairs"]
            .iter()
            .any(|words| self.what.contains(words))
    }

    /// Whether a list or an inline table has no end: it goes on to the header of a table, or to the end of the text.
    fn shows_no_end(&self, text: &str) -> bool {
        let rest = &text[line_start(text, self.at.start)..];
        let header = || rest.trim_start_matches('[').starts_with(|c: char| c.is_alphabetic() || c == '_');
        self.is_within() && (rest.trim().is_empty() || rest.starts_with('[') && header())
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |before| before + 1)
}

/// The table that `span` is in: from the last line that begins with a bracket to the next such line.
fn block(text: &str, span: Range<usize>) -> Range<usize> {
    let (before, after) = (&text[..span.start], &text[span.end..]);
    let line = line_start(text, span.start);
    let own = text[line..].trim_start().starts_with('[').then_some(line);
    let start = own.or_else(|| before.rfind("\n[").map(|at| at + 1)).unwrap_or(0);
    start..after.find("\n[").map_or(text.len(), |at| span.end + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn parse(text: &str) -> (usize, Vec<Range<usize>>) {
        let sources = Sources::new("x.toml", text);
        let mut problems = Vec::new();
        let tree = Tree::parse(FileIx::MAIN, sources.main(), &mut problems);
        (problems.len(), tree.doubtful)
    }

    #[test]
    fn a_syntax_error_casts_doubt_on_its_table_and_no_other() {
        let text = "a = 1\n[b]\nc = \n[d]\ne = 1\n[[f]\ng = 1";
        let (count, doubtful) = parse(text);
        assert_eq!(count, 2);
        assert_eq!(
            doubtful.iter().map(|block| &text[block.clone()]).collect::<Vec<_>>(),
            ["[b]\nc = ", "[[f]\ng = 1"]
        );
        assert_eq!(parse("a = 1\na = 2"), (1, vec![]), "a key given twice is clear enough");
    }

    #[test]
    fn one_slip_is_one_error_where_it_was_made() {
        let said = |text: &str| {
            let sources = Sources::new("x.toml", text);
            let mut problems = Vec::new();
            let tree = Tree::parse(FileIx::MAIN, sources.main(), &mut problems);
            let lines: Vec<_> = problems
                .iter()
                .map(|problem| sources.main().position(problem.place().unwrap().span().start).0)
                .collect();
            (lines, tree.doubtful.iter().map(|block| text[block.clone()].to_owned()).collect::<Vec<_>>())
        };
        let rest = "b = \"x\"\n";
        let list = format!("[a]\nl = [\"1\", \"2\"\n{rest}");
        let table = format!("[a]\nl = [1 2]\nt = {{ k = \"1\"\n{rest}");
        let string = format!("[a]\ns = \"\"\"1\n{rest}");
        assert_eq!(said(&list), (vec![3], vec![list.clone()]));
        assert_eq!(said(&format!("{list}[b]\n")), (vec![3], vec![list.trim_end().to_owned()]));
        assert_eq!(said(&format!("{table}[b]\n")), (vec![2, 4], vec![table.trim_end().to_owned()]));
        assert_eq!(said(&string), (vec![2], vec![string.clone()]));
        assert_eq!(said("l = [\n[1 2],\n[3 4],\n]").0, [2, 3]);
        assert_eq!(said("[a]\nb: \"x\"\n[c]\nd = \"C:\\Users\\x\"\n").0, [2, 4]);
        assert_eq!(said("a = {x = 1, x = 2, x = 3}").0, [1, 1], "each key that is there already");
    }

    #[test]
    fn what_comes_after_a_mistake_is_read_all_the_same() {
        let wrong = [
            "b \"x\"",
            "b: \"x\"",
            "a b = 1",
            "\"a = 1",
            "\"",
            "'a",
            "[[a",
            "[a",
            "a = {b = 1",
            "a = [1",
            "= 1",
            "a = 1 = 2",
            "a = [1,\n  2\nc = {\n",
            "{\"a\": 1}",
            "ä = 1",
        ];
        for wrong in wrong {
            let text = format!("[z]\n{wrong}\n[log]\nusers = 1\nn = x\n[[user]]\n");
            let sources = Sources::new("x.toml", text.as_str());
            let mut problems = Vec::new();
            let tree = Tree::parse(FileIx::MAIN, sources.main(), &mut problems);
            assert_eq!(problems.len(), 2, "{text}: {problems:?}");
            let users = tree.table.get("log").and_then(|log| log.get_ref().get("users"));
            assert_eq!(users.map(|users| &text[users.span()]), Some("1"), "{text}");
            assert!(tree.table.contains_key("user"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_not_listed_line_by_line() {
        let csv = "fa8bf3dc,Reception desk,2001\n".repeat(5_000);
        let (count, doubtful) = parse(&csv);
        assert_eq!((count, doubtful.len(), &doubtful[0]), (ERRORS_MAX + 1, 1, &(0..csv.len())));
    }
}
