//! Against a login authority that somebody else wrote: npm's `oidc-provider`, certified by the OpenID foundation. Run by
//! `tests/peers/run`, which installs it and names its server in `PEER_OIDC`.
//!
//! It knows nothing of Graph: that a token is granted is all there is to see. What it refuses is told as ever.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::daemon::{Daemon, Written, listen, presenced};
use crate::exits::presenced_says;
use crate::patience::PATIENCE;
use crate::site::{SECRET, Site, TENANT, available, client_id, id};

/// The root of Graph in scopes; nobody listens there.
const GRAPH: &str = "http://127.0.0.1:9";

/// The authority; it is killed when this is dropped.
struct Peer {
    url: String,
    _child: Child,
    _listening: JoinSet<()>,
}

impl Peer {
    /// Starts one that knows these clients.
    async fn start(clients: Value) -> Self {
        let server = std::env::var("PEER_OIDC").expect("tests/peers/run sets it");
        let mut command = Command::new("node");
        command.args([&server, TENANT, GRAPH, &clients.to_string()]);
        command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("node is there");
        let (to, mut stdout) = watch::channel(Written::default());
        let mut listening = JoinSet::new();
        listening.spawn(listen(child.stdout.take().unwrap(), to));
        let url = |written: &Written| written.lines.iter().find(|line| line.starts_with("http")).cloned();
        let told = stdout.wait_for(|written| written.ended || url(written).is_some());
        let url = url(&timeout(PATIENCE, told).await.expect("in time").unwrap()).expect("it listens");
        Self { url, _child: child, _listening: listening }
    }

    async fn get(&self, path: &str) -> Value {
        let response = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        let status = response.status();
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    /// How each token request was answered: its grant, the status, the error.
    async fn seen(&self) -> Vec<(String, u64, Value)> {
        let seen = self.get("/seen").await;
        let tokens =
            seen.as_array().unwrap().iter().filter(|one| one["path"].as_str().unwrap().ends_with("/token"));
        let read = |one: &Value| {
            let grant = one["grant"].as_str().unwrap_or_default().rsplit(':').next().unwrap().to_owned();
            (grant, one["status"].as_u64().unwrap(), one["error"].clone())
        };
        tokens.map(read).collect()
    }

    /// The last assertion that was taken is not taken again.
    async fn replays(&self) {
        let again = self.get("/replay").await;
        assert_eq!((&again["status"], &again["error"]), (&401.into(), &"invalid_client".into()), "{again}");
    }

    /// An installation whose one app has this credential, as its line of the config.
    fn site(&self, credential: &str) -> Site {
        let mut site = Site::at(GRAPH, &self.url, [available(1)]);
        site.config.apps.clear();
        site.config.top = format!(
            "[[app]]\nname = \"contoso\"\ntenant = \"{TENANT}\"\nclient_id = \"{}\"\ncloud = {}\ncredential = {credential}\n",
            client_id(0),
            site.config.cloud
        );
        site.write();
        site
    }
}

async fn granted(site: &Site) -> Daemon {
    let mut daemon = site.run();
    daemon.event("token_granted").await;
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());
    daemon
}

#[tokio::test]
#[ignore = "needs oidc-provider: tests/peers/run"]
async fn a_client_secret_is_taken_and_a_wrong_one_refused() {
    let peer = Peer::start(json!([{ "client_id": client_id(0), "secret": SECRET }])).await;
    let site = peer.site("{ secret_file = \"contoso.secret\" }");
    granted(&site).await.kill().await;
    assert_eq!(peer.seen().await, [("client_credentials".to_owned(), 200, Value::Null)]);

    site.secret("contoso", "another-secret-of-before");
    let mut daemon = site.run();
    let failed = daemon.event("token_failed").await;
    assert!(failed["error"].as_str().unwrap().contains("invalid_client"), "{failed}");
}

#[tokio::test]
#[ignore = "needs oidc-provider: tests/peers/run"]
async fn an_assertion_is_taken_each_time_anew_and_refused_when_it_is_replayed() {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
    let peer = Peer::start(json!([{ "client_id": client_id(0), "certificate": certificate }])).await;
    let site = peer.site("{ certificate_file = \"contoso.pem\" }");
    std::fs::write(site.path("contoso.pem"), certificate + &key.serialize_pem()).unwrap();
    std::fs::set_permissions(site.path("contoso.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    // Each start asks anew, with an assertion of its own.
    for _ in 0..2 {
        granted(&site).await.kill().await;
    }
    let good = ("client_credentials".to_owned(), 200, Value::Null);
    assert_eq!(peer.seen().await, [good.clone(), good]);
    peer.replays().await;
}

#[tokio::test]
#[ignore = "needs oidc-provider: tests/peers/run"]
async fn a_user_signs_in_by_device_code_and_the_daemon_goes_on_with_a_new_refresh_token_each_time() {
    let peer = Peer::start(json!([{ "client_id": client_id(0), "public": true }])).await;
    let site = peer.site("{ delegated = true }");
    // As the daemon makes it when it starts.
    std::fs::create_dir(site.state_dir()).unwrap();
    let config = site.config_file();
    let mut command = presenced();
    command.args(["login", "contoso", "--config"]).arg(&config).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut login = command.spawn().unwrap();
    let (to, mut stdout) = watch::channel(Written::default());
    let mut listening = JoinSet::new();
    listening.spawn(listen(login.stdout.take().unwrap(), to));
    // The code stands on a line of its own, after the address.
    let code = |written: &Written| {
        let mut lines = written.lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
        lines.find(|line| line.starts_with("http"))?;
        lines.find(|line| !line.contains(' ')).map(str::to_owned)
    };
    let told = stdout.wait_for(|written| written.ended || code(written).is_some());
    let code = code(&timeout(PATIENCE, told).await.expect("in time").unwrap()).expect("a code is shown");
    peer.get(&format!("/approve?user_code={code}&user={}", id(1))).await;
    let status = timeout(PATIENCE, login.wait()).await.expect("it ends").unwrap();
    let told = login.wait_with_output().await.unwrap().stderr;
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&told));

    for _ in 0..2 {
        granted(&site).await.kill().await;
    }
    let seen = peer.seen().await;
    let good = ("refresh_token".to_owned(), 200, Value::Null);
    assert_eq!(seen[seen.len() - 2..], [good.clone(), good], "{seen:?}");
    let check = presenced_says(&["check", "--config", config.to_str().unwrap()]).await;
    assert_eq!(check.code, Some(0), "{}", check.stderr);
}
