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
    pub(super) table: DeTable<'t>,
    /// The tables that a syntax error is in, from header to header, ascending: what is read of them may be nonsense.
    doubtful: Vec<Range<usize>>,
}

impl<'t> Tree<'t> {
    pub(super) fn parse(file: FileIx, source: &'t Source, problems: &mut Vec<Problem>) -> Self {
        let text = source.text();
        let (tree, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
        let count = errors.len();
        let mut doubtful: Vec<Range<usize>> = Vec::new();
        for error in errors.into_iter().take(ERRORS_MAX) {
            let span = error.span().unwrap_or_default();
            let at = Place::new(file, span.clone());
            // A table that is there twice is two tables in one; each of them can be read.
            if error.message() == "duplicate key" {
                problems.push(Problem::new(Code::Syntax, at, "key given twice").label("it is already there"));
                continue;
            }
            let problem = Problem::new(Code::Syntax, at, format!("syntax: {}", error.message()));
            let word = text[span.clone()].starts_with(|c: char| c.is_alphabetic());
            problems.push(if word {
                problem.help("if this is a string, write it in quotes")
            } else {
                problem
            });
            if doubtful.last().is_none_or(|block| block.end < span.start) {
                doubtful.push(block(text, span));
            }
        }
        if count > ERRORS_MAX {
            let path = source.path().to_owned();
            let message = format!("{} more syntax errors: is this a TOML file?", count - ERRORS_MAX);
            problems.push(Problem::new(Code::Syntax, path, message));
            doubtful.clear();
            doubtful.push(0..text.len());
        }
        Self { file, table: Spanned::into_inner(tree), doubtful }
    }

    /// Whether all of it can be trusted.
    pub(super) fn is_sound(&self) -> bool {
        self.doubtful.is_empty()
    }

    /// Reads it; what is wrong in a doubtful part is left unsaid until the syntax is right.
    pub(super) fn read(self, main_path: &str, problems: &mut Vec<Problem>) -> Contents {
        let mut found = Vec::new();
        let mut reader = Reader { file: self.file, problems: &mut found };
        let contents = Contents::read(&mut reader, &self.table, main_path);
        found.retain(|problem| problem.place().is_none_or(|place| !self.is_doubtful(&place.span())));
        problems.append(&mut found);
        contents
    }

    fn is_doubtful(&self, span: &Range<usize>) -> bool {
        let first = self.doubtful.partition_point(|block| block.end <= span.start);
        self.doubtful.get(first).is_some_and(|block| block.start <= span.end)
    }
}

/// The table that `span` is in: from the last line that begins with a bracket to the next such line.
fn block(text: &str, span: Range<usize>) -> Range<usize> {
    let (before, after) = (&text[..span.start], &text[span.end..]);
    let line = before.rfind('\n').map_or(0, |at| at + 1);
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
    fn a_file_that_is_no_toml_is_not_listed_line_by_line() {
        let csv = "fa8bf3dc,Reception desk,2001\n".repeat(5_000);
        let (count, doubtful) = parse(&csv);
        assert_eq!((count, doubtful.len(), &doubtful[0]), (ERRORS_MAX + 1, 1, &(0..csv.len())));
    }
}
