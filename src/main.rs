//! The command: parses, and picks the exit code.

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;
use presenced::cli::{Cli, exit};

fn main() -> ExitCode {
    // Wrong usage ends in here, with 2.
    let cli = Cli::parse();
    match catch_unwind(|| cli.run()) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            // Nobody is left to tell when stderr is gone.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            exit::FAILURE.into()
        }
        // The panic has been reported where it happened.
        Err(_) => exit::BUG.into(),
    }
}
