//! The files that a config is written in: their texts, each read once, and places in them.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags};

use super::footprint::Footprint;

/// The largest TOML file that is read. What is larger was named by mistake.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// The largest CSV file that is read: a million users as the Entra portal exports them, with all their columns, take
/// about 350 MB. It also lets places be 32 bits.
pub const TABLE_BYTES_MAX: u64 = 512 << 20;

/// The largest calendar that is read. The holidays of a country for ten years take about 100 kB.
const CALENDAR_BYTES_MAX: u64 = 4 << 20;

/// Every file of a config, path and text, the main one first.
#[derive(Clone, Debug)]
pub struct Sources {
    files: Vec<Arc<Source>>,
    pub(super) footprint: Arc<Footprint>,
}

impl Sources {
    /// A config of one text. Its path is for messages, and relative names in it are relative to the path's directory.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self::from(Source::new(path.into(), text.into()))
    }

    /// The same with one more file, as if the main one included it, or, by its name, as one that other
    /// entries ask for.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.files.push(Arc::new(Source::new(path.into(), text.into())));
        self
    }

    /// Path and text of each, the main one first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Path, &str)> {
        self.files.iter().map(|file| (file.path(), file.text()))
    }

    /// Where a text is first found, compared without case: `conf.d/10-hq.toml:31`, the path as it is shown in problems.
    #[must_use]
    pub fn line_with(&self, text: &str) -> Option<String> {
        let wanted = text.to_ascii_lowercase();
        self.iter().find_map(|(path, file)| {
            let line = file.lines().position(|line| line.to_ascii_lowercase().contains(&wanted))?;
            let directory = self.main().directory();
            let shown = path.strip_prefix(directory).unwrap_or(path);
            Some(format!("{}:{}", shown.display(), line + 1))
        })
    }

    /// What they were read from; of texts that were in hand, nothing.
    #[must_use]
    pub fn footprint(&self) -> &Arc<Footprint> {
        &self.footprint
    }

    /// How many files they are, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.len()
    }

    pub(super) fn main(&self) -> &Arc<Source> {
        &self.files[0]
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (FileIx, &Arc<Source>)> {
        (0..).map(FileIx).zip(&self.files)
    }

    pub(super) fn get(&self, file: FileIx) -> &Source {
        &self.files[file.0 as usize]
    }

    pub(super) fn push(&mut self, source: Source) {
        self.files.push(Arc::new(source));
    }

    /// Puts another text in the place of a file's.
    pub(super) fn replace(&mut self, file: FileIx, text: String) {
        let replaced = &mut self.files[file.0 as usize];
        *replaced = Arc::new(Source::new(replaced.path.clone(), text));
    }
}

impl From<Source> for Sources {
    fn from(main: Source) -> Self {
        Self { files: vec![Arc::new(main)], footprint: Arc::default() }
    }
}

/// One file.
pub(super) struct Source {
    path: PathBuf,
    text: String,
    /// Where each line begins; needed only when there is something to show.
    lines: OnceLock<Vec<usize>>,
    /// The text as it is parsed, where it has mistakes that a parser does not get over.
    mended: OnceLock<String>,
}

/// Without the text: it may hold the password of a proxy, and a secret that was written into it by mistake.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Source {
    /// A byte order mark at the start of `text` is dropped: some editors write one.
    fn new(path: PathBuf, mut text: String) -> Self {
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Self { path, text, lines: OnceLock::new(), mended: OnceLock::new() }
    }

    /// Reads a regular file of UTF-8, at most [`FILE_BYTES_MAX`] bytes.
    pub(super) fn read(path: &Path) -> Result<Self, Unreadable> {
        let bytes = bytes_of(path, FILE_BYTES_MAX)?;
        Ok(Self::new(path.to_owned(), utf8(bytes).map_err(|line| Unreadable::NotUtf8 { line })?))
    }

    /// Reads a CSV file as spreadsheets write it, at most [`TABLE_BYTES_MAX`] bytes: UTF-8, or UTF-16 that says so by
    /// its byte order mark, lines that end in any way.
    pub(super) fn read_table(path: &Path) -> Result<Self, Unreadable> {
        let bytes = bytes_of(path, TABLE_BYTES_MAX)?;
        let mut text = match bytes.as_slice() {
            [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
            [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
            _ if bytes.iter().take(64).any(|&b| b == 0) => return Err(Unreadable::NoTable),
            _ => utf8(bytes).map_err(|line| Unreadable::TableNotUtf8 { line })?,
        };
        if text.contains('\r') && !text.contains('\n') {
            text = text.replace('\r', "\n");
        }
        Ok(Self::new(path.to_owned(), text))
    }

    /// Reads a calendar, UTF-8, at most [`CALENDAR_BYTES_MAX`] bytes.
    pub(super) fn read_calendar(path: &Path) -> Result<Self, Unreadable> {
        let bytes = bytes_of(path, CALENDAR_BYTES_MAX)?;
        Ok(Self::new(path.to_owned(), utf8(bytes).map_err(|line| Unreadable::NotUtf8 { line })?))
    }

    /// Whether this is a TOML file, by its name: all else is something of its own.
    pub(super) fn is_toml(&self) -> bool {
        !is_table(&self.path) && !is_calendar(&self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Keeps the text as it is parsed, for as long as what was parsed of it.
    pub(super) fn mended(&self, text: String) -> &str {
        self.mended.get_or_init(|| text)
    }

    /// The directory that relative names in it are relative to.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The line of a byte, from 1, and its column in characters, from 1.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let line = self.line_of(at);
        let column = self.text.get(self.lines()[line]..at).map_or(0, |before| before.chars().count());
        (line + 1, column + 1)
    }

    /// The bytes of the lines that `span` touches, and the number of the first of them, from 1.
    pub(super) fn whole_lines(&self, span: Range<usize>) -> (Range<usize>, usize) {
        let (first, last) = (self.line_of(span.start), self.line_of(span.end.max(span.start)));
        let end = self.lines().get(last + 1).map_or(self.text.len(), |next| next - 1);
        // A line of Windows' ends before its carriage return.
        let shorter = self.text[..end].strip_suffix('\r').map_or(end, str::len);
        (self.lines()[first]..if shorter < span.end { end } else { shorter }, first + 1)
    }

    fn line_of(&self, at: usize) -> usize {
        self.lines().partition_point(|&start| start <= at) - 1
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let after_breaks =
                self.text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after_breaks).collect()
        })
    }
}

/// Whether a file of this name is read as CSV. A secret that lies beside the config is none.
pub(super) fn is_table(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("csv") || extension.eq_ignore_ascii_case("tsv")
}

/// Whether a file of this name is read as iCalendar.
pub(super) fn is_calendar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ics"))
}

/// What is in a regular file of at most `most` bytes.
fn bytes_of(path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len().min(most);
    // One byte more, so that the end is seen without growing.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Unreadable::TooLarge { mib: most >> 20 });
    }
    Ok(bytes)
}

/// The text, or the line where it is none.
fn utf8(bytes: Vec<u8>) -> Result<String, usize> {
    String::from_utf8(bytes).map_err(|e| {
        let upto = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        1 + upto.iter().filter(|&&b| b == b'\n').count()
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Unreadable> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Unreadable::NotUtf16);
    }
    char::decode_utf16(pairs.iter().copied().map(unit))
        .collect::<Result<_, _>>()
        .map_err(|_| Unreadable::NotUtf16)
}

/// Opens a regular file; a pipe or a device is refused without waiting for it.
pub(super) fn open_regular(path: &Path) -> Result<File, Unreadable> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    if !file.metadata()?.is_file() {
        return Err(Unreadable::NotRegular);
    }
    Ok(file)
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{}", plainly(.0))]
    Io(#[from] io::Error),
    #[error("it is no regular file")]
    NotRegular,
    #[error("it is larger than {mib} MiB")]
    TooLarge { mib: u64 },
    #[error("it is not UTF-8 (line {line})")]
    NotUtf8 { line: usize },
    #[error("it is not UTF-8 (line {line}): save it as \"CSV UTF-8\", which Excel offers besides \"CSV\"")]
    TableNotUtf8 { line: usize },
    #[error("it begins as UTF-16 and does not go on so: save it as \"CSV UTF-8\"")]
    NotUtf16,
    #[error(
        "it is no text: if this is a workbook or UTF-16 without a byte order mark, save it as \"CSV UTF-8\""
    )]
    NoTable,
}

/// What the system says, without its number.
fn plainly(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

/// Which file: its place among the [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct FileIx(pub(super) u32);

impl FileIx {
    pub(super) const MAIN: Self = Self(0);
}

/// Some bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Place {
    pub(super) file: FileIx,
    start: u32,
    end: u32,
}

impl Place {
    pub(super) fn new(file: FileIx, span: Range<usize>) -> Self {
        let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, start: narrow(span.start), end: narrow(span.end) }
    }

    pub(super) fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_and_in_characters() {
        let source = Source::new("x".into(), "\u{feff}ä = 1\r\nb = 2".to_owned());
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(5), (1, 5), "the umlaut takes two bytes");
        assert_eq!(source.position(8), (2, 1));
        assert_eq!(source.position(13), (2, 6), "the end");
        assert_eq!(source.whole_lines(9..10), (8..13, 2));
        assert_eq!(source.whole_lines(0..9), (0..13, 1));
    }

    #[test]
    fn what_is_no_regular_utf8_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        let why = |path: &Path| Source::read(path).unwrap_err().to_string();
        assert_eq!(why(&path), "there is no such file");
        assert_eq!(why(dir.path()), "it is no regular file");
        std::fs::write(&path, b"a = 1\nb = \"\xff\"").unwrap();
        assert_eq!(why(&path), "it is not UTF-8 (line 2)");
        File::create(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert_eq!(why(&path), "it is larger than 64 MiB");
    }
}
