//! Which line of a config says what a user shows outside of schedules: of the places that say a state, the strongest.

use super::file::Contents;
use super::read::Key;
use super::settings::Group;
use super::source::{FileIx, Place, Sources};
use super::stated::Stated;
use super::syntax::Tree;
use super::{Loaded, directory::Who};
use crate::keeper::id::{LaneKey, UserId};

/// A place that says a state, in words: `[[group]] desk at conf.d/10-hq.toml:31`; `None`: no TOML file says one for this
/// user, or a row of a list may.
#[must_use]
pub fn of_state(loaded: &Loaded, lane: &LaneKey, user: UserId) -> Option<String> {
    let Loaded { settings, sources, .. } = loaded;
    let contents: Vec<Contents> = sources.files().map(|(file, source)| read(file, source, sources)).collect();
    let main = contents.first()?;
    let said = |what: String, stated: &Stated| {
        stated.state.given().map(|state| format!("{what} at {}", line(sources, state.at)))
    };
    let users = contents.iter().flat_map(|file| file.users.iter().map(move |user| (file, user)));
    let mut own = users.filter(|(_, entry)| is(&entry.id, user)).peekable();
    let groups: Vec<&Group> = settings
        .groups
        .iter()
        .filter(|group| group.lane == *lane && group.members.binary_search(&user).is_ok())
        .collect();
    let of_group = |group: &Group| {
        let mut entries = contents.iter().flat_map(|file| file.groups.iter().map(move |entry| (file, entry)));
        entries.find(|(_, entry)| entry.name.value().is_some_and(|name| **name == *group.name))
    };
    // A row of a list may say more than all of these but a [[user]].
    let in_rows = own.peek().is_none() && groups.is_empty()
        || groups.iter().copied().filter_map(of_group).any(|(_, entry)| !entry.lists.is_empty());
    let (file, first) = match own.next() {
        Some((file, entry)) => (Some(file), said("[[user]]".to_owned(), &entry.stated)),
        None => (groups.first().copied().and_then(of_group).map(|(file, _)| file), None),
    };
    if first.is_none() && in_rows {
        return None;
    }
    let by_group = || {
        groups.iter().find_map(|group| said(format!("[[group]] {}", group.name), &of_group(group)?.1.stated))
    };
    first
        .or_else(by_group)
        .or_else(|| said("[defaults]".to_owned(), &file?.defaults))
        .or_else(|| said("[defaults]".to_owned(), &main.defaults))
}

fn read(file: FileIx, source: &super::source::Source, sources: &Sources) -> Contents {
    if !source.is_toml() {
        return Contents::default();
    }
    // It was admitted: there is nothing wrong with it.
    let mut problems = Vec::new();
    let main = sources.main().path().display().to_string();
    Tree::parse(file, source, &mut problems).read(&main, &mut problems)
}

fn is(id: &Key<Who>, user: UserId) -> bool {
    matches!(id.value(), Some(Who::Id(id)) if *id == user)
}

/// A place as it is shown in problems, without the column.
fn line(sources: &Sources, at: Place) -> String {
    let source = sources.get(at.file);
    let shown = source.path().strip_prefix(sources.main().directory()).unwrap_or(source.path());
    format!("{}:{}", shown.display(), source.position(at.span().start).0)
}
