//! What is said of the commands of `[[notify]]`: of a command its program alone, as its arguments may be secret.

use super::line::line;

/// A command was run, and ended well.
pub fn notified(condition: &str, state: &str, app: Option<&str>, program: &str) {
    line!(INFO, "notified", of = condition, state = state, app = app, command = program);
}

/// A command was not run, or did not end well. `output` is the first line of what it said.
pub fn notify_failed(
    condition: &str,
    state: &str,
    app: Option<&str>,
    program: &str,
    error: &dyn std::error::Error,
    output: Option<String>,
) {
    line!(
        WARN,
        "notify_failed",
        of = condition,
        state = state,
        app = app,
        command = program,
        error = error.to_string(),
        output = output,
        advice = "it is not run again for this; what the service may run, systemd decides, too",
    );
}

/// Commands take too long for what there is to tell.
pub fn notices_dropped(waiting: usize) {
    line!(
        WARN,
        "notices_dropped",
        waiting = waiting,
        advice = "what comes now is not told: see what takes the commands so long",
    );
}
