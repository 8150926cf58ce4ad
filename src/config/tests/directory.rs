//! Groups and users that a directory knows: what is asked of it, and what its word comes to.

use super::*;
use crate::config::directory::{Directory, Member};
use crate::config::load_sources_known;
use crate::keeper::id::{Guid, LaneKey, UserId};

fn id(n: u128) -> UserId {
    Guid::from_u128(0xfa8b_f3dc_eca7_46b7_bad1_0000_0000_0000 + n)
}

const GROUP: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afd0";

fn text() -> String {
    format!(
        r#"{APP}
[[user]]
id = "Reception@Contoso.com"
activity = "InACall"
aliases = ["2001"]

[[user]]
id = "{}"
name = "Ben"

[[group]]
name = "queue"
availability = "Away"
members = ["{}", "anna@contoso.com"]
entra_group = "{GROUP}"
"#,
        id(2),
        id(3)
    )
}

fn with(text: &str, directory: &Directory) -> Loaded {
    load_sources_known(Sources::new("config.toml", text), Look::TextsAlone, directory)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn lane(loaded: &Loaded) -> LaneKey {
    loaded.settings.apps[0].lane()
}

/// A directory in which the group has these members, and names are these users'.
fn saying(lane: &LaneKey, members: &[(u128, Option<&str>)], names: &[(&str, Option<u128>)]) -> Directory {
    let members = members.iter().map(|(n, name)| Member::new(id(*n), *name)).collect();
    let names = names.iter().map(|(name, n)| ((lane.clone(), (*name).into()), n.map(id)));
    Directory { groups: [((lane.clone(), GROUP.parse().unwrap()), members)].into(), users: names.collect() }
}

fn users(loaded: &Loaded) -> Vec<(UserId, String)> {
    let sessions = loaded.plan.lanes().iter().flat_map(|lane| &lane.sessions);
    sessions
        .map(|s| (s.user, s.wish.map(|wish| wish.state.activity().to_owned()).unwrap_or_default()))
        .collect()
}

#[test]
fn without_a_directory_nobody_is_known_and_it_is_said_what_is_asked() {
    let loaded = with(&text(), &Directory::default());
    assert_eq!(users(&loaded), [(id(2), "Available".to_owned()), (id(3), "Away".to_owned())]);
    let lane = lane(&loaded);
    let groups: Vec<_> = loaded.asks.groups.iter().map(|((of, id), name)| (of, *id, &**name)).collect();
    assert_eq!(groups, [(&lane, GROUP.parse().unwrap(), "queue")]);
    let names: Vec<_> = loaded.asks.users.iter().map(|(of, name)| (of, &**name)).collect();
    assert_eq!(names, [(&lane, "anna@contoso.com"), (&lane, "reception@contoso.com")]);
    assert_eq!(codes(&loaded.warnings).iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["N003"]);
    let said = loaded.warnings.render(false);
    assert!(said.contains("one Entra group and 2 user principal names"), "{said}");
    assert!(said.contains("GroupMember.Read.All") && said.contains("User.ReadBasic.All"), "{said}");
}

#[test]
fn what_a_directory_says_is_followed_and_changes_no_hash() {
    let unknown = with(&text(), &Directory::default());
    let names = [("reception@contoso.com", Some(1)), ("anna@contoso.com", Some(4))];
    let members = [(2, Some("Benjamin")), (5, Some("Carla Diaz")), (6, None)];
    let loaded = with(&text(), &saying(&lane(&unknown), &members, &names));
    let expected = [(1, "InACall"), (2, "Away"), (3, "Away"), (4, "Away"), (5, "Away"), (6, "Away")];
    assert_eq!(users(&loaded), expected.map(|(n, state)| (id(n), state.to_owned())));
    assert_eq!(loaded.settings.hash, unknown.settings.hash);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let person = |n| loaded.settings.people.get(&id(n));
    let name = |n| person(n).and_then(|person| person.name.as_deref());
    assert_eq!((name(2), name(5), name(6)), (Some("Ben"), Some("Carla Diaz"), None));
    let aliases: Vec<_> = person(1).unwrap().aliases.iter().map(AsRef::as_ref).collect();
    assert_eq!(aliases, ["2001", "Reception@Contoso.com"], "commands may name her as the config does");
    assert_eq!(&*loaded.settings.groups[0].members, [id(2), id(3), id(4), id(5), id(6)]);
    let again = with(&text().replace("anna@", "ann@"), &Directory::default());
    assert_ne!(again.settings.hash, loaded.settings.hash, "what is written counts");
    let again = with(&text().replace("afd0", "afd1"), &Directory::default());
    assert_ne!(again.settings.hash, loaded.settings.hash);
}

#[test]
fn a_name_that_is_nobodys_has_no_session_and_is_no_error() {
    let lane = lane(&with(&text(), &Directory::default()));
    let loaded = with(&text(), &saying(&lane, &[], &[("reception@contoso.com", None)]));
    assert_eq!(users(&loaded).len(), 2);
}

#[test]
fn a_name_of_somebody_who_is_written_too_gives_way() {
    let lane = lane(&with(&text(), &Directory::default()));
    let extra = format!("[[user]]\nid = \"ben@contoso.com\"\n[[user]]\nid = \"b@contoso.com\"\n{}", text());
    let text = extra.replace(APP, "");
    let text = format!("{APP}{text}");
    let names = [
        ("ben@contoso.com", Some(2)),
        ("b@contoso.com", Some(7)),
        ("reception@contoso.com", Some(7)),
        ("anna@contoso.com", Some(2)),
    ];
    let loaded = with(&text, &saying(&lane, &[], &names));
    let found: Vec<_> = codes(&loaded.warnings).into_iter().map(|(code, _)| code).collect();
    assert_eq!(found.iter().filter(|code| *code == "W019").count(), 2, "{:?}", loaded.warnings);
    let expected = [(2, "Away"), (3, "Away"), (7, "Available")];
    assert_eq!(users(&loaded), expected.map(|(n, state)| (id(n), state.to_owned())));
    // The same name twice is a mistake of whoever wrote it.
    let twice = format!("{text}[[user]]\nid = \"BEN@contoso.com\"\n");
    let problems = load_sources(Sources::new("config.toml", twice), Look::TextsAlone).unwrap_err();
    assert!(codes(&problems).iter().any(|(code, _)| code == "E021"), "{problems:?}");
}

#[test]
fn a_config_of_nothing_but_a_group_is_fine() {
    let text = format!("{APP}[[group]]\nname = \"queue\"\nentra_group = \"{GROUP}\"\n");
    let loaded = with(&text, &Directory::default());
    assert_eq!(codes(&loaded.warnings).len(), 1, "{:?}", loaded.warnings);
    assert_eq!(loaded.plan.len(), 0);
}

#[test]
fn rows_of_a_table_may_name_users_by_their_principal_names() {
    let text = format!("{APP}[[users_from]]\nfile = \"u.csv\"\n");
    let sources = |text: &str| Sources::new("config.toml", text).with("u.csv", "id\nAnna@contoso.com\n");
    let unknown = load_sources(sources(&text), Look::TextsAlone).unwrap();
    assert_eq!(unknown.asks.users.len(), 1);
    let directory = saying(&lane(&unknown), &[], &[("anna@contoso.com", Some(4))]);
    let loaded = load_sources_known(sources(&text), Look::TextsAlone, &directory).unwrap();
    assert_eq!(users(&loaded), [(id(4), "Available".to_owned())]);
}
