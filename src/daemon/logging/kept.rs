//! What the daemon says of what it keeps on disk.

use std::io;
use std::path::Path;

use super::line::line;
use super::lines::chain;
use crate::daemon::ledger::Damage;

/// The ledger could not be written.
pub fn ledger_failed(leases: &Path, error: &io::Error) {
    line!(
        ERROR,
        "ledger_failed",
        path = leases.display().to_string(),
        error = error.to_string(),
        advice = "renewals go on; a restart now would not know all leases",
    );
}

/// The ledger can be written again.
pub fn ledger_works_again() {
    line!(INFO, "ledger_works_again");
}

/// A ledger file is not as it was written.
pub fn ledger_damaged(damage: &Damage) {
    line!(ERROR, "ledger_damaged", file = damage.file.display().to_string(), what = damage.what.to_string());
}

/// There is no ledger file, although a config was in force here before.
pub fn ledger_missing(leases: &Path) {
    line!(
        WARN,
        "ledger_missing",
        path = leases.display().to_string(),
        advice =
            "everyone is set anew, `presenced plan` says what that costs; who was removed meanwhile runs out",
    );
}

/// The accepted config could not be kept.
pub fn archive_failed(error: &dyn std::error::Error) {
    line!(
        ERROR,
        "archive_failed",
        error = chain(error),
        advice = "a start with a broken file would run on an older config, or not at all",
    );
}

/// Overrides, or who changed what, could not be written.
pub fn overrides_unkept(path: &Path, error: &io::Error) {
    line!(
        ERROR,
        "overrides_unkept",
        path = path.display().to_string(),
        error = error.to_string(),
        advice = "overrides are in force all the same; a restart now would not know them, nor the history who made them",
    );
}

/// They can be written again.
pub fn overrides_kept_again() {
    line!(INFO, "overrides_kept_again");
}

/// Lines on overrides could not be read at a start.
pub fn overrides_damaged(lines: usize, error: Option<&io::Error>) {
    line!(
        ERROR,
        "overrides_damaged",
        lines = (lines > 0).then_some(lines),
        error = error.map(ToString::to_string),
        advice = "what they said is not in force; the others are",
    );
}
