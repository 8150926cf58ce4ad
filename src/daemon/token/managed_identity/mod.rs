//! The way in by managed identity: the Azure host that the daemon runs on vouches for the app, and gives tokens to whoever
//! asks from within.
//!
//! Sources: Microsoft's pages "How to use managed identities on an Azure VM to acquire an access token", on managed
//! identities for App Service and Functions, and on authenticating against Azure resources with Arc-enabled servers. No
//! proxy is ever the way there, no forwarded request either, and no endpoint is outside of this machine or, on App
//! Service, its private network.

mod agent;
mod answer;
mod host;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::Url;

use self::host::{Host, Surroundings};
use super::failure::Class;
use super::post::{self, Answer, not_sent};
use super::proof::NoProof;
use super::{TokenReply, challenge};
use crate::config::settings::{App, Identity, Network, Proxy, is_loopback};
use crate::daemon::clock::Clock;
use crate::daemon::network::Way;

const METADATA: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// Where the host's tokens come from.
pub(super) struct ManagedIdentity {
    identity: Identity,
    /// What the token is for: the root of Graph.
    resource: String,
    around: Surroundings,
}

/// Whether what would vouch for an app here is on loopback: a clock that runs fast must never meet a real service.
#[must_use]
pub fn is_on_loopback() -> bool {
    Host::find(&Surroundings::of_process()).is_ok_and(|host| is_loopback(host.endpoint()))
}

impl ManagedIdentity {
    /// For an app, as this process's environment has it.
    pub(super) fn new(app: &App, identity: Identity) -> Self {
        Self::around(app, identity, Surroundings::of_process())
    }

    fn around(app: &App, identity: Identity, around: Surroundings) -> Self {
        let resource = app.cloud.graph.as_str().trim_end_matches('/').to_owned();
        Self { identity, resource, around }
    }

    /// Asks the host for a token, and returns within `time` of real time. `wall` is the wall time now.
    pub(super) async fn fetch(&self, time: Duration, wall: SystemTime) -> TokenReply {
        let clock = Clock::real();
        let began = clock.now();
        let left = || time.saturating_sub(clock.now().since(began));
        let host = match Host::find(&self.around).and_then(|host| host.fit_for(self.identity)) {
            Ok(host) => host,
            Err(none) => return none.reply(),
        };
        let way = Way::to(host.endpoint(), &Network { proxy: Proxy::None, ca_file: None });
        let (way, http) = match way.and_then(|way| way.client().map(|http| (way, http))) {
            Ok(made) => made,
            Err(error) => return not_sent(&error),
        };
        let mut reader = answer::Reader { host: &host, identity: self.identity, secret: host.secret(), wall };
        let first = match self.get(&host, (&way, &http), None, left()).await {
            Ok(answer) => answer,
            Err(none) => return answer::no_answer(&host, none),
        };
        if first.status != 401 || !matches!(host, Host::Arc { .. }) {
            return reader.read(&first);
        }
        let key = match self.key(&first.headers, left()).await {
            Ok(key) => key,
            Err(none) => return none.reply(),
        };
        reader.secret = key.expose_secret();
        match self.get(&host, (&way, &http), Some(&key), left()).await {
            Ok(answer) => reader.read(&answer),
            Err(none) => answer::no_answer(&host, none),
        }
    }

    async fn get(
        &self,
        host: &Host,
        way: (&Way, &Client),
        key: Option<&SecretString>,
        time: Duration,
    ) -> Result<Answer, TokenReply> {
        let mut request = Request::new(Method::GET, self.url(host));
        add_headers(request.headers_mut(), host, key).map_err(NoProof::reply)?;
        post::send(way, request, time).await
    }

    fn url(&self, host: &Host) -> Url {
        let mut url = host.endpoint().clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("api-version", host.api_version()).append_pair("resource", &self.resource);
        if let Identity::UserAssigned(client) = self.identity {
            query.append_pair("client_id", &client.to_string());
        }
        drop(query);
        url
    }

    /// What the agent of an Arc machine wants to be shown: only who may read that file on this machine can.
    async fn key(&self, headers: &HeaderMap, time: Duration) -> Result<SecretString, NoProof> {
        let folder = self.around.tokens.clone();
        let realm = challenge::basic_realm(headers);
        let read = spawn_blocking(move || agent::read_key(&folder, realm.as_deref()));
        match timeout(time, read).await {
            Ok(Ok(key)) => key,
            Ok(Err(_)) | Err(_) => Err(NoProof {
                class: Class::Again,
                meaning: "the key of the Arc agent could not be read in time".to_owned(),
                advice: "see whether the file system that it is on hangs; it is tried again".to_owned(),
            }),
        }
    }
}

fn add_headers(headers: &mut HeaderMap, host: &Host, key: Option<&SecretString>) -> Result<(), NoProof> {
    match host {
        Host::AppService { header, .. } => {
            headers.insert(IDENTITY_HEADER, sensitive(header.expose_secret())?);
        }
        Host::Arc { .. } | Host::Imds { .. } => {
            headers.insert(METADATA, HeaderValue::from_static("true"));
        }
    }
    if let Some(key) = key {
        let mut basic = String::with_capacity(agent::MAX_KEY + 6);
        basic.push_str("Basic ");
        basic.push_str(key.expose_secret());
        headers.insert(AUTHORIZATION, sensitive(&basic)?);
    }
    Ok(())
}

fn sensitive(text: &str) -> Result<HeaderValue, NoProof> {
    let mut value = HeaderValue::from_str(text).map_err(|_| NoProof {
        class: Class::Fix,
        meaning: "what the host gave to prove who asks does not fit into a header".to_owned(),
        advice: "check IDENTITY_HEADER, which the platform sets".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
