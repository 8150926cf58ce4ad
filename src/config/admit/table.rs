//! One CSV file as an `[[users_from]]` sees it: what stands between its cells, which column is which, and what its rows
//! hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::csv::{Cell, Fault, Rows, SEPARATORS, reduced};
use crate::config::problem::{Code, Problem, shown};
use crate::config::read::{Reader, did_you_mean};
use crate::config::source::{FileIx, Place, Placed, Source};
use crate::config::users_from::{Column, Field};
use crate::keeper::id::Guid;

/// A file whose header was understood.
pub(super) struct Table<'t> {
    text: &'t str,
    file: FileIx,
    separator: u8,
    /// How many cells the header has.
    width: usize,
    /// Which cell of a row holds a setting.
    cell_of: [Option<usize>; Field::COUNT],
    rows: Rows<'t>,
    cells: Vec<Cell>,
    /// Where the row at hand begins.
    row_at: usize,
}

/// Which part of a file was asked for, by all that asked.
pub(in crate::config) struct Used {
    header_at: usize,
    separator: u8,
    width: usize,
    cells: BTreeSet<usize>,
}

impl Used {
    /// The text with that part alone; nothing where it is all of it.
    pub(in crate::config) fn only(&self, text: &str) -> Option<String> {
        (self.cells.len() < self.width).then(|| reduced(text, self.header_at, self.separator, &self.cells))
    }
}

impl<'t> Table<'t> {
    /// Reads the header; nothing, and the reason among the problems, where it has not every one of `columns`.
    pub(super) fn open(source: &'t Source, columns: &[Column], reader: &mut Reader<'_>) -> Option<Self> {
        let text = source.text();
        let (at, separator) = preamble(text);
        let separator = separator.unwrap_or_else(|| sniffed(text, at, columns));
        let mut rows = Rows::new(text, at, separator);
        let mut cells = Vec::new();
        let header = loop {
            let header_at = rows.at();
            match rows.next(&mut cells) {
                None => {
                    let problem =
                        Problem::new(Code::Columns, source.path().to_owned(), "this file has no header");
                    reader.push(problem.help("its first line has to name the columns"));
                    return None;
                }
                Some(Err(fault)) => {
                    reader.push(faulty(fault, reader.file));
                    return None;
                }
                Some(Ok(())) if cells.iter().all(|cell| cell.is_blank(text)) => {}
                Some(Ok(())) => break Header { text, file: reader.file, at: header_at, cells: &cells },
            }
        };
        let mut cell_of = [None; Field::COUNT];
        let mut sound = true;
        for column in columns {
            let found = header.find(column, reader);
            sound &= found.is_some();
            cell_of[column.field as usize] = found;
        }
        let width = cells.len();
        sound.then_some(Self { text, file: reader.file, separator, width, cell_of, rows, cells, row_at: at })
    }

    /// Notes which of its columns are asked for.
    pub(super) fn note(&self, used: &mut BTreeMap<FileIx, Used>) {
        let (header_at, separator, width) = (self.row_at, self.separator, self.width);
        let new = || Used { header_at, separator, width, cells: BTreeSet::new() };
        used.entry(self.file).or_insert_with(new).cells.extend(self.cell_of.iter().flatten());
    }

    /// Goes on to the next row that has anything in it. `false`: it cannot be used, which was said. Nothing at the end.
    pub(super) fn next(&mut self, reader: &mut Reader<'_>) -> Option<bool> {
        loop {
            self.row_at = self.rows.at();
            match self.rows.next(&mut self.cells)? {
                Err(fault) => {
                    reader.push(faulty(fault, self.file));
                    return Some(false);
                }
                Ok(()) if self.cells.iter().all(|cell| cell.is_blank(self.text)) => {}
                Ok(()) => return Some(self.fits(reader)),
            }
        }
    }

    /// What the row at hand holds of a setting; nothing where the cell is empty, or not there.
    pub(super) fn value(&self, field: Field) -> Option<Placed<Cow<'t, str>>> {
        let cell = self.cells.get(self.cell_of[field as usize]?)?;
        if cell.is_blank(self.text) {
            return None;
        }
        let at = Place::new(self.file, cell.span(self.text));
        Some(Placed { value: cell.text(self.text), at })
    }

    /// The whole row at hand.
    pub(super) fn row(&self) -> Place {
        let row = self.text[self.row_at..self.rows.at()].trim_end();
        Place::new(self.file, self.row_at..self.row_at + row.len())
    }

    /// Cells beyond the header are none of anything's, unless they are empty. Missing ones are empty: Excel leaves out
    /// separators at the end of rows.
    fn fits(&self, reader: &mut Reader<'_>) -> bool {
        let beyond = self.cells.get(self.width..).unwrap_or_default();
        let Some(first) = beyond.iter().find(|cell| !cell.is_blank(self.text)) else { return true };
        let (count, width) = (self.cells.len(), self.width);
        let message = format!("this row has {count} cells, the header has {width}");
        let at = Place::new(self.file, first.span(self.text));
        let separator = match self.separator {
            b'\t' => "a tab".to_owned(),
            other => format!("`{}`", char::from(other)),
        };
        let help = format!("a cell with {separator} in it is written in double quotes");
        reader.push(Problem::new(Code::Row, at, message).label("no column for this").help(help));
        false
    }
}

/// The first row with anything in it.
struct Header<'t, 'c> {
    text: &'t str,
    file: FileIx,
    at: usize,
    cells: &'c [Cell],
}

impl Header<'_, '_> {
    /// Which cell has a column's name; says so where it is none, or two.
    fn find(&self, column: &Column, reader: &mut Reader<'_>) -> Option<usize> {
        let mut found =
            (0..).zip(self.cells).filter(|(_, cell)| is_named(cell, self.text, &column.name.value));
        let Some((index, first)) = found.next() else {
            reader.push(self.missing(column));
            return None;
        };
        if let Some((_, second)) = found.next() {
            let message = format!("two columns are called {}", shown(&column.name.value));
            let place = |cell: &Cell| Place::new(self.file, cell.span(self.text));
            let problem = Problem::new(Code::Columns, place(second), message);
            reader.push(problem.label("second column").also(place(first), "first column"));
            return None;
        }
        Some(index)
    }

    fn missing(&self, column: &Column) -> Problem {
        let names: Vec<Cow<'_, str>> = self.cells.iter().map(|cell| cell.text(self.text)).collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).filter(|name| !name.is_empty()).collect();
        let message = format!("this file has no column {}", shown(&column.name.value));
        let near = did_you_mean(&column.name.value, &names);
        let cell = self.cells.iter().find(|cell| near.is_some_and(|near| cell.text(self.text) == near));
        let cells = cell.or(self.cells.first()).into_iter().chain(cell.or(self.cells.last()));
        let span = cells.map(|cell| cell.span(self.text)).reduce(|a, b| a.start..b.end);
        let problem =
            Problem::new(Code::Columns, Place::new(self.file, span.unwrap_or(self.at..self.at)), message);
        let problem = match near {
            Some(near) => problem.label(format!("did you mean {}?", shown(near))),
            None => problem.label("the columns that it has"),
        };
        let problem = problem.also(column.name.at, "asked for here");
        if names.iter().any(|name| name.parse::<Guid>().is_ok()) {
            return problem.help("the first line has to name the columns; this one seems to be a user");
        }
        const NAMED_MAX: usize = 40;
        let mut listed: Vec<String> = names.iter().take(NAMED_MAX).map(|name| shown(name)).collect();
        listed.extend((names.len() > NAMED_MAX).then(|| format!("{} more", names.len() - NAMED_MAX)));
        problem.help(format!("its columns: {}", listed.join(", ")))
    }
}

fn is_named(cell: &Cell, text: &str, name: &str) -> bool {
    cell.text(text).to_lowercase() == name.to_lowercase()
}

/// What stands before the header, and where that begins: `sep=;` tells Excel the separator, `#TYPE` is what Windows
/// PowerShell begins its CSV with.
fn preamble(text: &str) -> (usize, Option<u8>) {
    let line = text.split_inclusive('\n').next().unwrap_or_default();
    let said = line.trim_end_matches(['\r', '\n', '"']).trim_start_matches('"');
    if said.get(..5).is_some_and(|type_| type_.eq_ignore_ascii_case("#TYPE")) {
        return (line.len(), None);
    }
    match said.as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] if separator.is_ascii() => {
            (line.len(), Some(*separator))
        }
        _ => (0, None),
    }
}

/// The separator by which most of the columns are found in the header, or else the one that parts it most.
fn sniffed(text: &str, at: usize, columns: &[Column]) -> u8 {
    let fitness = |separator: u8| {
        let (mut rows, mut cells) = (Rows::new(text, at, separator), Vec::new());
        while rows
            .next(&mut cells)
            .is_some_and(|row| row.is_ok_and(|()| cells.iter().all(|c| c.is_blank(text))))
        {}
        let has = |column: &&Column| cells.iter().any(|cell| is_named(cell, text, &column.name.value));
        (columns.iter().filter(has).count(), cells.len())
    };
    // Of equals the last is taken: the comma.
    SEPARATORS.into_iter().rev().max_by_key(|separator| fitness(*separator)).unwrap_or(b',')
}

fn faulty(fault: Fault, file: FileIx) -> Problem {
    match fault {
        Fault::Unclosed(at) => {
            let at = Place::new(file, at..at + 1);
            Problem::new(Code::Row, at, "this cell has no closing quote")
                .label("begins here")
                .help("a quote inside a quoted cell is written twice: \"\"")
        }
        Fault::AfterQuote(at) => {
            let at = Place::new(file, at..at);
            Problem::new(Code::Row, at, "text after the closing quote of a cell")
                .label("a separator or the end of the line is needed here")
                .help("a quote inside a quoted cell is written twice: \"\"")
        }
    }
}
