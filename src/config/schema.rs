//! The config's JSON Schema (draft 2020-12), by which editors complete keys and refuse unknown ones. It holds for one
//! file at a time; what takes more than one table to see is left to `presenced check`. The tests hold it to the tables
//! of keys that the files are read by.

/// The text of `config.schema.json`.
pub const SCHEMA: &str = include_str!("../../config.schema.json");
