//! The set-up of `docs/many-tenants`, with 3,000 users.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::exits::presenced_says;
use crate::keys::Keys;
use crate::site::id;

const TENANTS: usize = 12;
const USERS_OF_EACH: usize = 250;

fn documented() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/many-tenants")
}

/// The files of a directory of the set-up, by name.
fn files(directory: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(documented().join(directory)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let text = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
    };
    files.map(text).collect()
}

/// The set-up as it stands, where a list is missing or short with users up to the full number, and a token.
fn set_up() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let text = Keys::shared().federated("https://oidc.example", "system:serviceaccount:a:b", &json!({}));
    fs::write(&token, text).unwrap();
    let main = fs::read_to_string(documented().join("config.toml")).unwrap();
    let documented_token = "/var/run/secrets/azure/tokens/azure-identity-token";
    assert!(main.contains(documented_token));
    fs::write(dir.path().join("config.toml"), main.replace(documented_token, token.to_str().unwrap()))
        .unwrap();
    for directory in ["conf.d", "users"] {
        fs::create_dir(dir.path().join(directory)).unwrap();
    }
    let mut lists = files("users");
    for (n, (name, text)) in (0..).zip(files("conf.d")) {
        fs::write(dir.path().join("conf.d").join(&name), text).unwrap();
        let name = name.replace(".toml", ".csv");
        let mut list = lists.remove(&name).unwrap_or_else(|| "userPrincipalName,displayName,id\n".to_owned());
        for user in list.lines().count() - 1..USERS_OF_EACH {
            let id = id(n * 1_000 + u32::try_from(user).unwrap());
            writeln!(list, "u{user}@example.org,User {user},{id}").unwrap();
        }
        fs::write(dir.path().join("users").join(name), list).unwrap();
    }
    assert!(lists.is_empty(), "lists of no tenant: {lists:?}");
    dir
}

#[tokio::test]
async fn twelve_tenants_are_admitted_without_a_warning_and_every_user_is_kept() {
    let dir = set_up();
    let config = dir.path().join("config.toml");
    let config = config.to_str().unwrap();
    let check = presenced_says(&["check", "--deny-warnings", "--config", config]).await;
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
    assert!(
        check.stdout.starts_with("ok: 3000 sessions in 12 apps from 25 files; config "),
        "{}",
        check.stdout
    );

    let plan = presenced_says(&["plan", "--json", "--config", config]).await;
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let apps = plan["apps"].as_array().unwrap();
    assert_eq!(apps.len(), TENANTS);
    for app in apps {
        assert_eq!((&app["sessions"], &app["fits"]), (&USERS_OF_EACH.into(), &true.into()), "{app}");
    }

    // As it is in the documents, but for users, on a machine that has no token.
    fs::copy(documented().join("config.toml"), config).unwrap();
    let check = presenced_says(&["check", "--no-environment", "--deny-warnings", "--config", config]).await;
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
    let page = fs::read_to_string(documented().join("README.md")).unwrap();
    assert!(page.contains(&check.stdout), "the page shows another answer than {}", check.stdout);
}

#[test]
fn no_line_of_the_set_up_is_written_twice() {
    let (main, tenants) = (files(""), files("conf.d"));
    assert_eq!(tenants.len(), TENANTS);
    let texts = main.iter().filter(|(name, _)| name.ends_with(".toml")).chain(&tenants);
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut lines = 0;
    for (name, text) in texts {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '['])) {
            let first = seen.insert(line, name);
            assert!(first.is_none(), "`{line}` stands in {} and {name}", first.unwrap_or_default());
            lines += 1;
        }
    }
    assert!(lines >= 2 * TENANTS, "{lines}");
}
