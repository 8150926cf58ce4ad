//! One lane's connections to Graph.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request};
use url::Url;
use uuid::Uuid;

use super::classify::classify;
use super::fault::{self, Fault, InNameOf};
use super::wire::Wire;
use super::{Answer, Ask, Detail, Together, batch};
use crate::config::settings::{App, Network};
use crate::daemon::network::exchange::{self, CLIENT_REQUEST_ID, Exchange, Limits};
use crate::daemon::network::{NetworkError, Way};
use crate::daemon::token::{AccessToken, Claims};
use crate::keeper::{Call, Loss, Outcome};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Longest body that is read, in bytes. Graph's error bodies have a few hundred.
const MAX_BODY: usize = 256 * 1024;
/// Longest time for a body after its status is known. The status counts, and a body is only for the log: a slow one
/// is not waited for.
const BODY_TIME: Duration = Duration::from_secs(1);
/// So many calls in a row without an answer, and new connections are made: over HTTP/2 all calls of a lane share one,
/// and it may be dead without a sign.
const SILENT_CALLS: u32 = 2;

/// One lane's way to Graph: its connections, its URLs. Cheap to clone; the clones share their connections.
///
/// After two calls in a row that nothing answered in time, its connections are replaced by new ones; calls in flight
/// end on the old ones.
#[derive(Clone)]
pub struct GraphClient(Arc<Lane>);

struct Lane {
    way: Way,
    wire: Wire,
    name: InNameOf,
    /// Held for the time of a clone or a store only, never over an await.
    connections: RwLock<Connections>,
    /// Calls since the last answer that ended without one, on the connections in use.
    silent: AtomicU32,
}

#[derive(Clone)]
struct Connections {
    http: reqwest::Client,
    generation: u32,
}

impl GraphClient {
    /// A way to the Graph of this app, with connections of its own. It opens none yet.
    ///
    /// Takes some milliseconds, because the system's certificate authorities are read.
    ///
    /// # Errors
    ///
    /// When `[network]` cannot be done: a CA file that cannot be read, a proxy that cannot be used.
    pub fn new(app: &App, network: &Network) -> Result<Self, NetworkError> {
        let way = Way::to(&app.cloud.graph, network)?;
        let http = way.client()?;
        Ok(Self(Arc::new(Lane {
            wire: Wire::new(&app.cloud.graph, app.client_id),
            name: InNameOf::of(&app.credential),
            connections: RwLock::new(Connections { http, generation: 0 }),
            silent: AtomicU32::new(0),
            way,
        })))
    }

    /// Asks Graph, and returns the answer within `timeout` of real time, whatever the service does.
    ///
    /// The status of the answer counts; what its body holds, and whether it ends, makes no difference to the outcome. At
    /// most 256 KiB of a body are read, for at most a second.
    ///
    /// `wall` is the wall time now; a `Retry-After` that is a date counts from it, unless the answer is dated itself.
    pub async fn call(&self, ask: Ask, token: &AccessToken, timeout: Duration, wall: SystemTime) -> Answer {
        let asked = self.asked(token, wall);
        let limits = Limits { time: timeout, body_time: BODY_TIME, max_body: MAX_BODY };
        match self.exchange(self.0.wire.url(ask), Some(self.0.wire.body(ask.call)), &asked, limits).await {
            Ok(heard) => asked.answer(ask.call, &heard),
            Err(lost) => lost,
        }
    }

    /// The most calls that go out together.
    pub const MOST: usize = batch::MOST;

    /// Makes several calls by one request, and returns within `timeout` of real time. A single one goes out by itself,
    /// as [`GraphClient::call`] has it.
    ///
    /// Here the body counts: each call has its own status in it. At most 256 KiB of it are read; 20 errors have a tenth
    /// of that.
    ///
    /// # Panics
    /// With more than [`GraphClient::MOST`] calls.
    pub async fn call_together(
        &self,
        asks: &[Ask],
        token: &AccessToken,
        timeout: Duration,
        wall: SystemTime,
    ) -> Together {
        assert!(asks.len() <= Self::MOST, "{} calls in a batch", asks.len());
        if let &[alone] = asks {
            return Together::Answered(vec![self.call(alone, token, timeout, wall).await]);
        }
        let asked = self.asked(token, wall);
        let limits = Limits { time: timeout, body_time: timeout, max_body: MAX_BODY };
        match self.exchange(self.0.wire.batch_url(), Some(self.0.wire.batch(asks)), &asked, limits).await {
            Ok(heard) => batch::read(asks, &heard, &asked),
            Err(lost) => Together::Answered(vec![lost; asks.len()]),
        }
    }

    /// A request that is sent now, and what its answer is read with.
    pub(super) fn asked<'a>(&self, token: &'a AccessToken, wall: SystemTime) -> Asked<'a> {
        Asked { id: Uuid::new_v4(), token, wall, name: self.0.name }
    }

    /// The URLs and bodies of this lane.
    pub(super) fn wire(&self) -> &Wire {
        &self.0.wire
    }

    /// Posts `body`, or gets what is there without one, and returns what was answered, or that it is lost.
    pub(super) async fn exchange(
        &self,
        url: Option<Url>,
        body: Option<String>,
        asked: &Asked<'_>,
        limits: Limits,
    ) -> Result<Heard<'static>, Answer> {
        let Some(url) = url else {
            // Graph's root is a URL with a host (config checks it), and the rest of the path is ours.
            return Err(asked.lost(Loss::Transport, "the app's cloud is no usable address".to_owned()));
        };
        let connections = self.0.connections();
        match exchange::run(&connections.http, asked.request(url, body), limits).await {
            Exchange::Answered { status, headers, body } => {
                self.0.silent.store(0, Ordering::Relaxed);
                Ok(Heard { status, headers, body: body.into() })
            }
            Exchange::Broken(error) => {
                Err(asked.lost(Loss::Transport, self.0.way.explain(&error).to_string()))
            }
            Exchange::Silent => {
                self.0.no_answer(connections.generation);
                Err(asked.lost(Loss::Timeout, self.0.way.silence(limits.time).to_string()))
            }
        }
    }
}

/// A request, and what its answer is read with.
pub(super) struct Asked<'a> {
    /// Its `client-request-id`.
    pub(super) id: Uuid,
    /// The token that it is sent with.
    pub(super) token: &'a AccessToken,
    /// The wall time when it is sent.
    pub(super) wall: SystemTime,
    /// In whose name the token is.
    pub(super) name: InNameOf,
}

/// An answer as it was heard.
pub(super) struct Heard<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// What was read of the body.
    pub(super) body: Cow<'a, [u8]>,
}

impl Asked<'_> {
    fn request(&self, url: Url, body: Option<String>) -> Request {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.reserve(5);
        headers.insert(AUTHORIZATION, self.token.authorization().clone());
        headers.insert(CLIENT_REQUEST_ID, exchange::guid_header(self.id));
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, JSON);
            *request.body_mut() = Some(body.into());
        }
        request
    }

    /// What an answer means for a call.
    pub(super) fn answer(&self, call: Call, heard: &Heard<'_>) -> Answer {
        match classify(call, heard.status, &heard.headers, self.wall) {
            Outcome::Granted => Answer {
                outcome: Outcome::Granted,
                detail: None,
                claims: None,
                request_id: fault::request_id(&heard.headers),
            },
            outcome => self.refused(outcome, heard),
        }
    }

    /// An answer that does not grant what was asked for.
    pub(super) fn refused(&self, outcome: Outcome, heard: &Heard<'_>) -> Answer {
        let claims = claims(outcome, &heard.headers);
        Answer { outcome, detail: Some(self.detail(outcome, heard)), claims, request_id: None }
    }

    /// What the log is told of an answer.
    pub(super) fn detail(&self, outcome: Outcome, heard: &Heard<'_>) -> Box<Detail> {
        let fault = Fault::read(heard.status, &heard.headers, &heard.body, self.token.text());
        Box::new(Detail {
            status: Some(heard.status),
            code: fault.code,
            message: fault.message,
            request_id: fault.request_id,
            client_request_id: self.id.to_string(),
            cause: fault.cause,
            advice: fault::advice(outcome, self.name),
        })
    }

    /// No answer.
    pub(super) fn lost(&self, loss: Loss, cause: String) -> Answer {
        let client_request_id = self.id.to_string();
        Answer {
            outcome: Outcome::Lost { loss, retry_after: None },
            detail: Some(Box::new(Detail { client_request_id, cause: Some(cause), ..Detail::default() })),
            claims: None,
            request_id: None,
        }
    }
}

/// What another token must have, where this one was rejected.
pub(super) fn claims(outcome: Outcome, headers: &HeaderMap) -> Option<Claims> {
    (outcome == Outcome::TokenRejected).then(|| Claims::asked_for(headers)).flatten()
}

impl Lane {
    fn connections(&self) -> Connections {
        self.connections.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A call on the connections of this generation had no answer in time.
    fn no_answer(&self, generation: u32) {
        if self.connections().generation != generation
            || self.silent.fetch_add(1, Ordering::Relaxed) + 1 != SILENT_CALLS
        {
            return;
        }
        // Without the system's authorities, which may be gone by now, the old connections are all there is.
        if let Ok(http) = self.way.client() {
            let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
            *connections = Connections { http, generation: generation.wrapping_add(1) };
        }
        self.silent.store(0, Ordering::Relaxed);
    }
}

impl fmt::Debug for GraphClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GraphClient").field(&self.0.way).finish()
    }
}
