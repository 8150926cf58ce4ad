//! What is said of the files that are watched.

use std::io;

use super::line::line;

/// From now on a change of the config's files is a prompt to read them again.
pub fn watching(files: usize) {
    line!(INFO, "watching", files = files);
}

/// The kernel tells nothing, or not of all directories.
pub fn watch_limited(error: &io::Error) {
    line!(
        WARN,
        "watch_limited",
        error = error.to_string(),
        advice = "changes of the files are still noticed, within a minute; see fs.inotify.max_user_instances and \
                  max_user_watches",
    );
}
