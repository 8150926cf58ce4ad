//! A `presenced sandbox` process, and its door for tests.

use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::daemon::{Written, listen, presenced};
use crate::meddler::Meddler;
use crate::patience::{PATIENCE, until_within};
use crate::secrecy;
use crate::site::id;

/// The service; it is killed when this is dropped, and what it has said is searched for secrets.
pub struct Sandbox {
    /// Its root, for clients.
    pub url: String,
    /// Its root, for its own door.
    own: String,
    http: Client,
    said: [watch::Receiver<Written>; 2],
    _meddler: Option<Meddler>,
    _child: Child,
    _listening: JoinSet<()>,
}

impl Sandbox {
    /// Starts one on a free port, with more arguments.
    pub async fn start(args: &[&str]) -> Self {
        let mut command = presenced();
        command.args(["sandbox", "--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (to, mut stdout) = watch::channel(Written::default());
        let mut listening = JoinSet::new();
        listening.spawn(listen(child.stdout.take().unwrap(), to));
        let (to, stderr) = watch::channel(Written::default());
        listening.spawn(listen(child.stderr.take().unwrap(), to));
        let address = |written: &Written| {
            written.lines.iter().find_map(|line| line.strip_prefix("listening on ")).map(str::to_owned)
        };
        let told = stdout.wait_for(|written| written.ended || address(written).is_some());
        let url = address(&timeout(PATIENCE, told).await.expect("in time").unwrap()).expect("it listens");
        let (own, said) = (url.clone(), [stdout, stderr]);
        Self { url, own, http: http(), said, _meddler: None, _child: child, _listening: listening }
    }

    /// The same behind a door that sees what passes: tokens, assertions and codes are searched for by their values.
    pub async fn watched(args: &[&str]) -> Self {
        let mut sandbox = Self::start(args).await;
        let meddler = Meddler::before(&sandbox.url).await;
        sandbox.url.clone_from(&meddler.url);
        sandbox._meddler = Some(meddler);
        sandbox
    }

    /// The account that the service keeps of its clients.
    pub async fn report(&self) -> Value {
        self.door(Method::GET, "report", None).await
    }

    /// What the service knows of one user; [`Value::Null`] before the first request that was not refused by script.
    pub async fn user(&self, n: u32) -> Value {
        let mut found = self.door(Method::GET, &format!("users/{}", id(n)), None).await;
        found.get_mut(0).map(Value::take).unwrap_or_default()
    }

    /// The calls that named a user, the oldest first: `set_presence`, `clear_presence`.
    pub async fn calls(&self, n: u32) -> Vec<String> {
        let user = self.user(n).await;
        let requests = user["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
        requests.iter().map(|request| request["call"].as_str().unwrap().to_owned()).collect()
    }

    /// Changes what goes wrong, by a merge patch.
    pub async fn faults(&self, patch: Value) {
        self.door(Method::POST, "faults", Some(patch)).await;
    }

    /// Nothing goes wrong any more.
    pub async fn heal(&self) {
        self.door(Method::DELETE, "faults", None).await;
    }

    /// Defines group number `n` anew: object ids of users, or objects with `id`, `kind`, `displayName`, `accountEnabled` and
    /// `userPrincipalName`.
    pub async fn group(&self, n: u32, members: impl IntoIterator<Item = Value>) {
        let members: Vec<Value> = members.into_iter().collect();
        self.door(Method::PUT, &format!("groups/{}", group_id(n)), Some(json!({ "members": members }))).await;
    }

    /// Changes group number `n`: users by number that join, users that leave.
    pub async fn change_group(&self, n: u32, join: &[u32], leave: &[u32]) {
        let ids = |users: &[u32]| users.iter().map(|n| id(*n)).collect::<Vec<_>>();
        let change = json!({"add": ids(join), "remove": ids(leave)});
        self.door(Method::PATCH, &format!("groups/{}", group_id(n)), Some(change)).await;
    }

    /// Deletes group number `n`.
    pub async fn delete_group(&self, n: u32) {
        self.door(Method::DELETE, &format!("groups/{}", group_id(n)), None).await;
    }

    /// Says something of user number `n`: `userPrincipalName`, `displayName`, `accountEnabled`. What is not named stays.
    pub async fn define_user(&self, n: u32, says: Value) {
        self.door(Method::PUT, &format!("users/{}", id(n)), Some(says)).await;
    }

    /// Deletes user number `n`, who is in no group then.
    pub async fn delete_user(&self, n: u32) {
        self.door(Method::DELETE, &format!("users/{}", id(n)), None).await;
    }

    /// Tokens that are given from now on are without these permissions; those that are out are worth nothing.
    pub async fn withhold(&self, permissions: &[&str]) {
        self.faults(json!({"withheld_permissions": permissions, "revoke_tokens": true})).await;
    }

    /// Changes what goes wrong with reads of the directory alone; see `DirectoryFaults`.
    pub async fn directory_faults(&self, patch: Value) {
        self.faults(json!({ "directory": patch })).await;
    }

    /// From now on this is registered, and nothing else is taken; see `GET /sandbox`.
    pub async fn register(&self, registration: Value) {
        self.door(Method::PUT, "registration", Some(registration)).await;
    }

    /// A person types a code: user number `n` signs in, or someone declines.
    pub async fn sign_in(&self, user_code: &str, n: Option<u32>) {
        let decision = match n {
            Some(n) => json!({"user_code": user_code, "user": id(n)}),
            None => json!({"user_code": user_code, "deny": true}),
        };
        self.door(Method::POST, "sign_in", Some(decision)).await;
    }

    /// Begins to count anew.
    pub async fn reset_counts(&self) {
        self.door(Method::POST, "reset-counts", None).await;
    }

    /// Returns the first report that holds to something.
    ///
    /// # Panics
    /// When none does in time; with the last one.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.until_within(PATIENCE, what, holds).await
    }

    /// The same with another deadline.
    ///
    /// # Panics
    /// When none does in that time.
    pub async fn until_within(
        &self,
        patience: Duration,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let look = async || Some(self.report().await).filter(|report| holds(report));
        until_within(patience, what, look).await
    }

    /// Returns when so many sets were carried out, and not one more.
    pub async fn until_sets(&self, sets: u64) -> Value {
        let report =
            self.until(&format!("{sets} sets"), |report| report["sets"].as_u64() >= Some(sets)).await;
        assert_eq!(report["sets"], sets, "more sets than there was reason for: {report:#}");
        report
    }

    /// Asks the service's own door.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn door(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/sandbox/{path}", self.own);
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = String::from_utf8(response.bytes().await.unwrap().into()).unwrap();
        secrecy::search(&format!("what the sandbox says of its {path}"), &text);
        let body: Value = serde_json::from_str(&text).unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for said in &self.said {
            secrecy::search("what the sandbox says", &said.borrow().lines.join("\n"));
        }
    }
}

/// The object id of group number `n`.
pub fn group_id(n: u32) -> String {
    format!("00000000-0000-4000-9000-{n:012x}")
}

/// A client for loopback.
pub fn http() -> Client {
    Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build().unwrap()
}
