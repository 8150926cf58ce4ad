//! How a read of the directory is let in, decided and put on record.

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Service;
use crate::keeper::time::MonoTime;
use crate::sandbox::call::Bearer;
use crate::sandbox::counts::Outcome;
use crate::sandbox::faults::{BodyForm, Fate, Faults, Trouble};
use crate::sandbox::objects::{Object, name_of};
use crate::sandbox::problem::Problem;
use crate::sandbox::query::{Place, Query, Read};
use crate::sandbox::quota::RetryAfter;
use crate::sandbox::reads::Units;
use crate::sandbox::reply::{Content, Delivery, Page, Reply};
use crate::sandbox::route::object_id;
use crate::sandbox::token::{Grant, Profile};

/// A read under way: its number, and what goes wrong for it.
struct Way<'a> {
    now: MonoTime,
    number: u64,
    faults: &'a Faults,
}

impl Service {
    /// Takes a read of the directory that arrives now.
    pub(in crate::sandbox) fn read(&mut self, now: MonoTime, bearer: Bearer, read: &Read) -> Reply {
        let faults = self.faults.of_reads();
        let way = Way { now, number: self.next_number(), faults: &faults };
        let grant = self.grant(bearer);
        let wait = grant.and_then(|grant| self.count_read(now, grant.lane, read.units));
        let fate = faults.fate(way.number);
        let reply = self.before_the_read(&way, bearer, read, wait, fate).and_then(|grant| {
            self.counts.reads.units += u64::from(read.units);
            self.look_up(&way, grant, read).map_err(|problem| way.problem(problem))
        });
        let mut reply = reply.unwrap_or_else(|refusal| refusal);
        let lost = fate == Fate::Lost && reply.is_granted();
        let outcome = match reply.delivery {
            Delivery::Answered(_) if lost => Outcome::Lost,
            Delivery::Answered(_) => Outcome::Status(reply.status),
            Delivery::Cut => Outcome::Reset,
            Delivery::Hung => Outcome::Hung,
        };
        if lost {
            reply.delivery = Delivery::Cut;
        }
        *self.counts.reads.by_call.entry((read.kind(), outcome)).or_default() += 1;
        if matches!(&reply.content, Content::Problem(problem) if problem.invalid) {
            self.counts.invalid += 1;
        }
        if let Some(grant) = grant.filter(|_| outcome == Outcome::Status(429)) {
            let budget = &mut self.lanes[grant.lane as usize].reads;
            budget.counts.throttled += 1;
            if let Some(wait) = reply.retry_after.as_ref().and_then(RetryAfter::wait) {
                budget.told.tell(now + reply.latency, wait);
            }
        }
        reply
    }

    /// The quota of each lane for reads of the directory.
    #[must_use]
    pub fn read_quota(&self) -> Units {
        self.faults.directory.quota.unwrap_or(self.options.read_quota)
    }

    /// Counts a read against its own budget and that of the app over all tenants. Returns how long to wait when it is one
    /// too many.
    fn count_read(&mut self, now: MonoTime, lane: u32, units: u32) -> Option<Duration> {
        let quota = self.read_quota();
        let kind = self.faults.window.unwrap_or(self.options.window);
        let lane = &mut self.lanes[lane as usize];
        let own = lane.reads.arrive(now, units, quota);
        own.max(self.global[lane.global].arrive(now, self.options.global_quota, kind))
    }

    /// All that can keep a read from being looked at: scripts, the token, the quota, chance.
    fn before_the_read(
        &self,
        way: &Way<'_>,
        bearer: Bearer,
        read: &Read,
        wait: Option<Duration>,
        fate: Fate,
    ) -> Result<Grant, Reply> {
        self.gate(way.number).map_or(Ok(()), Err)?;
        let grant = self.good_token(way.now, bearer, self.grant(bearer));
        let grant = grant.map_err(|problem| way.problem(problem))?;
        let group = match &read.place {
            Place::Group(id) | Place::Members(id) => object_id(id),
            Place::User(_) => None,
        };
        let script = &way.faults.directory;
        if let Some(throttle) = &script.throttle {
            let retry_after = throttle.retry_after.clone();
            return Err(way.trouble(&Trouble { retry_after, ..Trouble::status(429) }));
        }
        if let Some(wait) = wait {
            let retry_after = RetryAfter::of(wait, way.faults.retry_after_form);
            return Err(Reply { retry_after, ..way.problem(Problem::of_status(429)) });
        }
        if let Some(trouble) = script.of(read.goes_on, group) {
            return Err(way.trouble(trouble));
        }
        match fate {
            Fate::Fails(status) => Err(way.trouble(&Trouble::status(status))),
            Fate::Reset => Err(way.trouble(&Trouble { reset: true, ..Trouble::default() })),
            Fate::Healthy | Fate::Lost => Ok(grant),
        }
    }

    /// Answers a read: the permission first, then the query, then whether the object exists.
    fn look_up(&self, way: &Way<'_>, grant: Grant, read: &Read) -> Result<Reply, Problem> {
        let permitted = match read.place {
            Place::Group(_) | Place::Members(_) => grant.rights.groups,
            Place::User(_) => grant.rights.profile != Profile::Nothing,
        };
        if !permitted {
            return Err(Problem::of_status(403));
        }
        let query = read.query.as_ref().map_err(Clone::clone)?;
        let tenant = self.lanes[grant.lane as usize].tenant;
        let content = match &read.place {
            Place::Group(name) => {
                let (id, group) = self.group(tenant, name)?;
                let fields = query.select.iter().map(|property| (*property, of_group(id, group, property)));
                one(&query.selection("groups"), fields, read.units)
            }
            Place::Members(name) => {
                let (id, group) = self.group(tenant, name)?;
                let mut page = self.page(way, tenant, (id, group), query, grant.rights.profile)?;
                page.units = read.units;
                Content::Page(Box::new(page))
            }
            Place::User(name) => {
                let missing = || Problem::no_such_object(name);
                let id = self.objects.resolve(tenant, name).ok_or_else(missing)?;
                if !self.is_in(tenant, id) {
                    return Err(missing());
                }
                let user = self.objects.user(tenant, id).ok_or_else(missing)?;
                one(&query.selection("users"), of_user(id, &user, query, grant.rights.profile), read.units)
            }
        };
        Ok(way.done(content))
    }

    fn group(&self, tenant: Uuid, name: &str) -> Result<(Uuid, &Object), Problem> {
        let id = object_id(name).ok_or_else(|| Problem::bad_identifier(name))?;
        let group = self.objects.group(tenant, id).ok_or_else(|| Problem::no_such_object(name))?;
        Ok((id, group))
    }

    /// A page of a group's members: those behind the one that its token names, as they are now. So a member that stays
    /// comes once, whoever joins or leaves meanwhile.
    fn page(
        &self,
        way: &Way<'_>,
        tenant: Uuid,
        (id, group): (Uuid, &Object),
        query: &Query,
        profile: Profile,
    ) -> Result<Page, Problem> {
        use std::ops::Bound::{Excluded, Unbounded};
        let seed = self.options.faults.seed;
        let script = &way.faults.directory;
        let now_s = way.now.since(self.started).as_secs();
        let after = query.after(seed, id)?;
        if let (Some((_, issued_s)), Some(life_s)) = (after, script.page_token_life_s)
            && now_s >= issued_s + life_s
        {
            return Err(Problem::expired_page_token());
        }
        let all = self.objects.transitive_users(tenant, group);
        // What an endless group's last link leads to is behind nobody.
        let start = after.map_or(Unbounded, |(last, _)| Excluded(last));
        let mut behind = all.range((start, Unbounded));
        let size = usize::try_from(query.top).unwrap_or(usize::MAX);
        let members: Vec<_> = behind.by_ref().take(size).collect();
        let more = behind.next().is_some();
        let last = members.last().map(|(id, _)| **id).filter(|_| more);
        let last = last.or_else(|| script.endless.then_some(Uuid::nil()));
        Ok(Page {
            context: query.selection("users"),
            count: (query.count && after.is_none()).then_some(all.len()),
            next: last.map(|last| query.next(seed, now_s, id, last)),
            root: script.next_link_root.clone(),
            entries: members.iter().map(|(id, user)| member(**id, user, query, profile)).collect(),
            units: 0,
        })
    }
}

impl Way<'_> {
    fn problem(&self, problem: Problem) -> Reply {
        Reply::problem(self.number, self.faults.latency(self.number), self.faults.error_body, problem)
    }

    fn trouble(&self, trouble: &Trouble) -> Reply {
        Reply::trouble(self.number, self.faults.latency(self.number), self.faults.error_body, trouble)
    }

    fn done(&self, content: Content) -> Reply {
        Reply {
            number: self.number,
            status: 200,
            content,
            retry_after: None,
            delivery: Delivery::Answered(BodyForm::Envelope),
            latency: self.faults.latency(self.number),
        }
    }
}

fn one<'a>(selection: &str, fields: impl Iterator<Item = (&'a str, Value)>, units: u32) -> Content {
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).collect();
    Content::Entity { context: format!("{selection}/$entity"), fields, units }
}

/// A member as far as it may be read: of what may not be, the name is there and the value is null. Source: Microsoft's
/// page "Overview of Microsoft Graph permissions", limited information returned for inaccessible member objects.
fn member(id: Uuid, user: &Object, query: &Query, profile: Profile) -> Map<String, Value> {
    let fields = of_user(id, user, query, profile).map(|(name, value)| (name.to_owned(), value));
    let mut fields: Map<String, Value> = fields.collect();
    if profile == Profile::Nothing {
        fields.insert("@odata.type".to_owned(), "#microsoft.graph.user".into());
        fields.insert("id".to_owned(), json!(id));
    }
    fields
}

fn of_user<'a>(
    id: Uuid,
    user: &'a Object,
    query: &'a Query,
    profile: Profile,
) -> impl Iterator<Item = (&'static str, Value)> + 'a {
    query.select.iter().map(move |property| {
        let value = match *property {
            _ if !profile.has(property) => Value::Null,
            "id" => json!(id),
            "displayName" => json!(user.display_name),
            "userPrincipalName" => json!(name_of(id, user)),
            "accountEnabled" => json!(user.account_enabled),
            "userType" => json!("Member"),
            "businessPhones" => json!([]),
            _ => Value::Null,
        };
        (*property, value)
    })
}

fn of_group(id: Uuid, group: &Object, property: &str) -> Value {
    match property {
        "id" => json!(id),
        "displayName" => json!(group.display_name),
        "groupTypes" => json!([]),
        "mailEnabled" => json!(false),
        "securityEnabled" => json!(true),
        _ => Value::Null,
    }
}
