//! `$batch`: several requests in one, each counted and throttled by itself.
//!
//! Source of the rules: Microsoft's page "Combine multiple HTTP requests using JSON batching".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Bearer, Call, Request, is_object};
use super::chance::{self, Purpose};
use super::faults::BodyForm;
use super::problem::Problem;
use super::query::Read;
use super::reply::{Content, Delivery, Reply};
use super::route::{Target, route};
use super::service::Service;
use crate::keeper::time::MonoTime;

/// The most requests in one batch.
pub const MOST_ITEMS: usize = 20;

/// A batch that keeps the rules.
#[derive(Clone, Debug)]
pub struct Batch {
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    id: String,
    call: Result<Asked, Problem>,
    /// Items before this one, by place.
    depends_on: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Asked {
    Call(Call),
    Read(Read),
}

/// The answers of a batch, in the order in which they go out.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchReply {
    /// Each with the id of its item.
    pub replies: Vec<(String, Reply)>,
    /// How long the batch takes: as long as its slowest item.
    pub latency: Duration,
}

#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ItemBody<'a> {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    depends_on: Vec<String>,
}

impl<'a> ItemBody<'a> {
    fn read(item: &'a RawValue) -> Result<Self, Problem> {
        let invalid = |why: &str| Problem::bad_batch(format!("Invalid batch payload format: {why}"));
        if !is_object(item.get().as_bytes()) {
            return Err(invalid("a request is an object"));
        }
        serde_json::from_str(item.get()).map_err(|error| invalid(&error.to_string()))
    }
}

impl Batch {
    /// Reads the body of a batch.
    ///
    /// # Errors
    /// 400 for what cannot be read, more than 20 items, an id that occurs twice (compared without case), a body
    /// without Content-Type, and a dependency on something that does not come before.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        if !is_object(body) {
            return Err(Problem::bad_batch("Invalid batch payload format."));
        }
        let body: BatchBody<'_> = serde_json::from_slice(body)
            .map_err(|error| Problem::bad_batch(format!("Invalid batch payload format: {error}")))?;
        if body.requests.len() > MOST_ITEMS {
            return Err(Problem::bad_batch(format!(
                "Number of batch requests ({}) exceeds the maximum of {MOST_ITEMS}.",
                body.requests.len()
            )));
        }
        let mut places = BTreeMap::new();
        let mut items = Vec::with_capacity(body.requests.len());
        for (place, item) in body.requests.into_iter().enumerate() {
            let item = ItemBody::read(item)?;
            let typed = item.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
            if item.body.is_some() && !typed {
                let id = item.id;
                return Err(Problem::bad_batch(format!(
                    "Request id : {id} has a body and no Content-Type header."
                )));
            }
            let depends_on = item.depends_on.iter().map(|id| places.get(&id.to_lowercase()).copied());
            let depends_on: Option<Vec<usize>> = depends_on.collect();
            let depends_on = depends_on.ok_or_else(|| {
                Problem::bad_batch(format!("Request id : {} depends on an unknown id.", item.id))
            })?;
            if item.id.is_empty() || places.insert(item.id.to_lowercase(), place).is_some() {
                return Err(Problem::bad_batch(format!("Request id : {} is not unique.", item.id)));
            }
            let call = read_call(&item);
            items.push(Item { id: item.id, call, depends_on });
        }
        Ok(Self { items })
    }
}

fn read_call(item: &ItemBody<'_>) -> Result<Asked, Problem> {
    let (path, query) =
        item.url.split_once('?').map_or((&*item.url, None), |(path, query)| (path, Some(query)));
    let body = item.body.map_or(&b""[..], |body| body.get().as_bytes());
    match route(&item.method, &format!("/v1.0/{}", path.trim_start_matches('/')))? {
        Target::User(user, verb) => Ok(Asked::Call(Call::on_user(user, verb, body))),
        Target::Presences => Ok(Asked::Call(Call::on_presences(body))),
        Target::Directory(place) => {
            let mut headers = item.headers.iter();
            let eventual = headers.any(|(name, value)| {
                name.eq_ignore_ascii_case("consistencylevel") && value.eq_ignore_ascii_case("eventual")
            });
            Ok(Asked::Read(Read::new(place, query, eventual)))
        }
        Target::Batch | Target::Token(_) | Target::DeviceCode(_) | Target::Identity { .. } => {
            Err(Problem::no_such_path())
        }
    }
}

impl Service {
    /// Takes a batch that arrives now. Items are handled in their order and answered in another.
    ///
    /// # Errors
    /// The answer to the batch as a whole, when none of its items is looked at.
    pub fn batch(
        &mut self,
        now: MonoTime,
        bearer: Bearer,
        batch: Result<Batch, Problem>,
    ) -> Result<BatchReply, Reply> {
        let number = self.handle_batch(now, bearer)?;
        let batch = batch.map_err(|problem| self.refuse(number, problem))?;
        let mut failed = BTreeSet::new();
        let mut replies = Vec::with_capacity(batch.items.len());
        for (place, item) in batch.items.into_iter().enumerate() {
            let reply = if item.depends_on.iter().any(|on| failed.contains(on)) {
                Reply { latency: Duration::ZERO, ..self.refuse(number, Problem::of_status(424)) }
            } else {
                match item.call {
                    Ok(Asked::Call(call)) => within_batch(self.handle(now, &Request { bearer, call })),
                    Ok(Asked::Read(read)) => within_batch(self.read(now, bearer, &read)),
                    Err(problem) => self.refuse(number, problem),
                }
            };
            if reply.status >= 400 {
                failed.insert(place);
            }
            replies.push((
                chance::bits(self.faults().seed, Purpose::Order, reply.number + place as u64),
                item.id,
                reply,
            ));
        }
        replies.sort_by_key(|(order, ..)| *order);
        let latency = replies.iter().map(|(.., reply)| reply.latency).max().unwrap_or_default();
        let replies = replies.into_iter().map(|(_, id, reply)| (id, reply)).collect();
        Ok(BatchReply { replies, latency })
    }
}

/// An item cannot lose its answer alone: what stands before the service answers in its place.
fn within_batch(reply: Reply) -> Reply {
    match reply.delivery {
        Delivery::Answered(_) => reply,
        Delivery::Cut | Delivery::Hung => {
            let content = Content::Problem(Box::new(Problem::of_status(504)));
            Reply { status: 504, content, delivery: Delivery::Answered(BodyForm::Envelope), ..reply }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::service::tests::{Bench, USER};
    use serde_json::{Value, json};

    fn set(id: &str) -> Value {
        json!({"id": id, "method": "POST", "url": format!("/users/{USER}/presence/setPresence"),
            "headers": {"Content-Type": "application/json"},
            "body": {"sessionId": crate::sandbox::service::tests::CLIENT, "availability": "Away", "activity": "Away"}})
    }

    fn batch(items: &[Value]) -> Result<Batch, Problem> {
        Batch::read(json!({ "requests": items }).to_string().as_bytes())
    }

    fn message(items: &[Value]) -> String {
        let problem = batch(items).unwrap_err();
        assert_eq!(problem.status, 400);
        problem.message.into_owned()
    }

    #[test]
    fn a_batch_that_breaks_a_rule_is_refused_as_a_whole() {
        let many: Vec<Value> = (0..21).map(|n| set(&n.to_string())).collect();
        assert!(message(&many).contains("20"));
        assert!(batch(&many[..20]).is_ok());
        assert!(message(&[set("a"), set("A")]).contains("not unique"));
        let mut untyped = set("1");
        untyped["headers"] = json!({});
        assert!(message(&[untyped]).contains("Content-Type"));
        let mut dangling = set("1");
        dangling["dependsOn"] = json!(["2"]);
        assert!(message(&[dangling, set("2")]).contains("unknown id"));
        assert_eq!(Batch::read(b"{").unwrap_err().status, 400);
        let list = json!(["1", "GET", format!("/users/{USER}/presence")]);
        assert!(message(std::slice::from_ref(&list)).contains("an object"), "fields in their order");
        assert_eq!(Batch::read(b"[[]]").unwrap_err().status, 400);
    }

    #[test]
    fn items_are_answered_in_another_order_and_counted_one_by_one() {
        let mut t = Bench::new();
        let items: Vec<Value> = (0..20).map(|n| set(&n.to_string())).collect();
        let reply = t.service.batch(t.now, t.bearer(), batch(&items)).unwrap();
        let ids: Vec<u32> = reply.replies.iter().map(|(id, _)| id.parse().unwrap()).collect();
        assert!(!ids.is_sorted(), "{ids:?}");
        assert_eq!(ids.iter().copied().collect::<BTreeSet<_>>(), (0..20).collect());
        assert!(reply.replies.iter().all(|(_, reply)| reply.status == 200));
        let report = t.report();
        assert_eq!((report.requests.total, report.requests.batches, report.peak_window), (20, 1, 20));
    }

    #[test]
    fn each_item_is_throttled_by_itself() {
        let mut t = Bench::with_quota(3);
        let items: Vec<Value> = (0..5).map(|n| set(&n.to_string())).collect();
        let reply = t.service.batch(t.now, t.bearer(), batch(&items)).unwrap();
        let throttled: Vec<_> = reply.replies.iter().filter(|(_, reply)| reply.status == 429).collect();
        assert_eq!(throttled.len(), 2);
        assert!(throttled.iter().all(|(_, reply)| reply.retry_after.is_some()));
    }

    #[test]
    fn what_depends_on_a_failure_fails() {
        let mut t = Bench::new();
        let mut first = set("first");
        first["body"]["activity"] = json!("Busy");
        let mut second = set("second");
        second["dependsOn"] = json!(["FIRST"]);
        let unknown = json!({"id": "third", "method": "GET", "url": "/me/presence"});
        let reply = t.service.batch(t.now, t.bearer(), batch(&[first, second, unknown])).unwrap();
        let status = |id: &str| reply.replies.iter().find(|(item, _)| item == id).unwrap().1.status;
        assert_eq!((status("first"), status("second"), status("third")), (400, 424, 404));
        assert_eq!(t.report().sets, 0);
    }

    #[test]
    fn a_batch_without_a_good_token_is_refused_before_it_is_read() {
        let mut t = Bench::new();
        let reply = t.service.batch(t.now, Bearer::Unknown, Batch::read(b"{")).unwrap_err();
        assert_eq!(reply.status, 401);
    }
}
