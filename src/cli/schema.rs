//! `presenced schema`: the JSON Schema of the config, for editors.

use std::process::ExitCode;

use super::print;
use crate::config::schema::SCHEMA;

/// Prints the JSON Schema of the config.
#[derive(clap::Args, Clone, Debug)]
pub struct SchemaArgs {}

/// Prints the schema.
///
/// # Errors
/// Standard output cannot be written to.
pub fn run() -> anyhow::Result<ExitCode> {
    print(SCHEMA.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
