//! Who is meant by a word on the command line.

use crate::config::settings::{Person, Settings};
use crate::keeper::Plan;
use crate::keeper::id::UserId;

/// More candidates than this are not named.
const CANDIDATES: usize = 5;

/// Finds the user of `plan` that `word` means: an object id, an exact name or alias, compared without case, or the
/// beginning of one that fits nobody else.
///
/// # Errors
///
/// Nobody is meant, or several may be: a sentence that says so and names them.
pub fn find(word: &str, settings: &Settings, plan: &Plan) -> Result<UserId, String> {
    let word = word.to_lowercase();
    let mut users: Vec<UserId> =
        plan.lanes().iter().flat_map(|lane| &lane.sessions).map(|s| s.user).collect();
    users.sort_unstable();
    users.dedup();
    let called = |user: &UserId, fits: &dyn Fn(&str) -> bool| {
        let person = settings.people.get(user);
        fits(&user.to_string())
            || person.is_some_and(|person| words(person).any(|word| fits(&word.to_lowercase())))
    };
    let exact: Vec<UserId> =
        users.iter().copied().filter(|user| called(user, &|name| name == word)).collect();
    let near =
        || users.iter().copied().filter(|user| called(user, &|name| name.starts_with(&word))).collect();
    let found: Vec<UserId> = if exact.is_empty() && !word.is_empty() { near() } else { exact };
    match found[..] {
        [] => Err(format!("no user of the config is called `{word}`")),
        [user] => Ok(user),
        _ => {
            let mut names: Vec<String> =
                found.iter().take(CANDIDATES).map(|user| shown(*user, settings)).collect();
            if found.len() > CANDIDATES {
                names.push(format!("{} more", found.len() - CANDIDATES));
            }
            Err(format!("`{word}` may be one of {}: {}", found.len(), names.join(", ")))
        }
    }
}

/// The user's name, where there is one, and id.
pub fn shown(user: UserId, settings: &Settings) -> String {
    match settings.people.get(&user).and_then(|person| person.name.as_deref()) {
        Some(name) => format!("{name} ({user})"),
        None => user.to_string(),
    }
}

fn words(person: &Person) -> impl Iterator<Item = &str> {
    person.name.as_deref().into_iter().chain(person.aliases.iter().map(|alias| &**alias))
}
