//! `[[notify]]`: what takes more than one key to see, and whether what is to be run is there.

use std::path::Path;

use rustix::fs::{Access, access};

use crate::config::file::Contents;
use crate::config::notify::Notify;
use crate::config::problem::{Code, Problem, shown_path};

/// As many as there are conditions, each for a few teams.
const NOTIFY_MAX: usize = 32;

/// What `[[notify]]` means.
pub(super) fn notify(main: &Contents, problems: &mut Vec<Problem>) -> Vec<Notify> {
    if let Some(beyond) = main.notify.get(NOTIFY_MAX) {
        let message = format!("there are {} [[notify]]", main.notify.len());
        problems
            .push(Problem::new(Code::OutOfRange, beyond.at, message).label(format!("at most {NOTIFY_MAX}")));
    }
    let mut all = Vec::with_capacity(main.notify.len());
    for entry in &main.notify {
        for (key, absent) in [("on", entry.on.is_absent()), ("command", entry.command.is_absent())] {
            if absent {
                let message = format!("[[notify]] needs `{key}`");
                problems.push(Problem::new(Code::MissingKey, entry.at, message));
            }
        }
        if let (Some(on), Some(command)) = (entry.on.value(), entry.command.value()) {
            let hold = entry.hold.value().copied().unwrap_or_default();
            all.push(Notify { on: on.clone(), hold, command: command.clone() });
        }
    }
    all
}

/// Says what cannot be run. It may still come, so it is no error.
pub(super) fn check(main: &Contents, problems: &mut Vec<Problem>) {
    for command in main.notify.iter().filter_map(|entry| entry.command.given()) {
        let Some(path) = command.value.first().map(|program| Path::new(program.as_ref())) else { continue };
        let why = match path.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            Err(error) => error.to_string(),
            Ok(file) if !file.is_file() => "it is no regular file".to_owned(),
            Ok(_) if access(path, Access::EXEC_OK).is_err() => "this user may not execute it".to_owned(),
            Ok(_) => continue,
        };
        let message = format!("{} cannot be run: {why}", shown_path(path));
        problems.push(Problem::new(Code::CommandUnusable, command.at, message).label("nobody will be told"));
    }
}
