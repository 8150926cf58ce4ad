//! `presenced doctor`: each fault is named, with what to do, before a daemon ever runs.

use serde_json::{Value, json};

use crate::daemon::presenced;
use crate::exits::{Outcome, heard, presenced_says};
use crate::sandbox::Sandbox;
use crate::secrecy;
use crate::site::{SECRET, Site, TENANT, available, client_id, id, user};
use crate::tunnel::{CompanyNetwork, GRAPH, LOGIN};

/// A name that no name server knows (RFC 2606).
const NOWHERE: &str = "https://presenced-test.invalid";

/// What the doctor said, and its exit code.
pub struct Visit {
    pub code: Option<i32>,
    pub report: Value,
}

impl Visit {
    pub async fn to(site: &Site) -> Self {
        Self::with(site, &[]).await
    }

    /// The same with these variables.
    pub async fn with(site: &Site, variables: &[(&str, &str)]) -> Self {
        let mut command = presenced();
        command.args(["doctor", "--json", "--config"]).arg(site.config_file());
        command.envs(variables.iter().copied());
        let outcome = heard(command).await;
        let report = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|_| panic!("{}{}", outcome.stdout, outcome.stderr));
        Self { code: outcome.code, report }
    }

    /// A look at the first app.
    pub fn check(&self, name: &str) -> &Value {
        let checks = self.report["apps"][0]["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["check"] == name);
        found.unwrap_or_else(|| panic!("{name}: {:#}", self.report))
    }

    pub fn status(&self, name: &str) -> &str {
        self.check(name)["status"].as_str().unwrap()
    }

    /// Asserts that this look, and no other, has failed, and that it says these words.
    pub fn blames(&self, names: &[&str], words: &[&str]) {
        let checks = self.report["apps"][0]["checks"].as_array().unwrap();
        let failed: Vec<&str> = checks
            .iter()
            .filter(|check| check["status"] == "failed")
            .map(|check| check["check"].as_str().unwrap())
            .collect();
        assert_eq!(failed, names, "{:#}", self.report);
        let check = self.check(names[0]);
        let text = format!("{} / {}", check["detail"], check["advice"]);
        for word in words {
            assert!(text.contains(word), "{word}: {check:#}");
        }
        assert_eq!(self.report["ok"], false);
    }
}

pub async fn says(site: &Site, args: &[&str]) -> Outcome {
    let config = site.config_file();
    let mut all = vec!["doctor", "--config", config.to_str().unwrap()];
    all.extend_from_slice(args);
    presenced_says(&all).await
}

/// A tenant that has this app, and no one else.
pub async fn registered(sandbox: &Sandbox, app: Value) {
    sandbox.register(json!({"tenants": {TENANT: {"apps": {client_id(0): app}}}})).await;
}

pub fn with_secret() -> Value {
    json!({"secrets": [{"secret": SECRET}]})
}

/// The same installation with another credential.
pub fn with_credential(site: &Site, credential: &str) {
    site.write();
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    let changed = text.replace("{ secret_file = \"contoso.secret\" }", credential);
    assert_ne!(text, changed);
    site.write_text(&changed);
}

#[tokio::test]
async fn where_all_is_well_it_says_what_others_see_and_writes_nothing() {
    let sandbox = Sandbox::watched(&[]).await;
    registered(&sandbox, with_secret()).await;
    let site = Site::new(&sandbox, [available(1), user(2, "availability = \"none\"")]);

    let visit = Visit::to(&site).await;
    assert_eq!((visit.code, &visit.report["ok"]), (Some(0), &json!(true)), "{:#}", visit.report);
    let app = &visit.report["apps"][0];
    assert_eq!((&app["app"], &app["tenant"]), (&json!("contoso"), &json!(TENANT)));
    let seen = |n: u32| {
        json!({
            "user": id(n), "name": format!("user {n}"), "status": "ok",
            "availability": "Offline", "activity": "Offline", "detail": null,
        })
    };
    assert_eq!(app["users"], json!([seen(1), seen(2)]));
    let checks = app["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    let expected =
        ["login", "graph", "clock", "credential_end", "token", "tenant", "client_id", "permission", "users"];
    assert_eq!(names, expected);
    for name in expected {
        let status = if name == "credential_end" { "skipped" } else { "ok" };
        assert_eq!(visit.status(name), status, "{:#}", visit.report);
    }

    let text = says(&site, &[]).await;
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""), "no progress where nobody looks");
    assert!(text.stdout.contains(&format!("user 1 ({}): Offline", id(1))), "{}", text.stdout);
    assert!(text.stdout.contains("\nok: 1 app; config "), "{}", text.stdout);
    let report = sandbox.report().await;
    assert_eq!((&report["sets"], &report["clears"]), (&json!(0), &json!(0)), "{report:#}");
    assert!(!site.state_dir().exists(), "nothing is written here either");
}

#[tokio::test]
async fn a_name_that_is_not_known_is_told_from_a_proxy_that_is_not_there() {
    let mut site = Site::at(NOWHERE, NOWHERE, [available(1)]);
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    visit.blames(&["login", "graph"], &["presenced-test.invalid", "cannot be resolved", "DNS"]);
    assert_eq!((visit.status("token"), visit.status("users")), ("skipped", "skipped"));
    assert_eq!(visit.report["apps"][0]["users"][0]["status"], "skipped");

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    site.config.network = format!("proxy = \"http://{closed}\"");
    site.write();
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    visit.blames(&["login", "graph"], &[&format!("the proxy http://{closed}"), "refused the connection"]);
}

#[tokio::test]
async fn a_proxy_that_leads_elsewhere_and_an_unknown_authority_are_named() {
    let sandbox = Sandbox::start(&[]).await;
    let network = CompanyNetwork::before(&sandbox.url).await;
    let mut site = Site::at(GRAPH, LOGIN, [available(1)]);
    site.config.network = format!("proxy = \"{}\"", network.proxy);
    site.write();
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    visit.blames(&["login", "graph"], &["login.test:443", "unknown issuer", "[network] ca_file"]);
    assert_eq!(sandbox.report().await["tokens"]["requests"], 0, "no secret went there");

    let mut site = Site::at(NOWHERE, LOGIN, [available(1)]);
    network.write_ca(&site.path("corp-root.pem"));
    site.config.network = format!("proxy = \"{}\"\nca_file = \"corp-root.pem\"", network.proxy);
    site.write();
    let visit = Visit::to(&site).await;
    visit.blames(&["graph"], &["the proxy", "made no connection to presenced-test.invalid:443", "CONNECT"]);
    assert_eq!((visit.status("login"), visit.status("token")), ("ok", "ok"));
    assert_eq!(visit.status("users"), "skipped");
}

#[tokio::test]
async fn a_host_that_never_answers_is_told_by_its_time() {
    // Connections wait in its queue, and nobody takes them.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", silent.local_addr().unwrap());
    let site = Site::at(&root, &root, [available(1)]);
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    visit.blames(&["login", "graph"], &["no answer from", "within 10.0 s"]);
}

#[tokio::test]
async fn what_the_login_refuses_is_named_with_its_number() {
    let sandbox = Sandbox::watched(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let cases = [
        (json!({id(9): {"apps": {client_id(0): with_secret()}}}), "AADSTS90002", "no such tenant"),
        (json!({TENANT: {"apps": {client_id(1): with_secret()}}}), "AADSTS700016", "does not know this app"),
        (
            json!({TENANT: {"apps": {client_id(0): {"secrets": [{"secret": "another"}]}}}}),
            "AADSTS7000215",
            "the client secret is wrong",
        ),
        (
            json!({TENANT: {"apps": {client_id(0): {"secrets": [
                {"secret": SECRET, "expires": "2001-01-01T00:00:00Z"},
            ]}}}}),
            "AADSTS7000222",
            "the client secret has expired",
        ),
        (
            json!({TENANT: {"apps": {client_id(0): {"secrets": [{"secret": SECRET}], "consent": false}}}}),
            "AADSTS65001",
            "nobody has consented",
        ),
    ];
    for (tenants, number, meaning) in cases {
        sandbox.register(json!({ "tenants": tenants })).await;
        let visit = Visit::to(&site).await;
        assert_eq!(visit.code, Some(77), "{number}: {:#}", visit.report);
        visit.blames(&["token"], &[number, meaning, "correlation id"]);
        assert_eq!(visit.report["apps"][0]["refused"], true);
        assert_eq!((visit.status("permission"), visit.status("users")), ("skipped", "skipped"));
        if number == "AADSTS65001" {
            let url = format!("{}/{TENANT}/adminconsent?client_id={}", sandbox.url, client_id(0));
            visit.blames(&["token"], &[&url]);
        }
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_with_the_place_to_consent() {
    let sandbox = Sandbox::watched(&[]).await;
    registered(&sandbox, json!({"secrets": [{"secret": SECRET}], "roles": ["Presence.Read.All"]})).await;
    let site = Site::new(&sandbox, [available(1)]);
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    let url = format!("{}/{TENANT}/adminconsent?client_id={}", sandbox.url, client_id(0));
    visit.blames(&["permission"], &["Presence.ReadWrite.All is not in", "has Presence.Read.All", &url]);
    assert_eq!(visit.status("users"), "skipped");
}

#[tokio::test]
async fn users_whom_the_tenant_does_not_have_are_named_and_summed_up() {
    let sandbox = Sandbox::watched(&[]).await;
    let known: Vec<String> = (0..1_000).map(id).collect();
    let tenant = json!({"apps": {client_id(0): with_secret()}, "users": known});
    sandbox.register(json!({"tenants": {TENANT: tenant}})).await;
    let site = Site::new(&sandbox, (0..1_030).map(available));

    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    visit.blames(&["users"], &["the presence of 1000 of 1030", "object id", "tenant"]);
    let users = visit.report["apps"][0]["users"].as_array().unwrap();
    let status: Vec<&str> = users.iter().map(|user| user["status"].as_str().unwrap()).collect();
    assert_eq!(status, [["ok"; 1_000].as_slice(), &["failed"; 30]].concat());
    let report = sandbox.report().await;
    assert_eq!(report["requests"]["by_call"]["get_presences"]["200"], 2, "650 at a time: {report:#}");

    let text = says(&site, &[]).await.stdout;
    for told in
        ["others see 1000 Offline", "user 1000 (", "user 1019 (", "and 10 more: `presenced doctor --json`"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("user 1020 ("), "{text}");
}

#[tokio::test]
async fn a_read_that_stays_throttled_is_given_up_after_three_tries() {
    let sandbox = Sandbox::watched(&[]).await;
    sandbox.faults(json!({"throttle": {"retry_after": "1"}})).await;
    let site = Site::new(&sandbox, [available(1)]);
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    visit.blames(&["users"], &["status 429", "TooManyRequests"]);
    let report = sandbox.report().await;
    assert_eq!(report["requests"]["by_call"]["get_presences"]["429"], 3, "three tries: {report:#}");
    assert_eq!(visit.report["apps"][0]["users"][0]["status"], "skipped");
}

#[tokio::test]
async fn a_clock_ten_minutes_off_is_named_whichever_way_it_is_wrong() {
    let sandbox = Sandbox::watched(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    for (offset, side) in [(600, "10 min 0 s behind"), (-605, "ahead of"), (60, "behind")] {
        sandbox.faults(json!({"clock_offset_s": offset})).await;
        let visit = Visit::to(&site).await;
        let clock = visit.check("clock");
        assert!(clock["advice"].as_str().unwrap().contains("NTP"), "{clock:#}");
        if offset == 60 {
            assert_eq!((visit.code, visit.status("clock")), (Some(0), "warning"));
        } else {
            assert_eq!(visit.code, Some(3));
            visit.blames(&["clock"], &[]);
        }
        let detail = clock["detail"].as_str().unwrap();
        assert!(detail.contains(side) || detail.contains("9 min 59 s behind"), "{clock:#}");
    }
}

#[tokio::test]
async fn the_worst_of_several_apps_decides_and_one_can_be_chosen() {
    let sandbox = Sandbox::watched(&[]).await;
    let mut site = Site::new(&sandbox, []);
    site.config.apps = vec!["contoso", "fabrikam", "tailspin"];
    for app in ["fabrikam", "tailspin"] {
        site.secret(app, SECRET);
    }
    site.write();
    let wrong = json!({"secrets": [{"secret": "another"}]});
    let roleless = json!({"secrets": [{"secret": SECRET}], "roles": []});
    let apps = json!({client_id(0): with_secret(), client_id(1): roleless, client_id(2): wrong});
    sandbox.register(json!({"tenants": {TENANT: {"apps": apps}}})).await;

    let all = says(&site, &[]).await;
    assert_eq!(all.code, Some(77), "{}", all.stdout);
    assert!(
        all.stdout.contains("\nerror: 2 of 3 apps have something wrong: fabrikam, tailspin;"),
        "{}",
        all.stdout
    );
    for (app, code) in [("contoso", 0), ("fabrikam", 3), ("tailspin", 77)] {
        let one = says(&site, &["--app", app]).await;
        assert_eq!(one.code, Some(code), "{app}: {}", one.stdout);
        assert!(one.stdout.starts_with(&format!("{app}: ")), "{}", one.stdout);
    }
    let none = says(&site, &["--app", "nobody"]).await;
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("`nobody`; there is contoso, fabrikam, tailspin"), "{}", none.stderr);
    std::fs::remove_file(site.path("tailspin.secret")).unwrap();
    let missing = says(&site, &["--app", "tailspin"]).await;
    assert_eq!(missing.code, Some(77));
    assert!(missing.stdout.contains("tailspin.secret"), "{}", missing.stdout);
}

#[tokio::test]
async fn no_secret_and_no_token_is_in_what_it_says() {
    let sandbox = Sandbox::watched(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    for (secret, code) in [(SECRET, 0), ("another-c4nary", 77)] {
        sandbox.faults(json!({ "secret": SECRET })).await;
        site.secret("contoso", secret);
        for args in [&["--json"][..], &[]] {
            // What it says is searched for what was sent, and for what came back.
            assert_eq!(says(&site, args).await.code, Some(code));
        }
    }
    assert!(secrecy::kept() > 3, "secrets and a token have passed");
}

#[tokio::test]
async fn warnings_of_the_config_are_shown_by_commands_that_ask_the_services() {
    let sandbox = Sandbox::watched(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    site.config.top = "include = [\"nothing.d/*.toml\"]".to_owned();
    site.write();
    let doctor = says(&site, &[]).await;
    let config = site.config_file();
    let login = presenced_says(&["login", "contoso", "--config", config.to_str().unwrap()]).await;
    for (outcome, code) in [(doctor, 0), (login, 78)] {
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(
            outcome.stderr.starts_with("warning") && outcome.stderr.contains("nothing.d"),
            "{}",
            outcome.stderr
        );
    }
}
