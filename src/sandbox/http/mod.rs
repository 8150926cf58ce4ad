//! The listener around the service: HTTP/1.1 and HTTP/2 without TLS.
//!
//! It reads requests, hands them to the machine at the moment of their arrival, sleeps their latency, and writes
//! what the machine decided. It decides nothing itself. Clocks and sleeping come from outside, as [`Hands`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::authority::ask::{DeviceAsk, TokenAsk};
use super::authority::identity::{Head, IdentityAsk};
use super::batch::Batch;
use super::call::{Bearer, Call, Request};
use super::faults::BodyForm;
use super::problem::Problem;
use super::query::Read;
use super::reply::{Delivery, Reply, TokenReply, TokenTicket};
use super::route::{Target, route};
use super::service::Service;
use crate::keeper::time::MonoTime;
use answer::{Caller, Response};

mod answer;
mod door;
mod login;
mod objects;

/// How many connections are open at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 4_096;
/// How many requests one HTTP/2 connection carries at a time; the usual figure of public services.
const MOST_STREAMS: u32 = 100;
/// How long a request may take to show its head. Longer than clients keep an idle connection, because hyper counts
/// the time between two requests too, and a connection that ends under a client's hand looks like a lost answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// How large a body is read. 650 ids are 26 kB.
const LARGEST_BODY: usize = 256 * 1024;
/// How large a group may be that is defined. Ten thousand members with all that can be said of them are 3 MB.
const LARGEST_GROUP: usize = 16 * 1024 * 1024;
/// How long requests under way may take, in real time, once the listener stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait, on the service's clock, when a connection cannot be accepted: there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The service's clock and its way to sleep.
#[derive(Clone)]
pub struct Hands {
    /// The time of arrivals.
    pub now: Arc<dyn Fn() -> MonoTime + Send + Sync>,
    /// The wall time that goes with it, for dates.
    pub wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Sleeps a span of that clock.
    pub sleep: Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").field("now", &(self.now)()).finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is there, then lets what is under way end, for two seconds at most.
///
/// The service stays reachable for whoever shares it. Whoever changes its faults past `/sandbox/faults` does not end
/// the waiting of requests that hang already.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Mutex<Service>>,
    hands: Hands,
    shutdown: impl Future<Output = ()>,
) {
    let desk = Arc::new(Desk { service, hands, scripts: watch::Sender::new(()) });
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let stop = watch::Sender::new(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept(&listener, &permits) => match accepted {
                Ok((stream, permit)) => {
                    connections.spawn(converse(stream, permit, Arc::clone(&desk), stop.subscribe()));
                }
                Err(_) => (desk.hands.sleep)(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    stop.send_replace(());
    // What hangs by script would take the whole time-out.
    desk.scripts.send_replace(());
    let ended = async { while connections.join_next().await.is_some() {} };
    // What is left after the time-out is cut off with the set.
    let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
    connections.shutdown().await;
}

/// Why a listener for the sandbox could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The sandbox takes any secret: nobody else may reach it.
    #[error("{0} is not a loopback address; the sandbox takes every secret and serves this machine only")]
    NotLoopback(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {0}")]
    Refused(SocketAddr, #[source] io::Error),
}

/// Opens a listener on a loopback address; port 0 takes a free one.
///
/// # Errors
/// See [`ListenError`].
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|error| ListenError::Refused(address, error))
}

/// What all connections share.
struct Desk {
    service: Arc<Mutex<Service>>,
    hands: Hands,
    /// Told of each change of the script, for the requests that hang.
    scripts: watch::Sender<()>,
}

/// The connection is closed in place of an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut by script")]
struct Cut;

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("nobody closes the semaphore");
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn converse(
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    desk: Arc<Desk>,
    mut stop: watch::Receiver<()>,
) {
    // A connection that cannot be told works all the same, a little later.
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MOST_STREAMS);
    let service = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { desk.answer(request).await }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How a connection ends is the client's affair, or was asked for by script.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(permit);
}

impl Desk {
    async fn answer(&self, request: hyper::Request<Incoming>) -> Result<Response, Cut> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let door = path.strip_prefix("/sandbox");
        let of_group = door.is_some_and(|door| door.starts_with("/groups/"));
        let largest = if of_group { LARGEST_GROUP } else { LARGEST_BODY };
        let body = axum::body::to_bytes(Body::new(body), largest).await;
        if let Some(door) = door {
            let Ok(body) = body else { return Ok(door::too_large()) };
            return Ok(self.door(&head.method, door, head.uri.query(), &body));
        }
        let travel = self.service().depart();
        self.pass(travel).await;
        let caller = Caller::of(&head);
        let Ok(body) = body else { return self.stray(Problem::too_large(), &caller).await };
        let target = match route(head.method.as_str(), path) {
            Err(problem) => return self.stray(problem, &caller).await,
            Ok(target) => target,
        };
        match target {
            Target::Token(tenant) => {
                let ask = TokenAsk::read(host(&head), &tenant, form(&head.headers, &body));
                self.token(|service, now| service.token(now, ask)).await
            }
            Target::DeviceCode(tenant) => {
                let ask = DeviceAsk::read(&tenant, form(&head.headers, &body));
                self.token(|service, now| service.device_code(now, ask)).await
            }
            Target::Identity { app_service } => self.identity(app_service, &head).await,
            _ if !body.is_empty() && !is(&head.headers, "application/json") => {
                self.stray(Problem::not_json(), &caller).await
            }
            Target::Batch => self.batch(&head.headers, &body, &caller).await,
            Target::User(user, verb) => {
                self.call(&head.headers, Call::on_user(user, verb, &body), &caller).await
            }
            Target::Directory(place) => {
                let header = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"eventual");
                let eventual = head.headers.get("consistencylevel").is_some_and(header);
                let read = Read::new(place, head.uri.query(), eventual);
                self.ask(&head.headers, &caller, |service, now, bearer| service.read(now, bearer, &read))
                    .await
            }
            Target::Presences => self.call(&head.headers, Call::on_presences(&body), &caller).await,
        }
    }

    async fn call(&self, headers: &HeaderMap, call: Call, caller: &Caller) -> Result<Response, Cut> {
        let handle = |service: &mut Service, now, bearer| service.handle(now, &Request { bearer, call });
        self.ask(headers, caller, handle).await
    }

    async fn ask(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        handle: impl FnOnce(&mut Service, MonoTime, Bearer) -> Reply,
    ) -> Result<Response, Cut> {
        let scripts = self.scripts.subscribe();
        let (reply, ahead) = {
            let mut service = self.service();
            let bearer = service.bearer(bearer(headers));
            let reply = handle(&mut service, (self.hands.now)(), bearer);
            (reply, service.faults().clock_offset_s)
        };
        let form = self.deliver(reply.latency, reply.delivery, scripts).await?;
        Ok(answer::reply(&reply, form, caller, self.wall(ahead)))
    }

    async fn batch(&self, headers: &HeaderMap, body: &Bytes, caller: &Caller) -> Result<Response, Cut> {
        let scripts = self.scripts.subscribe();
        let batch = Batch::read(body);
        let (outcome, ahead) = {
            let mut service = self.service();
            let bearer = service.bearer(bearer(headers));
            let outcome = service.batch((self.hands.now)(), bearer, batch);
            (outcome, service.faults().clock_offset_s)
        };
        match outcome {
            Err(reply) => {
                let form = self.deliver(reply.latency, reply.delivery, scripts).await?;
                Ok(answer::reply(&reply, form, caller, self.wall(ahead)))
            }
            Ok(batch) => {
                self.pass(batch.latency).await;
                Ok(answer::batch(&batch, caller, self.wall(ahead)))
            }
        }
    }

    async fn token(
        &self,
        decide: impl FnOnce(&mut Service, MonoTime) -> TokenReply,
    ) -> Result<Response, Cut> {
        let scripts = self.scripts.subscribe();
        let (reply, ahead) = {
            let (mut service, now) = self.service_now();
            (decide(&mut service, now), service.faults().clock_offset_s)
        };
        let _under_way = reply.ticket.map(|ticket| UnderWay { desk: self, ticket });
        let form = self.deliver(reply.latency, reply.delivery, scripts).await?;
        Ok(login::token(&reply, form, self.wall(ahead)))
    }

    async fn identity(&self, app_service: bool, head: &Parts) -> Result<Response, Cut> {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let counts = Head {
            metadata: text("metadata"),
            forwarded: head.headers.contains_key("x-forwarded-for"),
            identity_header: text("x-identity-header"),
            authorization: text("authorization"),
        };
        let ask = IdentityAsk::read(app_service, head.uri.query().unwrap_or_default(), counts);
        let (reply, ahead) = {
            let (mut service, now) = self.service_now();
            (service.identity(now, ask), service.faults().clock_offset_s)
        };
        self.pass(reply.latency).await;
        Ok(login::identity(&reply, self.wall(ahead)))
    }

    async fn stray(&self, problem: Problem, caller: &Caller) -> Result<Response, Cut> {
        let (reply, ahead) = {
            let mut service = self.service();
            (service.stray(problem), service.faults().clock_offset_s)
        };
        self.pass(reply.latency).await;
        Ok(answer::reply(&reply, BodyForm::Envelope, caller, self.wall(ahead)))
    }

    /// Returns the form of the body when the answer is to go out.
    async fn deliver(
        &self,
        latency: Duration,
        delivery: Delivery,
        mut scripts: watch::Receiver<()>,
    ) -> Result<BodyForm, Cut> {
        if delivery == Delivery::Hung {
            // The sender lives as long as the desk.
            let _ = scripts.changed().await;
            return Err(Cut);
        }
        self.pass(latency).await;
        match delivery {
            Delivery::Answered(form) => Ok(form),
            Delivery::Cut | Delivery::Hung => Err(Cut),
        }
    }

    async fn pass(&self, latency: Duration) {
        if !latency.is_zero() {
            (self.hands.sleep)(latency).await;
        }
    }

    /// The service's wall time, so many seconds ahead of the right one.
    fn wall(&self, ahead: i64) -> SystemTime {
        let (wall, by) = ((self.hands.wall)(), Duration::from_secs(ahead.unsigned_abs()));
        let shifted = if ahead < 0 { wall.checked_sub(by) } else { wall.checked_add(by) };
        shifted.unwrap_or(wall)
    }

    /// The machine, told the wall time, and the moment.
    fn service_now(&self) -> (MutexGuard<'_, Service>, MonoTime) {
        let mut service = self.service();
        let now = (self.hands.now)();
        service.set_wall(now, (self.hands.wall)());
        (service, now)
    }

    /// The machine. It is held for one call, and the time is read while it is held, so that time never goes back.
    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token request that has no answer yet, be it that its client has gone.
struct UnderWay<'a> {
    desk: &'a Desk,
    ticket: TokenTicket,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.desk.service().token_done(self.ticket);
    }
}

/// The host by which a client reaches the service.
fn host(head: &Parts) -> &str {
    let by_header = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
    head.uri.authority().map(Authority::as_str).or_else(by_header).unwrap_or_default()
}

fn form<'a>(headers: &HeaderMap, body: &'a [u8]) -> &'a [u8] {
    if is(headers, "application/x-www-form-urlencoded") { body } else { b"" }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

#[cfg(test)]
mod tests;
