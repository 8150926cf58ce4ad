//! What the presence calls do once a request is let through.

use uuid::Uuid;

use super::Service;
use crate::keeper::time::MonoTime;
use crate::sandbox::call::{Call, Set, UserCall};
use crate::sandbox::counts::Gap;
use crate::sandbox::faults::BodyForm;
use crate::sandbox::lane::Lane;
use crate::sandbox::presence::Shown;
use crate::sandbox::problem::Problem;
use crate::sandbox::reply::{Content, Delivery, Presence, Reply};
use crate::sandbox::session::Session;
use crate::sandbox::token::{Grant, Reach, Rights};

impl Service {
    /// Carries out a call: the permission first, then the body, then whose session it is, then whether the user exists.
    pub(super) fn call(&mut self, now: MonoTime, number: u64, grant: Grant, call: &Call) -> Reply {
        if let Err(problem) = permitted(grant.rights, call) {
            return self.problem(number, problem);
        }
        let lane = grant.lane;
        let (user, user_call) = match call {
            Call::Presences(Err(problem)) => return self.problem(number, problem.clone()),
            Call::Presences(Ok(users)) => {
                let there = users.iter().filter(|user| self.is_there(lane, **user));
                let presences = there.map(|user| self.presence(now, lane, *user)).collect();
                return self.done(number, Content::Presences(presences));
            }
            Call::User(user, user_call) => (*user, user_call),
        };
        if let Err(problem) = self.check(lane, user_call) {
            return self.problem(number, problem);
        }
        let Some(user) = user else { return self.problem(number, Problem::not_an_object_id()) };
        if let Some(reply) = self.refuse_user(number, lane, user) {
            return reply;
        }
        if !self.is_there(lane, user) {
            return self.problem(number, Problem::no_such_user());
        }
        match user_call {
            UserCall::Get => {
                let presence = self.presence(now, lane, user);
                return self.done(number, Content::Presence(Box::new(presence)));
            }
            UserCall::Set(set) => set.iter().for_each(|set| self.set(now, lane, user, set)),
            UserCall::Clear(_) => {
                if !self.clear(now, lane, user) {
                    return self.problem(number, Problem::no_session());
                }
            }
            UserCall::SetPreferred(preferred) => {
                let tenant = self.lanes[lane as usize].tenant;
                self.set_preferred(now, tenant, user, preferred.as_ref().ok().copied());
            }
            UserCall::ClearPreferred(_) => {
                let tenant = self.lanes[lane as usize].tenant;
                self.set_preferred(now, tenant, user, None);
            }
        }
        self.done(number, Content::Nothing)
    }

    fn check(&self, lane: u32, call: &UserCall) -> Result<(), Problem> {
        let ours = Some(self.lanes[lane as usize].client);
        let session = match call {
            UserCall::Get => return Ok(()),
            UserCall::SetPreferred(body) => return body.as_ref().map(|_| ()).map_err(Clone::clone),
            UserCall::ClearPreferred(body) => return body.clone(),
            UserCall::Set(set) => set.as_ref().map_err(Clone::clone)?.session,
            UserCall::Clear(session) => session.clone()?,
        };
        if session == ours { Ok(()) } else { Err(Problem::foreign_session()) }
    }

    /// Whether a user is in the directory, by registration, by script and not deleted. Who is not is left out where several are
    /// asked for at once.
    fn is_there(&self, lane: u32, user: Uuid) -> bool {
        self.is_in(self.lanes[lane as usize].tenant, user)
    }

    /// The same by tenant.
    pub(super) fn is_in(&self, tenant: Uuid, user: Uuid) -> bool {
        let scripted = self.faults.users.get(&user).is_none_or(|trouble| trouble.status != 404);
        let deleted = self.objects.get(tenant, user).is_some_and(|object| object.deleted);
        scripted && !deleted && self.authority.has_user(tenant, user)
    }

    /// The scripted answer for a user, if there is one. Gaps of the user are excused from then on, until a set.
    fn refuse_user(&mut self, number: u64, lane: u32, user: Uuid) -> Option<Reply> {
        let trouble = self.faults.users.get(&user)?;
        let mut reply = self.trouble(number, trouble);
        if reply.status == 401 {
            reply.content = Content::Problem(Box::new(Problem::another_user()));
        }
        let tenant = self.lanes[lane as usize].tenant;
        if let Some(user) = self.directory.get_mut(tenant, user) {
            user.sessions.iter_mut().for_each(|session| session.excused = true);
        }
        Some(reply)
    }

    fn set(&mut self, now: MonoTime, lane_number: u32, id: Uuid, set: &Set) {
        let lane = &mut self.lanes[lane_number as usize];
        lane.counts.sets += 1;
        self.counts.sets += 1;
        let user = self.directory.enter(lane.tenant, id);
        user.sets = user.sets.saturating_add(1);
        let session = Session::set(lane_number, set.state, now, set.expiration);
        match user.sessions.iter_mut().find(|session| session.lane == lane_number) {
            None => user.sessions.push(session),
            Some(last) => {
                let gap = gap(now, lane, id, last);
                *last = session;
                gap.into_iter().for_each(|gap| self.counts.gaps.add(gap));
            }
        }
    }

    /// Ends a session. Returns false when there is none, be it that it has expired.
    fn clear(&mut self, now: MonoTime, lane_number: u32, id: Uuid) -> bool {
        let lane = &mut self.lanes[lane_number as usize];
        let live = self.directory.get_mut(lane.tenant, id).and_then(|user| {
            let at = user.sessions.iter().position(|session| session.lane == lane_number)?;
            let session = user.sessions.swap_remove(at);
            self.counts.gaps.ended_by_clear += u64::from(session.gap(now).is_some());
            let live = session.shown(now).is_some();
            user.clears = user.clears.saturating_add(u32::from(live));
            Some(live)
        });
        if live == Some(true) {
            lane.counts.clears += 1;
            self.counts.clears += 1;
            true
        } else {
            self.counts.clears_without_session += 1;
            false
        }
    }

    fn presence(&self, now: MonoTime, lane: u32, user: Uuid) -> Presence {
        let tenant = self.lanes[lane as usize].tenant;
        let mut shown = self.directory.get(tenant, user).map_or(Shown::OFFLINE, |user| user.shown(now));
        if self.faults.lower_camel {
            let Shown { availability, activity } = shown;
            shown = Shown { availability: camel(&availability).into(), activity: camel(&activity).into() };
        }
        Presence { user, shown, at: now }
    }

    fn done(&self, number: u64, content: Content) -> Reply {
        let no_content = self.faults.no_content && content == Content::Nothing;
        Reply {
            number,
            status: if no_content { 204 } else { 200 },
            content,
            retry_after: None,
            delivery: Delivery::Answered(BodyForm::Envelope),
            latency: self.faults.latency(number),
        }
    }
}

/// Whether a token allows a call.
///
/// # Errors
/// 403 without the permission; 401, as users have seen it, for a user's token on someone else's presence.
fn permitted(rights: Rights, call: &Call) -> Result<(), Problem> {
    let reach = match call {
        Call::Presences(_) | Call::User(_, UserCall::Get) => rights.reads,
        Call::User(..) => rights.writes,
    };
    match (reach, call) {
        (Reach::Everyone, _) => Ok(()),
        // What is wrong with the path is told by the path.
        (Reach::Only(own), Call::User(user, _)) if user.is_none_or(|user| user == own) => Ok(()),
        (Reach::Only(_), Call::User(_, call)) if !matches!(call, UserCall::Get) => {
            Err(Problem::another_user())
        }
        _ => Err(Problem::of_status(403)),
    }
}

/// The gap that a session has at `now`, with everything that is judged by.
pub(in crate::sandbox) fn gap(now: MonoTime, lane: &Lane, user: Uuid, session: &Session) -> Option<Gap> {
    session.gap(now).map(|length| Gap {
        user,
        tenant: lane.tenant,
        client: lane.client,
        from: session.lapses_at(),
        length,
        excused: session.excused,
        in_outage: lane.was_stopped(session.set_at),
    })
}

/// `DoNotDisturb` as `doNotDisturb`.
fn camel(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
