//! How problems look: as rustc shows them, as JSON, and in one line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::redact::{redacted, redacted_rows};
use super::{At, Problem, Problems, Severity};
use crate::config::source::{FileIx, Place};

/// Places of one file that are at most this many bytes apart are shown in one piece.
const ONE_PIECE_BYTES: usize = 400;

/// What is longer is not shown, only where it is: it would be a line that nobody wrote by hand.
const SHOWN_BYTES_MAX: usize = 16 << 10;

impl Problems {
    /// All of them with their lines and carets, as rustc would show them, a blank line between; empty where there are
    /// none. What may be a secret is covered.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut texts = BTreeMap::new();
        let mut out = String::new();
        for problem in &self.found {
            for place in problem.places() {
                let source = self.sources.get(place.file);
                if source.is_toml() {
                    texts.entry(place.file).or_insert_with(|| redacted(source.text()));
                }
            }
            out.push_str(&renderer.render(&[self.group(problem, &texts)]));
            out.push_str("\n\n");
        }
        out
    }

    /// All of them as a list. Each has `severity`, `code`, `message`, `file`, `line` and `column` (from 1, in
    /// characters; absent when it is about the file as a whole), `label` at that place, `related` places and `help`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.found.iter().map(|problem| self.one_to_json(problem)).collect()
    }

    /// The first error, or else the first of them: `conf.d/20-sales.toml:4:12 unknown activity`.
    #[must_use]
    pub fn first_line(&self) -> String {
        let error = self.found.iter().find(|problem| problem.code.severity() == Severity::Error);
        let Some(first) = error.or(self.found.first()) else { return String::new() };
        match &first.at {
            At::File(path) => format!("{} {}", path.display(), first.message),
            At::Place(place) => {
                let (path, line, column) = self.position(*place);
                format!("{path}:{line}:{column} {}", first.message)
            }
        }
    }

    /// How many of which kind: `5 errors, 1 warning`.
    #[must_use]
    pub fn summary(&self) -> String {
        let kinds = [(self.errors(), "error"), (self.warnings(), "warning"), (self.notes(), "note")];
        let mut out = String::new();
        for (count, kind) in kinds.into_iter().filter(|(count, _)| *count > 0) {
            let (comma, s) = (if out.is_empty() { "" } else { ", " }, if count == 1 { "" } else { "s" });
            let _ = write!(out, "{comma}{count} {kind}{s}");
        }
        out
    }

    fn position(&self, place: Place) -> (String, usize, usize) {
        let source = self.sources.get(place.file);
        let (line, column) = source.position(place.span().start);
        (source.path().display().to_string(), line, column)
    }

    fn one_to_json(&self, problem: &Problem) -> Value {
        let mut one = json!({
            "severity": problem.code.severity().name(),
            "code": problem.code.text(),
            "message": problem.message,
            "help": problem.help,
        });
        match &problem.at {
            At::File(path) => one["file"] = path.display().to_string().into(),
            At::Place(place) => self.place_to_json(*place, &mut one),
        }
        if !problem.label.is_empty() {
            one["label"] = problem.label.as_str().into();
        }
        one["related"] = problem
            .related
            .iter()
            .map(|(place, label)| {
                let mut related = json!({ "label": label });
                self.place_to_json(*place, &mut related);
                related
            })
            .collect();
        one
    }

    fn place_to_json(&self, place: Place, one: &mut Value) {
        let (path, line, column) = self.position(place);
        one["file"] = path.into();
        one["line"] = line.into();
        one["column"] = column.into();
    }

    fn group<'a>(&'a self, problem: &'a Problem, texts: &'a BTreeMap<FileIx, Cow<'_, str>>) -> Group<'a> {
        let level = match problem.code.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(&problem.message).id(problem.code.text()));
        if let At::File(path) = &problem.at {
            group = group.element(Origin::path(path.display().to_string()));
        }
        for piece in pieces(problem) {
            let source = self.sources.get(piece.file);
            let (bytes, line) = source.whole_lines(piece.span.clone());
            if bytes.len() > SHOWN_BYTES_MAX {
                let (line, column) = source.position(piece.span.start);
                let path = source.path().display().to_string();
                group = group.element(Origin::path(path).line(line).char_column(column));
                let labels = piece.annotations.iter().map(|(_, _, label)| *label);
                group = group
                    .elements(labels.filter(|said| !said.is_empty()).map(|said| Level::NOTE.message(said)));
                continue;
            }
            let annotations = piece.annotations.into_iter().map(|(kind, span, label)| {
                let span = span.start - bytes.start..span.end.max(span.start) - bytes.start;
                let annotation: Annotation<'_> = kind.span(span);
                if label.is_empty() { annotation } else { annotation.label(label) }
            });
            // Of a table only the rows that are shown are looked through; it may have millions.
            let shown = match texts.get(&piece.file) {
                Some(text) => Cow::Borrowed(&text[bytes.clone()]),
                None => redacted_rows(&source.text()[bytes.clone()]),
            };
            let snippet = Snippet::source(shown)
                .line_start(line)
                .path(source.path().display().to_string())
                .annotations(annotations);
            group = group.element(snippet);
        }
        group.elements(problem.help.iter().map(|help| Level::HELP.message(help.as_str())))
    }
}

impl Problem {
    fn places(&self) -> impl Iterator<Item = Place> {
        self.place().into_iter().chain(self.related.iter().map(|(place, _)| *place))
    }
}

/// Lines of one file that are shown together.
struct Piece<'a> {
    file: FileIx,
    span: Range<usize>,
    annotations: Vec<(AnnotationKind, Range<usize>, &'a str)>,
}

/// What is shown of a problem, its own place first. Only the lines around a place are handed to the renderer, which
/// works through all it is given: files have millions of lines, and problems may be as many.
fn pieces(problem: &Problem) -> Vec<Piece<'_>> {
    let own = problem.place().map(|place| (AnnotationKind::Primary, place, problem.label.as_str()));
    let related =
        problem.related.iter().map(|(place, label)| (AnnotationKind::Context, *place, label.as_str()));
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    for (kind, place, label) in own.into_iter().chain(related) {
        let span = place.span();
        let near = pieces.iter_mut().find(|piece| {
            piece.file == place.file
                && span.start < piece.span.end + ONE_PIECE_BYTES
                && piece.span.start < span.end + ONE_PIECE_BYTES
        });
        match near {
            Some(piece) => {
                piece.span = piece.span.start.min(span.start)..piece.span.end.max(span.end);
                piece.annotations.push((kind, span, label));
            }
            None => {
                let annotations = vec![(kind, span.clone(), label)];
                pieces.push(Piece { file: place.file, span, annotations });
            }
        }
    }
    pieces
}
