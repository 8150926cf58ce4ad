//! The example config, compiled in.

use std::path::PathBuf;

use super::Sources;

/// `config.example.toml`.
pub const TEXT: &str = include_str!("../../config.example.toml");
/// The list of phones that it names, and the name.
pub const PHONES: (&str, &str) = ("phones.example.csv", include_str!("../../phones.example.csv"));

/// Both, as if the config stood at `path`.
#[must_use]
pub fn sources(path: impl Into<PathBuf>) -> Sources {
    let path = path.into();
    let beside = path.with_file_name(PHONES.0);
    Sources::new(path, TEXT).with(beside, PHONES.1)
}
