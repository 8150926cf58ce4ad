//! What is said of groups and users of the directories.

use std::time::Duration;

use super::line::line;
use super::lines::chain;
use crate::daemon::directory::Failure;

/// A group has other members than before. `members`: how many it has now.
pub fn group_changed(app: &str, group: &str, added: usize, removed: usize, members: usize) {
    line!(
        INFO,
        "group_changed",
        app = app,
        group = group,
        added = added,
        removed = removed,
        members = members,
    );
}

/// A group lacks so many of its members that this looks like an accident.
pub fn group_held(app: &str, group: &str, removed: usize, of: usize) {
    line!(
        WARN,
        "group_held",
        app = app,
        group = group,
        removed = removed,
        of = of,
        advice = "its members stay as they were; if this is meant: presenced reload --accept-shrink",
    );
}

/// A group was not read. `members`: how many it goes on to have, where it was read before.
pub fn group_read_failed(app: &str, group: &str, failure: &Failure, wait: Duration, members: Option<usize>) {
    line!(
        WARN,
        "group_read_failed",
        app = app,
        group = group,
        cause = failure.class,
        status = failure.status,
        detail = failure.detail.as_deref(),
        advice = failure.advice,
        members = members,
        next_try_s = wait,
        request_id = failure.request_id.as_deref(),
    );
}

/// It is read again.
pub fn group_read_again(app: &str, group: &str) {
    line!(INFO, "group_read_again", app = app, group = group);
}

/// User principal names of an app cannot be looked up.
pub fn user_read_failed(app: &str, failure: &Failure, wait: Duration) {
    line!(
        WARN,
        "user_read_failed",
        app = app,
        cause = failure.class,
        status = failure.status,
        detail = failure.detail.as_deref(),
        advice = failure.advice,
        next_try_s = wait,
        request_id = failure.request_id.as_deref(),
    );
}

/// They can be again.
pub fn user_read_again(app: &str) {
    line!(INFO, "user_read_again", app = app);
}

/// A user principal name is somebody's. `was`: whose it was.
pub fn user_found(app: &str, name: &str, user: &str, was: Option<&str>) {
    line!(INFO, "user_found", app = app, name = name, user = user, was = was);
}

/// A user principal name is nobody's. `kept`: whose it was, whose session goes on.
pub fn user_unknown(app: &str, name: &str, kept: Option<&str>) {
    let advice = match kept {
        Some(_) => "renamed, or gone: write the name of today, or take the user out; the session goes on",
        None => "check the name: it is the user principal name, which may differ from the mail address",
    };
    line!(WARN, "user_unknown", app = app, name = name, user = kept, advice = advice);
}

/// What the directories have said could not be kept.
pub fn directory_unkept(error: &dyn std::error::Error) {
    line!(
        ERROR,
        "directory_unkept",
        error = chain(error),
        advice = "a start would not know the members of groups until they are read",
    );
}

/// What the directories had said could not be read at a start.
pub fn directory_damaged(error: &dyn std::error::Error) {
    line!(
        ERROR,
        "directory_damaged",
        error = chain(error),
        advice = "members of groups, and users by principal name, are known once they are read; until then nobody whose \
                  app reads a group is removed",
    );
}
