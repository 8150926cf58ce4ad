//! Rows and cells of a CSV text, as RFC 4180 and Excel write them: each cell with its bytes, so that a problem can be
//! shown where it is. It copies nothing and knows nothing of what the columns mean.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// What may stand between cells. Excel takes `;` where the comma is in numbers, and tabs in "Unicode text".
pub(super) const SEPARATORS: [u8; 3] = *b",;\t";

/// Goes through a text, row by row.
#[derive(Clone)]
pub(super) struct Rows<'t> {
    text: &'t str,
    at: usize,
    separator: u8,
}

/// One cell, without the quotes around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    start: usize,
    end: usize,
    /// There are quotes in it, each written twice.
    doubled: bool,
}

/// What no reader of CSV would agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A cell begins with a quote here, and no other closes it.
    Unclosed(usize),
    /// Text goes on here, after the closing quote.
    AfterQuote(usize),
}

impl<'t> Rows<'t> {
    /// From the byte `at` on, where a row begins.
    pub(super) fn new(text: &'t str, at: usize, separator: u8) -> Self {
        Self { text, at, separator }
    }

    /// Where the next row begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Reads the next row into `cells`; nothing at the end. After a fault it goes on with the next line.
    pub(super) fn next(&mut self, cells: &mut Vec<Cell>) -> Option<Result<(), Fault>> {
        cells.clear();
        let bytes = self.text.as_bytes();
        if self.at >= bytes.len() {
            return None;
        }
        loop {
            match self.cell() {
                Ok(cell) => cells.push(cell),
                Err(fault) => return Some(Err(fault)),
            }
            let end = bytes.get(self.at).copied();
            self.at += usize::from(end.is_some());
            if end != Some(self.separator) {
                return Some(Ok(()));
            }
        }
    }

    /// Reads a cell up to the separator or line break behind it.
    fn cell(&mut self) -> Result<Cell, Fault> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        if bytes.get(start) != Some(&b'"') {
            self.at = self.find(start, |b| b == b'\n' || b == self.separator);
            return Ok(Cell { start, end: self.at, doubled: false });
        }
        let mut doubled = false;
        let mut end = self.find(start + 1, |b| b == b'"');
        while bytes.get(end + 1) == Some(&b'"') {
            doubled = true;
            end = self.find(end + 2, |b| b == b'"');
        }
        if end == bytes.len() {
            self.at = end;
            return Err(Fault::Unclosed(start));
        }
        self.at = self.find(end + 1, |b| b != b' ' && b != b'\r');
        match bytes.get(self.at) {
            Some(&b) if b != b'\n' && b != self.separator => {
                let at = self.at;
                self.at = bytes.len().min(1 + self.find(at, |b| b == b'\n'));
                Err(Fault::AfterQuote(at))
            }
            _ => Ok(Cell { start: start + 1, end, doubled }),
        }
    }

    /// The first byte that is `wanted`, from `at` on, or else the end.
    fn find(&self, at: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        rest.iter().position(|&b| wanted(b)).map_or(self.text.len(), |n| at + n)
    }
}

/// The text again with these cells of each row only, from the byte `at` on, where its header is. It begins with a
/// line that says what stands between them.
pub(super) fn reduced(text: &str, at: usize, separator: u8, kept: &BTreeSet<usize>) -> String {
    let separator_char = char::from(separator);
    let mut out = format!("sep={separator_char}\n");
    let (mut rows, mut cells) = (Rows::new(text, at, separator), Vec::new());
    while let Some(row) = rows.next(&mut cells) {
        if row.is_err() || cells.iter().all(|cell| cell.is_blank(text)) {
            continue;
        }
        for (place, index) in kept.iter().enumerate() {
            if place > 0 {
                out.push(separator_char);
            }
            if let Some(cell) = cells.get(*index) {
                out.push_str(cell.raw(text));
            }
        }
        out.push('\n');
    }
    out.shrink_to_fit();
    out
}

impl Cell {
    /// As it is written, with the quotes around it, and without white space that has no meaning.
    fn raw<'t>(&self, text: &'t str) -> &'t str {
        // Before a cell without quotes there is a separator, or a line break.
        let quoted = self.start > 0 && text.as_bytes()[self.start - 1] == b'"';
        if quoted {
            return &text[self.start - 1..=self.end];
        }
        let inner = text[self.start..self.end].trim_end();
        // A space before a quote is what makes it a part of the text.
        if inner.trim_start().starts_with('"') { inner } else { inner.trim_start() }
    }

    /// What it holds, without white space around it.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let inner = text[self.start..self.end].trim();
        if self.doubled { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) }
    }

    /// Whether it holds nothing but white space.
    pub(super) fn is_blank(&self, text: &str) -> bool {
        self.start == self.end || text[self.start..self.end].trim().is_empty()
    }

    /// The bytes of what it holds.
    pub(super) fn span(&self, text: &str) -> Range<usize> {
        let inner = &text[self.start..self.end];
        let start = self.end - inner.trim_start().len();
        start..start.max(self.start + inner.trim_end().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, separator: u8) -> Vec<Result<Vec<String>, Fault>> {
        let mut rows = Rows::new(text, 0, separator);
        let (mut cells, mut all) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next(&mut cells) {
            all.push(row.map(|()| cells.iter().map(|cell| cell.text(text).into_owned()).collect()));
        }
        all
    }

    fn row(cells: &[&str]) -> Result<Vec<String>, Fault> {
        Ok(cells.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn cells_are_read_as_excel_writes_them() {
        let text =
            "id;name\r\n1;\"Doe; Jane\"\r\n2;\"say \"\"hi\"\"\"\r\n\r\n3;\"two\nlines\" ;\r\n4; 5\" wide ";
        let expected = [
            row(&["id", "name"]),
            row(&["1", "Doe; Jane"]),
            row(&["2", "say \"hi\""]),
            row(&[""]),
            row(&["3", "two\nlines", ""]),
            row(&["4", "5\" wide"]),
        ];
        assert_eq!(rows(text, b';'), expected);
        assert_eq!(rows("a,\"\",", b','), [row(&["a", "", ""])]);
        assert_eq!(rows("", b','), []);
    }

    #[test]
    fn a_fault_is_placed_and_the_next_line_is_read() {
        let text = "\"Hansi\" Meier,1\nx,2\n\"never closed,3\ny,4";
        let expected = [Err(Fault::AfterQuote(8)), row(&["x", "2"]), Err(Fault::Unclosed(20))];
        assert_eq!(rows(text, b','), expected);
        assert_eq!(rows("\"", b','), [Err(Fault::Unclosed(0))]);
        assert_eq!(rows("\"a\"\"", b','), [Err(Fault::Unclosed(0))]);
        assert_eq!(rows("\"a\"b", b','), [Err(Fault::AfterQuote(3))]);
    }

    #[test]
    fn a_text_is_reduced_to_the_cells_that_are_kept() {
        let text = "x\nid;n;p\r\n1;\"a;\"\"b\"; 49\r\n;;\r\n2\r\n\"3\" ;c;\"two\nlines\"";
        let kept = reduced(text, 2, b';', &[0, 1].into());
        assert_eq!(kept, "sep=;\nid;n\n1;\"a;\"\"b\"\n2;\n\"3\";c\n");
        assert_eq!(reduced(text, 2, b';', &[2].into()), "sep=;\np\n49\n\n\"two\nlines\"\n");
    }

    #[test]
    fn a_quote_behind_a_space_is_still_none_around_a_cell_when_the_text_is_reduced() {
        let text = "id,name,mail\n1, \"Jo\" Doe ,x\n";
        let kept = reduced(text, 0, b',', &[0, 1].into());
        assert_eq!(kept, "sep=,\nid,name\n1, \"Jo\" Doe\n");
        assert_eq!(rows(&kept, b',')[2], row(&["1", "\"Jo\" Doe"]));
    }

    #[test]
    fn a_cell_knows_the_bytes_of_what_it_holds() {
        let text = "a , \"b\",\"  c \",  ";
        let (mut cells, mut rows) = (Vec::new(), Rows::new(text, 0, b','));
        rows.next(&mut cells);
        let spans: Vec<&str> = cells.iter().map(|cell| &text[cell.span(text)]).collect();
        assert_eq!(spans, ["a", "\"b\"", "c", ""]);
        assert!(cells[3].is_blank(text) && !cells[2].is_blank(text));
    }
}
