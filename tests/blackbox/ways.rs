//! Every way in, as an administrator sets it up: with a new credential in mid-run, without a lapse, and with nothing of it
//! in the log.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::daemon::{Daemon, presenced};
use crate::exits::heard;
use crate::keys::Keys;
use crate::patience::{PATIENCE, until};
use crate::sandbox::Sandbox;
use crate::secrecy::{self, TRACE, ends_silent};
use crate::site::{Site, TENANT, available, client_id, id, in_a_call};

/// What sandbox and daemon are made fast with.
pub const SPEED: [&str; 2] = ["--speed", "20"];
const ISSUER: &str = "https://oidc.example/cluster";
const SUBJECT: &str = "system:serviceaccount:presenced:default";

/// One app with this credential, and these users.
pub fn write(site: &Site, sandbox: &Sandbox, credential: &str, more: &str, users: std::ops::Range<u32>) {
    let (url, client) = (&sandbox.url, client_id(0));
    let mut text = format!(
        "[daemon]\nstate_dir = \"state\"\n[defaults]\navailability = \"Available\"\n[[app]]\nname = \"contoso\"\n\
         tenant = \"{TENANT}\"\nclient_id = \"{client}\"\ncloud = {{ graph = \"{url}\", login = \"{url}\" }}\n\
         credential = {credential}\n{more}\n"
    );
    for n in users {
        let _ = write!(text, "[[user]]\nid = \"{}\"\n", id(n));
    }
    site.write_text(&text);
}

/// Registers one app.
pub async fn register(sandbox: &Sandbox, app: Value) {
    sandbox.register(json!({"tenants": {TENANT: {"apps": {client_id(0): app}}}})).await;
}

fn run(site: &Site, variables: &[(&str, String)]) -> Daemon {
    let mut command = presenced();
    command.args(["run", "--log-format", "json"]).args(TRACE).arg("--config");
    command.arg(site.config_file()).args(SPEED).envs(variables.iter().map(|(name, value)| (name, value)));
    Daemon::spawn(command)
}

/// Stops the daemon: no session has lapsed, and nothing secret is in its log, in what it keeps, or in what commands say.
async fn ends_well(daemon: Daemon, site: &Site, sandbox: &Sandbox, variables: &[(&str, String)]) {
    assert_eq!(sandbox.report().await["lapses"], 0);
    ends_silent(daemon, site, variables).await;
}

/// A certificate, and the same with its key, in PEM.
fn certificates() -> &'static [(String, String); 2] {
    static MADE: OnceLock<[(String, String); 2]> = OnceLock::new();
    MADE.get_or_init(|| {
        ["first", "second"].map(|name| {
            let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
            let certificate =
                CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem();
            (certificate.clone(), certificate + &key.serialize_pem())
        })
    })
}

/// Returns when so many more tokens were given than a report has.
pub async fn more_tokens(sandbox: &Sandbox, than: &Value, more: u64) -> Value {
    let wanted = than["tokens"]["granted"].as_u64().unwrap() + more;
    let what = format!("{wanted} tokens");
    sandbox.until(&what, |report| report["tokens"]["granted"].as_u64() >= Some(wanted)).await
}

#[tokio::test]
async fn a_certificate_is_replaced_in_mid_run() {
    let [(first, first_with_key), (second, second_with_key)] = certificates();
    let sandbox = Sandbox::watched(&SPEED).await;
    register(&sandbox, json!({"certificates": [first], "token_life_s": 600})).await;
    let site = Site::new(&sandbox, []);
    site.credential("app.pem", first_with_key);
    write(&site, &sandbox, "{ certificate_file = \"app.pem\" }", "", 0..10);
    let mut daemon = run(&site, &[]);
    let before = sandbox.until_sets(10).await;

    register(&sandbox, json!({"certificates": [first, second], "token_life_s": 600})).await;
    site.credential("app.pem", second_with_key);
    assert_eq!(daemon.event("credential_changed").await["app"], "contoso");
    more_tokens(&sandbox, &before, 1).await;
    register(&sandbox, json!({"certificates": [second], "token_life_s": 600})).await;
    let later = sandbox.report().await;
    more_tokens(&sandbox, &later, 1).await;
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());

    // One that the app does not have, and back.
    site.credential("app.pem", first_with_key);
    let failed = daemon.event("token_failed").await;
    assert_eq!((&failed["aadsts"], &failed["class"]), (&700_027.into(), &"fix_config".into()), "{failed}");
    site.credential("app.pem", second_with_key);
    daemon.event("token_granted").await;
    ends_well(daemon, &site, &sandbox, &[]).await;
}

#[tokio::test]
async fn a_federated_token_is_renewed_by_others_without_a_word_and_tried_at_once_after_a_refusal() {
    let (keys, others) = (Keys::shared(), Keys::make());
    let sandbox = Sandbox::watched(&SPEED).await;
    let federated = |keys: &Keys| {
        let audience = "api://AzureADTokenExchange";
        let known = json!({"issuer": ISSUER, "subject": SUBJECT, "audience": audience, "key": keys.public});
        json!({"federated": [known], "token_life_s": 120})
    };
    // For as long as the sandbox's clock may run.
    let token = |keys: &Keys, n: u32| {
        keys.federated(ISSUER, SUBJECT, &json!({"nbf": 0, "iat": 0, "exp": 4_102_444_800_u64, "n": n}))
    };
    register(&sandbox, federated(keys)).await;
    let site = Site::new(&sandbox, []);
    site.credential("token", &token(keys, 0));
    write(&site, &sandbox, "{ federated_token_file = \"token\" }", "", 0..10);
    let mut daemon = run(&site, &[]);
    let mut report = sandbox.until_sets(10).await;

    for n in 1..3 {
        site.credential("token", &token(keys, n));
        report = more_tokens(&sandbox, &report, 2).await;
    }
    assert!(daemon.events("credential_changed").is_empty(), "{}", daemon.log());
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());

    register(&sandbox, federated(&others)).await;
    let failed = daemon.event("token_failed").await;
    assert_eq!(failed["class"], "fix_config", "{failed}");
    assert!(failed["advice"].as_str().unwrap().contains("federated_token_file /"), "{failed}");
    site.credential("token", &token(&others, 3));
    daemon.event("token_granted").await;
    ends_well(daemon, &site, &sandbox, &[]).await;
}

#[tokio::test]
async fn a_host_vouches_for_an_app_also_through_its_troubles() {
    let client = client_id(0);
    let identity = json!({"tenant": TENANT, "client_id": client, "object_id": id(99), "resource_id": "/subscriptions/x"});
    for (variables, identities) in [
        (vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", "")], "true".to_owned()),
        (vec![("IDENTITY_ENDPOINT", "/msi/token"), ("IDENTITY_HEADER", "h-canary")], format!("\"{client}\"")),
    ] {
        let sandbox = Sandbox::watched(&SPEED).await;
        sandbox.register(json!({"managed_identities": [identity], "identity_header": "h-canary"})).await;
        sandbox
            .faults(json!({"identity": [{"status": 404}, {"status": 410}, {"status": 429}, {"status": 500}]}))
            .await;
        let site = Site::new(&sandbox, []);
        write(&site, &sandbox, &format!("{{ managed_identity = {identities} }}"), "", 0..3);
        let of = |(name, value): (&'static str, &str)| match name {
            "IDENTITY_HEADER" => (name, value.to_owned()),
            _ => (name, format!("{}{value}", sandbox.url)),
        };
        let variables: Vec<_> = variables.into_iter().map(of).collect();
        let mut daemon = run(&site, &variables);
        for attempt in 1..=4 {
            let failed = daemon.event("token_failed").await;
            assert_eq!(
                (&failed["attempt"], &failed["class"]),
                (&attempt.into(), &"try_again".into()),
                "{failed}"
            );
        }
        daemon.event("token_granted").await;
        sandbox.until_sets(3).await;
        ends_well(daemon, &site, &sandbox, &variables).await;
    }
}

#[tokio::test]
async fn a_fast_clock_never_asks_a_host_that_is_not_on_loopback() {
    let sandbox = Sandbox::watched(&SPEED).await;
    let site = Site::new(&sandbox, []);
    write(&site, &sandbox, "{ managed_identity = true }", "", 0..1);
    let mut daemon = run(&site, &[]);
    assert_eq!(daemon.exit_code().await, Some(2), "{}", daemon.log());
}

#[tokio::test]
async fn a_claims_challenge_costs_one_token_and_nobodys_session() {
    let sandbox = Sandbox::watched(&[]).await;
    let mut site = Site::new(&sandbox, (0..30).map(available));
    site.config.app = "cae = true".to_owned();
    site.write();
    let mut daemon = site.run_with(&TRACE);
    let report = sandbox.until_sets(30).await;
    assert_eq!(report["tokens"]["requests"], 1);

    sandbox.faults(json!({"challenge": true})).await;
    site.config.users = (0..30).map(in_a_call).collect();
    site.write();
    daemon.signal(Signal::HUP);
    daemon.event("token_rejected").await;
    let report = sandbox.until_sets(60).await;
    assert_eq!((&report["tokens"]["requests"], &report["lapses"]), (&2.into(), &0.into()), "{report:#}");
    assert!(daemon.events("parked").is_empty(), "{}", daemon.log());
    ends_silent(daemon, &site, &[]).await;
}

/// `presenced login` under way.
pub struct Login {
    child: tokio::process::Child,
    /// What the person types.
    pub code: String,
}

impl Login {
    /// Returns when a code is shown.
    pub async fn begin(site: &Site, speed: &[&str]) -> Self {
        let mut command = presenced();
        command.args(["login", "contoso", "--config"]).arg(site.config_file()).args(speed);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let code = async {
            while !lines.next_line().await.unwrap().expect("it shows a code").ends_with("enter the code") {}
            lines.next_line().await.unwrap();
            lines.next_line().await.unwrap().unwrap().trim().to_owned()
        };
        let code = timeout(PATIENCE, code).await.expect("in time");
        // Whoever has shown a code and prints more must not find nobody there.
        child.stdout = Some(lines.into_inner().into_inner());
        Self { child, code }
    }

    /// How it ended, and what it said.
    pub async fn end(self) -> (ExitStatus, String) {
        let output = timeout(PATIENCE, self.child.wait_with_output()).await.expect("in time").unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        secrecy::search("what login says", &said);
        (output.status, said)
    }
}

#[tokio::test]
async fn a_user_signs_in_once_and_again_after_a_revocation() {
    let sandbox = Sandbox::watched(&SPEED).await;
    register(&sandbox, json!({"public_client": true, "single_use_refresh": true, "token_life_s": 120})).await;
    let site = Site::new(&sandbox, []);
    write(&site, &sandbox, "{ delegated = true }", "", 1..2);
    let mut daemon = run(&site, &[]);
    let failed = daemon.event("token_failed").await;
    assert_eq!(failed["class"], "sign_in", "{failed}");
    assert!(failed["advice"].as_str().unwrap().contains("`presenced login contoso`"), "{failed}");

    for (who, code) in [(None, 77), (Some(2), 77), (Some(1), 0)] {
        let login = Login::begin(&site, &SPEED).await;
        sandbox.sign_in(&login.code, who).await;
        let (status, said) = login.end().await;
        assert_eq!(status.code(), Some(code), "{said}");
        assert_eq!(kept(&site).exists(), code == 0, "{said}");
    }
    assert_eq!(std::fs::metadata(kept(&site)).unwrap().permissions().mode() & 0o777, 0o600);
    daemon.event("token_granted").await;
    // Each refresh token is good once: the next ones are kept and used, also by the next process.
    let report = sandbox.until_sets(1).await;
    more_tokens(&sandbox, &report, 2).await;
    // Nobody can keep one that is given out while the process is killed: it is killed between two.
    let text = || std::fs::read(kept(&site)).unwrap();
    let before = text();
    until("the next refresh token is kept", async || (text() != before).then_some(())).await;
    daemon.kill().await;
    let mut daemon = run(&site, &[]);
    daemon.event("token_granted").await;
    let report = sandbox.report().await;
    more_tokens(&sandbox, &report, 1).await;
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());

    sandbox.faults(json!({"revoke_refresh_tokens": true})).await;
    let failed = daemon.event("token_failed").await;
    assert_eq!((&failed["aadsts"], &failed["class"]), (&50_173.into(), &"sign_in".into()), "{failed}");
    let login = Login::begin(&site, &SPEED).await;
    sandbox.sign_in(&login.code, Some(1)).await;
    assert_eq!(login.end().await.0.code(), Some(0));
    daemon.event("token_granted").await;
    ends_well(daemon, &site, &sandbox, &[]).await;
}

/// Where the sign-in is kept.
pub fn kept(site: &Site) -> PathBuf {
    site.state_dir().join("login/contoso.json")
}

/// `presenced login APP`, which does not get as far as to show a code.
pub async fn login_fails(site: &Site, app: &str) -> (Option<i32>, String) {
    let mut command = presenced();
    command.args(["login", app, "--config"]).arg(site.config_file());
    let outcome = heard(command).await;
    (outcome.code, outcome.stderr)
}

#[tokio::test]
async fn a_sign_in_that_cannot_begin_says_why() {
    let sandbox = Sandbox::watched(&[]).await;
    let site = Site::new(&sandbox, []);
    let (code, said) = login_fails(&site, "contoso").await;
    assert!(code == Some(78) && said.contains("has a credential of its own"), "{said}");
    write(&site, &sandbox, "{ delegated = true }", "", 1..2);
    std::fs::create_dir(site.state_dir()).unwrap();
    let (code, said) = login_fails(&site, "fabrikam").await;
    assert!(code == Some(78) && said.contains("those with a user are: contoso"), "{said}");
    let tenants = json!({"11111111-1111-4111-8111-111111111111": {}});
    sandbox.register(json!({"tenants": tenants})).await;
    let (code, said) = login_fails(&site, "contoso").await;
    assert!(code == Some(77) && said.contains("AADSTS90002"), "{said}");
    let gone = sandbox.url.clone();
    drop(sandbox);
    let (code, said) = login_fails(&site, "contoso").await;
    assert!(code == Some(69) && said.contains("refused the connection"), "{gone}: {said}");
}
