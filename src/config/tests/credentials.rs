//! What proves an app: every way in, from the file to the settings, and what is said when it is looked into.

use super::environment::{Site, user};
use super::*;
use crate::config::certificate::tests::{KEY, certificate_for};
use crate::config::settings::{App, CertificateFiles, Credential, Identity};
use jiff::civil::date;

const TENANT: &str = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877";
const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";
const NOW: &str = "2026-11-24T16:08:41Z";

/// An app of its own in the one tenant.
fn app(n: u32, keys: &str) -> String {
    format!(
        "[[app]]\nname = \"app{n}\"\ntenant = \"{TENANT}\"\nclient_id = \"22553876-f5ab-4529-bffb-cfe50aa8{n:04}\"\n{keys}\n"
    )
}

/// These apps, of which the first has a user.
fn config<'k>(apps: impl IntoIterator<Item = &'k str>) -> String {
    let apps: String = (1..).zip(apps).map(|(n, keys)| app(n, keys)).collect();
    format!("{apps}{}app = \"app1\"\navailability = \"Away\"\n", user(1))
}

fn settled(keys: &str) -> App {
    let sources = Sources::new("/etc/presenced/config.toml", config([keys]));
    let loaded = load_sources(sources, Look::TextsAlone).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    loaded.settings.apps[0].clone()
}

/// An environment in which credentials have to be in force at this time.
fn at<'e>(time: &str, var: &'e dyn Fn(&str) -> Option<OsString>) -> Environment<'e> {
    Environment { at: Some(time.parse().unwrap()), ..around(var) }
}

#[test]
fn every_way_in_is_settled_with_the_name_of_the_app_put_in() {
    let credential = |written: &str| settled(&format!("credential = {{ {written} }}")).credential;
    let files = |certificate: &str, key: Option<&str>| {
        Credential::Certificate(CertificateFiles {
            certificate: certificate.into(),
            key: key.map(Into::into),
        })
    };
    assert_eq!(credential("certificate_file = \"{app}.pem\""), files("/etc/presenced/app1.pem", None));
    assert_eq!(
        credential("certificate_file = \"/c/{app}.crt\", key_file = \"k/{app}.key\""),
        files("/c/app1.crt", Some("/etc/presenced/k/app1.key"))
    );
    assert_eq!(
        credential("federated_token_file = \"/run/{app}/token\""),
        Credential::FederatedTokenFile("/run/app1/token".into())
    );
    assert_eq!(credential("managed_identity = true"), Credential::ManagedIdentity(Identity::SystemAssigned));
    assert_eq!(
        credential(&format!("managed_identity = \"{CLIENT}\"")),
        Credential::ManagedIdentity(Identity::UserAssigned(CLIENT.parse().unwrap()))
    );
    assert_eq!(
        credential("delegated = true"),
        Credential::SignedIn("/var/lib/presenced/login/app1.json".into())
    );
}

#[test]
fn an_app_knows_its_user_where_it_acts_for_one() {
    let expected = "fa8bf3dc-eca7-46b7-bad1-db1900000001".parse().unwrap();
    assert_eq!(settled("credential = { delegated = true }").user, Some(expected));
    assert_eq!(settled("credential = { secret_file = \"x\" }").user, None, "it acts for itself");
    let two = config(["credential = { secret_file = \"x\" }", "credential = { delegated = true }"]);
    let apps = read(&two).unwrap().settings.apps;
    assert!(
        apps.len() == 2 && apps.iter().all(|app| app.user.is_none()),
        "the config has no user of the other"
    );
}

#[test]
fn what_is_inherited_holds_where_it_can() {
    let defaults = format!(
        "[defaults.app]\nsecret_expires = 2027-03-01\ncae = true\ncredential = {{ secret_file = \"{{app}}.secret\" }}\n{}",
        config(["", "cae = false\nsecret_expires = 2027-04-01", "credential = { managed_identity = true }"])
    );
    let loaded = read(&defaults).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let settled: Vec<_> = loaded.settings.apps.iter().map(|app| (app.secret_expires, app.cae)).collect();
    let expected = [(Some(date(2027, 3, 1)), true), (Some(date(2027, 4, 1)), false), (None, false)];
    assert_eq!(settled, expected, "what does nothing is not there");
}

#[test]
fn a_state_directory_that_is_overridden_takes_the_refresh_tokens_along() {
    let mut settings = read(&config(["credential = { delegated = true }"])).unwrap().settings;
    settings.keep_in(Path::new("/elsewhere"));
    assert_eq!(settings.apps[0].credential, Credential::SignedIn("/elsewhere/login/app1.json".into()));
    assert_eq!(settings.daemon.state_dir, Path::new("/elsewhere"));
}

#[test]
fn every_way_and_every_key_of_it_counts_in_the_hash() {
    let written = [
        "credential = { secret_file = \"x\" }",
        "credential = { secret_file = \"x\" }\nsecret_expires = 2027-03-01",
        "credential = { secret_file = \"x\" }\nsecret_expires = 2027-03-02",
        "credential = { secret_file = \"x\" }\ncae = true",
        "credential = { secret_env = \"x\" }",
        "credential = { certificate_file = \"x\" }",
        "credential = { certificate_file = \"./x\" }",
        "credential = { certificate_file = \"x\", key_file = \"x\" }",
        "credential = { certificate_file = \"x\", key_file = \"y\" }",
        "credential = { federated_token_file = \"x\" }",
        "credential = { federated_token_file = \"y\" }",
        "credential = { managed_identity = true }",
        "credential = { managed_identity = \"22553876-f5ab-4529-bffb-cfe50aa89f87\" }",
        "credential = { managed_identity = \"22553876-f5ab-4529-bffb-cfe50aa89f88\" }",
        "credential = { delegated = true }",
    ];
    let hashes: std::collections::BTreeSet<[u8; 32]> =
        written.iter().map(|keys| read(&config([*keys])).unwrap().settings.hash.0).collect();
    assert_eq!(hashes.len(), written.len(), "each of them is another");
}

#[test]
fn credentials_are_looked_into_once_and_each_defect_is_said() {
    let certificate = |days| format!("{}{}", certificate_for(&KEY, days), *KEY);
    let good = [(2026, 1, 1), (2028, 1, 1)];
    let site = Site::new(&config([
        "credential = { certificate_file = \"good.pem\" }",
        "credential = { certificate_file = \"open.pem\" }",
        "credential = { certificate_file = \"public.crt\", key_file = \"open.key\" }",
        "credential = { certificate_file = \"public.crt\", key_file = \"missing.key\" }",
        "credential = { certificate_file = \"./missing.pem\" }",
        "credential = { certificate_file = \"old.pfx\" }",
        "credential = { certificate_file = \"ended.pem\" }",
        "credential = { certificate_file = \"ends.pem\" }",
        "credential = { certificate_file = \"tomorrow.pem\" }",
        "credential = { federated_token_file = \"./token\" }",
        "credential = { federated_token_file = \"./no-token\" }",
        "credential = { federated_token_file = \"missing-token\" }",
        "credential = { managed_identity = true }",
        "credential = { delegated = true }",
        "credential = { certificate_file = \"ended.pem\" }",
        "credential = { federated_token_file = \"./no-token\" }",
    ]))
    .file("good.pem", certificate(good))
    .file("open.pem", certificate(good))
    .mode("open.pem", 0o644)
    .file("public.crt", certificate_for(&KEY, good))
    .mode("public.crt", 0o644)
    .file("open.key", KEY.as_bytes())
    .mode("open.key", 0o660)
    .file("old.pfx", b"\x30\x82\x0a\x01\x02\x01\x03\x30")
    .file("ended.pem", certificate([(2025, 11, 24), (2026, 11, 24)]))
    .file("ends.pem", certificate([(2025, 12, 6), (2026, 12, 6)]))
    .file("tomorrow.pem", certificate([(2026, 11, 25), (2027, 11, 25)]))
    .file("token", "eyJh.eyJh.c2ln\n")
    .file("no-token", "{\"token\": \"canary\"}\n");
    let said = site.said(Some(&at(NOW, &|_| None)));
    assert!(!said.contains("canary") && !said.contains("MII"), "{said}");
    insta::assert_snapshot!(said);
    assert_eq!(site.said(None), "", "without the environment nobody looks");
    let asked_for_no_time = site.said(Some(&nowhere()));
    assert!(!asked_for_no_time.contains("ended on") && asked_for_no_time.contains("not well kept"));
}

#[test]
fn the_end_of_a_secret_is_told_thirty_days_ahead() {
    let said = |day: &str, now: &str| {
        let keys = format!("credential = {{ secret_env = \"S\" }}\nsecret_expires = {day}");
        let secret = |name: &str| (name == "S").then(|| "canary".into());
        let loaded = Site::new(&config([&*keys])).load(Some(&at(now, &secret))).unwrap();
        loaded.warnings.first_line().split_once("secret ").map(|(_, said)| said.to_owned())
    };
    let cases = [
        ("2026-12-25", None),
        ("2026-12-24", Some("ends on 2026-12-24, in 30 days")),
        ("2026-12-23", Some("ends on 2026-12-23, in 29 days")),
        ("2026-11-25", Some("ends on 2026-11-25, in 1 day")),
        ("2026-11-24", Some("ends on 2026-11-24, within a day")),
        ("2026-11-23", Some("ended on 2026-11-23: no token is given for it")),
    ];
    for (day, expected) in cases {
        assert_eq!(said(day, "2026-11-24T23:59:59Z").as_deref(), expected, "{day}");
    }
    let last = said("2026-11-23", "2026-11-23T23:59:59.999Z");
    assert_eq!(last.as_deref(), Some("ends on 2026-11-23, within a day"));
}

#[test]
fn the_end_of_a_certificate_is_told_thirty_days_ahead() {
    let site = Site::new(&config(["credential = { certificate_file = \"a.pem\" }"]))
        .file("a.pem", format!("{}{}", certificate_for(&KEY, [(2026, 1, 1), (2027, 1, 1)]), *KEY));
    let said = |now: &str| {
        let found = problems(site.load(Some(&at(now, &|_| None))));
        codes(&found).first().map(|(code, _)| code.clone()).unwrap_or_default()
    };
    for (now, code) in [
        ("2025-12-31T23:59:59Z", "W011"),
        ("2026-01-01T00:00:00Z", ""),
        ("2026-12-01T00:00:00Z", ""),
        ("2026-12-01T00:00:01Z", "W010"),
        ("2027-01-01T00:00:00Z", "W010"),
        ("2027-01-01T00:00:01Z", "W011"),
    ] {
        assert_eq!(said(now), code, "{now}");
    }
}

#[test]
fn a_day_that_apps_inherit_is_told_once() {
    let apps = config(["credential = { secret_env = \"A\" }", "credential = { secret_env = \"B\" }"]);
    let site = Site::new(&format!("[defaults.app]\nsecret_expires = 2026-12-01\n{apps}"));
    let loaded = site.load(Some(&at(NOW, &|_| Some("canary".into())))).unwrap();
    assert_eq!(codes(&loaded.warnings)[..1], [("W010".to_owned(), 2)]);
    assert!(!codes(&loaded.warnings)[1..].iter().any(|(code, _)| code == "W010"));
}

/// What Azure's webhook puts into a container.
fn azure(name: &str) -> Option<OsString> {
    let value = match name {
        "AZURE_TENANT_ID" => TENANT,
        "AZURE_CLIENT_ID" => CLIENT,
        "AZURE_FEDERATED_TOKEN_FILE" => "/nonexistent/azure-identity-token",
        "AZURE_AUTHORITY_HOST" => "https://login.microsoftonline.com/",
        _ => return None,
    };
    Some(value.into())
}

/// An app that says nothing of who it is, with these keys.
fn bare(keys: &str) -> String {
    format!("[[app]]\nname = \"only\"\n{keys}\n{}availability = \"Away\"\n", user(1))
}

#[test]
fn azures_variables_fill_in_what_an_only_app_leaves_out() {
    let heeded = Environment { looked_into: false, ..around(&azure) };
    let load = |text: &str| Site::new(text).load(Some(&heeded));
    let loaded = load(&bare("")).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let app = &loaded.settings.apps[0];
    assert_eq!((app.tenant, app.client_id), (TENANT.parse().unwrap(), CLIENT.parse().unwrap()));
    let token = Credential::FederatedTokenFile("/nonexistent/azure-identity-token".into());
    assert_eq!(app.credential, token);

    // What is written goes before, also where all apps inherit it.
    let other = CLIENT.replace("2255", "3355");
    let own = bare("credential = { managed_identity = true }");
    let app = &load(&format!("[defaults.app]\nclient_id = \"{other}\"\n{own}")).unwrap().settings.apps[0];
    assert_eq!((app.tenant, app.client_id), (TENANT.parse().unwrap(), other.parse().unwrap()));
    assert_eq!(app.credential, Credential::ManagedIdentity(Identity::SystemAssigned));

    // It is as if it were written, and means the same.
    let written = format!(
        "tenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\n\
         credential = {{ federated_token_file = \"/nonexistent/azure-identity-token\" }}"
    );
    assert_eq!(read(&bare(&written)).unwrap().settings.hash, loaded.settings.hash);

    // Texts alone say nothing of it, and what it leads to is looked into like what is written.
    assert_eq!(codes(&read(&bare("")).unwrap_err()), [("E004".to_owned(), 1)]);
    let looked_into = Site::new(&bare("")).load(Some(&around(&azure))).unwrap_err();
    assert_eq!(codes(&looked_into), [("E042".to_owned(), 1)]);
    assert!(looked_into.render(false).contains("AZURE_FEDERATED_TOKEN_FILE"), "{looked_into:?}");
}

#[test]
fn azures_variables_that_do_not_count_are_spoken_of() {
    let second = "[[app]]\nname = \"second\"\nclient_id = \"22553876-f5ab-4529-bffb-cfe50aa89f88\"\n";
    let two = bare(&format!("client_id = \"{CLIENT}\"\n{second}")) + "app = \"only\"\n";
    let wrong = |name: &str| match name {
        "AZURE_TENANT_ID" => Some("contoso.onmicrosoft.com".into()),
        "AZURE_AUTHORITY_HOST" => Some("https://login.microsoftonline.us/".into()),
        other => azure(other),
    };
    let elsewhere = Environment { looked_into: false, ..around(&wrong) };
    let whole = bare(&format!("tenant = \"{TENANT}\""));
    let said = [
        Site::new(&two).said(Some(&around(&azure))),
        Site::new(&bare("")).said(Some(&elsewhere)),
        Site::new(&whole).said(Some(&elsewhere)),
    ];
    insta::assert_snapshot!(said.concat());
}

#[test]
fn a_signed_in_user_is_no_longer_missed_when_the_file_is_there() {
    let main = format!("[daemon]\nstate_dir = \"state\"\n{}", config(["credential = { delegated = true }"]));
    let site = Site::new(&main);
    let loaded = site.load(Some(&nowhere())).unwrap();
    assert_eq!(codes(&loaded.warnings)[0].0, "N002");
    let site = site.file("state/login/app1.json", "{}");
    assert!(site.load(Some(&nowhere())).unwrap().warnings.is_empty());
}

#[test]
fn problems_hold_no_key_and_no_token() {
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJjYW5hcnkifQ.c2lnbmF0dXJl";
    let body = KEY.lines().nth(5).unwrap();
    let in_line = KEY.replace('\n', "\\n");
    let texts = [
        format!("credential = {{ certificate_file = \"\"\"{}\"\"\" }}", *KEY),
        format!("credential = {{ certificate_file = \"{in_line}\" }}"),
        format!("credential = {{ certificate_file = \"x\", key_file = \"{in_line}\" }}"),
        format!("credential = {{ federated_token_file = \"{jwt}\" }}"),
        format!("credential = {{ federated_token_file = \"{jwt} }}"),
        format!("credential = {{ managed_identity = \"{jwt}\" }}"),
        format!("credential = {{ delegated = \"{jwt}\" }}"),
        format!("credential = {{ secret_env = \"{jwt}\" }}"),
        format!("credential = {{ refresh_token = \"{jwt}\" }}"),
        format!("credential = {{ assertion = \"{jwt}\" }}"),
        format!("credential = {{ secret_env = \"X\" }}\nsecret_expires = \"{jwt}\""),
        format!("key = '''\n{}'''", *KEY),
        format!("certificate = {in_line}"),
        format!("cloud = \"{jwt}\""),
    ];
    for text in &texts {
        let found = read(&config([text.as_str()])).expect_err("it is no path");
        for output in [found.render(false), found.to_json().to_string(), found.first_line()] {
            let parts = [body, "c2lnbmF0dXJl", "eyJpc3MiOiJjYW5hcnkifQ"];
            assert!(!parts.iter().any(|part| output.contains(part)), "{text}\n{output}");
        }
    }
    // In the variables of an only app, too.
    let leaks = |name: &str| name.starts_with("AZURE_").then(|| jwt.into());
    let found = Site::new(&bare("")).load(Some(&around(&leaks))).unwrap_err();
    assert!(!format!("{}{}", found.render(false), found.to_json()).contains("c2lnbmF0dXJl"), "{found:?}");
}
