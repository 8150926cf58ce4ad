//! What an admitted config means: what is inherited, what is the default, what its hash counts.

use super::*;
use crate::config::settings::{ConfigHash, LogUsers, OnStop, Proxy, StartWith};
use crate::keeper::{OnRemove, Quota};
use std::time::Duration;

const RECEPTION: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";

fn with_user(keys: &str) -> String {
    format!("{APP}\n[[user]]\nid = \"{RECEPTION}\"\n{keys}\n")
}

fn wish_of(keys: &str) -> Option<(PresenceState, u8)> {
    wishes(&read(&with_user(keys)).unwrap())[0]
}

#[test]
fn what_the_file_leaves_out_has_the_documented_default() {
    let settings = read(&with_user("")).unwrap().settings;
    let daemon = &settings.daemon;
    assert_eq!(daemon.state_dir, Path::new("/var/lib/presenced"));
    assert_eq!((daemon.on_stop, daemon.on_remove), (OnStop::Leave, OnRemove::Clear));
    assert_eq!((daemon.stop_timeout, daemon.max_removed), (Duration::from_secs(10), 20));
    assert_eq!(daemon.start_with, StartWith::LastGood);
    assert_eq!((settings.network.proxy, settings.network.ca_file), (Proxy::None, None));
    assert_eq!(settings.log_users, LogUsers::Id);
    let app = &settings.apps[0];
    assert_eq!(app.quota, Quota::PRESENCE);
    assert_eq!(app.cloud.graph.as_str(), "https://graph.microsoft.com/");
    assert_eq!(
        app.token_endpoint(),
        "https://login.microsoftonline.com/9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877/oauth2/v2.0/token"
    );
}

#[test]
fn one_of_the_two_keys_settles_the_other_but_for_busy() {
    use PresenceState::*;
    let cases = [
        ("", Some((Available, 60))),
        ("availability = \"available\"", Some((Available, 60))),
        ("availability = \"Away\"", Some((Away, 60))),
        ("availability = \"doNotDisturb\"", Some((Presenting, 60))),
        ("activity = \"inacall\"", Some((InACall, 60))),
        ("activity = \"InAConferenceCall\"", Some((InAConferenceCall, 60))),
        ("activity = \"Presenting\"", Some((Presenting, 60))),
        ("availability = \"BUSY\"\nactivity = \"INACALL\"", Some((InACall, 60))),
        ("availability = \"none\"", None),
        ("availability = \"None\"\nexpiration = \"5m\"", None),
    ];
    for (keys, wish) in cases {
        assert_eq!(wish_of(keys), wish, "{keys}");
    }
}

#[test]
fn an_expiration_is_taken_in_every_usual_spelling() {
    for text in ["PT1H30M", "PT90M", "PT5400S", "90m", "1h 30m", "1h30m", "1.5h", "90 minutes", "P0DT90M"] {
        let wish = wish_of(&format!("expiration = \"{text}\""));
        assert_eq!(wish, Some((PresenceState::Available, 90)), "{text}");
    }
    for (text, minutes) in [("PT5M", 5), ("PT4H", 240), ("240m", 240)] {
        assert_eq!(wish_of(&format!("expiration = \"{text}\"")).unwrap().1, minutes, "{text}");
    }
}

#[test]
fn a_default_is_inherited_as_a_pair_and_a_file_may_have_its_own() {
    let user = |n: u8| format!("[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db199b62af{n:02x}\"\n");
    let main = format!(
        "{}{}{}availability = \"Away\"\n",
        APP.replace(
            "availability = \"Available\"",
            "availability = \"Busy\"\nactivity = \"InACall\"\nexpiration = \"2h\""
        ),
        user(1),
        user(2),
    );
    let own = format!("[defaults]\nactivity = \"Presenting\"\n{}", user(3));
    let other = user(4);
    let sources = Sources::new("config.toml", main).with("conf.d/1.toml", own).with("conf.d/2.toml", other);
    let loaded = load_sources(sources, Look::TextsAlone).unwrap();
    use PresenceState::*;
    let expected = [(InACall, 120), (Away, 120), (Presenting, 120), (InACall, 120)];
    assert_eq!(wishes(&loaded), expected.map(Some));
}

#[test]
fn apps_inherit_what_they_do_not_say_and_their_name_is_put_in() {
    let text = r#"
[defaults.app]
tenant = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877"
cloud = "us-gov-l5"
credential = { secret_file = "secrets/{app}.secret" }
[[app]]
name = "b"
client_id = "00000000-0000-0000-0000-000000000002"
[[app]]
name = "a"
client_id = "00000000-0000-0000-0000-000000000001"
cloud = { graph = "http://127.0.0.1:8000", login = "http://localhost:8000/" }
credential = { secret_env = "SECRET_OF_{app}" }
quota = { requests = 10, per = "1s" }
"#;
    let sources = Sources::new("/etc/presenced/config.toml", text);
    let apps = load_sources(sources, Look::TextsAlone).unwrap().settings.apps;
    use crate::config::settings::Credential::*;
    let [a, b] = &apps[..] else { panic!("two apps") };
    assert_eq!((&*a.name, &*b.name), ("a", "b"), "in the order of their keys");
    assert_eq!(a.credential, SecretEnv("SECRET_OF_a".into()));
    assert_eq!(b.credential, SecretFile("/etc/presenced/secrets/b.secret".into()));
    assert_eq!(a.tenant, b.tenant);
    assert_eq!(a.scope(), "http://127.0.0.1:8000/.default");
    assert_eq!(b.cloud.graph.as_str(), "https://dod-graph.microsoft.us/");
    assert_eq!(a.quota, Quota { requests: 10, per: Duration::from_secs(1) });
}

fn hash(text: &str) -> ConfigHash {
    read(text).unwrap().settings.hash
}

#[test]
fn a_hash_counts_what_is_meant_and_not_how_it_is_written() {
    let one = "[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc3\"\nname = \"Reception desk\"\naliases = [\"1\", \"2\"]\n";
    let two = "[[user]]\nid = \"0a5f6c1e-3b0d-4f57-9a6f-6f2e7c1d2001\"\navailability = \"Busy\"\nactivity = \"InACall\"\n";
    let text = format!("{APP}{one}{two}");
    let same = [
        format!("{APP}{two}{one}"),
        format!("# a comment\n{APP}\n\n\n{one}{two}"),
        text.replace("fa8bf3dc", "FA8BF3DC")
            .replace("InACall", "inacall")
            .replace("[\"1\", \"2\"]", "['2', '1']"),
        format!(
            "{text}[daemon]\nstop_timeout = \"PT10S\"\non_stop = \"leave\"\nstate_dir = \"/var/lib//presenced\"\n"
        ),
        format!("{text}app = \"contoso\"\n"),
        format!("{text}[daemon]\nreload = [\"sighup\"]\n"),
        text.replace("[[app]]", "[[app]]\ncloud = \"global\"\nquota = { requests = 1500, per = \"30s\" }"),
    ];
    for other in &same {
        assert_eq!(hash(other), hash(&text), "{other}");
    }
    let sources = Sources::new("/srv/config.toml", APP).with("/srv/conf.d/1.toml", format!("{one}{two}"));
    let split = load_sources(sources, Look::TextsAlone).unwrap();
    assert_eq!(split.settings.hash, hash(&text), "files do not count");

    let different = [
        text.replace("InACall", "InAConferenceCall"),
        text.replace("Reception desk", "Reception"),
        text.replace("\"2\"", "\"3\""),
        text.replace("contoso.secret", "other.secret"),
        // Not looked for among systemd's credentials.
        text.replace("contoso.secret", "./contoso.secret"),
        format!("{text}priority = 1\n"),
        format!("{text}expiration = \"2h\"\n"),
        format!("{text}[daemon]\nmax_removed = \"21%\"\n"),
        format!("{text}[daemon]\nstop_timeout = \"11s\"\n"),
        format!("{text}[daemon]\non_remove = \"leave\"\n"),
        format!("{text}[daemon]\nreload = [\"watch\", \"sighup\"]\n"),
        format!("{text}[[notify]]\non = [\"lapsed\"]\ncommand = [\"/bin/a\"]\n"),
        format!("{text}[[notify]]\non = [\"lapsed\", \"parked\"]\ncommand = [\"/bin/a\"]\n"),
        format!("{text}[[notify]]\non = [\"lapsed\"]\nfor = \"5m\"\ncommand = [\"/bin/a\"]\n"),
        format!("{text}[[notify]]\non = [\"lapsed\"]\ncommand = [\"/bin/a\", \"b\"]\n"),
        format!("{text}[network]\nproxy = \"env\"\n"),
        format!("{text}[network]\nca_file = \"x\"\n"),
        format!("{text}[log]\nusers = \"name\"\n"),
        format!("{text}[ping]\nurl = \"https://a.example.org/1\"\n"),
        format!("{text}[ping]\nurl = \"https://a.example.org/2\"\n"),
        format!("{text}[ping]\nurl = \"https://a.example.org/2\"\nevery = \"2m\"\n"),
        text.replace("[[app]]", "[[app]]\ncloud = \"us-gov-l4\""),
        text.replace("[[app]]", "[[app]]\nquota = { requests = 1501, per = \"30s\" }"),
        format!("{APP}{one}"),
    ];
    let hashes: std::collections::BTreeSet<[u8; 32]> =
        different.iter().chain([&text]).map(|text| hash(text).0).collect();
    assert_eq!(hashes.len(), different.len() + 1, "each of them is another");
}

#[test]
fn a_signal_always_reloads_and_a_change_of_the_files_where_it_is_asked_for() {
    let watch = |reload: &str| {
        let loaded = read(&format!("{APP}[daemon]\nreload = {reload}\n"));
        loaded.map(|loaded| loaded.settings.daemon.watch)
    };
    assert!(!watch("[\"sighup\"]").unwrap());
    assert!(watch("[\"sighup\", \"watch\"]").unwrap());
    for wrong in ["[]", "[\"watch\"]", "\"watch\"", "[\"sighup\", \"poll\"]"] {
        assert!(watch(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_user_of_two_apps_has_two_sessions_and_one_name() {
    let second = APP.replace("availability = \"Available\"", "").replace("[defaults]", "");
    let second = second.replace("contoso", "fabrikam").replace("22553876", "33553876");
    let user = |app: &str, name: &str| format!("[[user]]\nid = \"{RECEPTION}\"\napp = \"{app}\"\n{name}\n");
    let text = format!(
        "{APP}{second}{}{}",
        user("contoso", "name = \"Reception\""),
        user("fabrikam", "aliases = [\"1\"]")
    );
    let loaded = read(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.plan.len(), 2);
    let person = &loaded.settings.people[&RECEPTION.parse().unwrap()];
    assert_eq!(person.name.as_deref(), Some("Reception"));
    assert_eq!(person.aliases, ["1".into()].into());
}
