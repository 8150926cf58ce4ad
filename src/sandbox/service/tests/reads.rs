//! Groups, their members, and users by name.

use std::collections::BTreeSet;

use super::*;
use crate::sandbox::faults::BodyForm;
use crate::sandbox::query::{Place, Read};
use crate::sandbox::reply::Page;

const GROUP: Uuid = uuid!("96000000-0000-4000-8000-000000000001");
const QUERY: &str = "$select=id,displayName,accountEnabled&$top=999";

fn member(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

impl Bench {
    fn put_group(&mut self, members: Value) {
        let mut said = json!({"displayName": "Phones"});
        said["members"] = members;
        self.service.objects_mut().put_group(GROUP, serde_json::from_value(said).unwrap(), true).unwrap();
    }

    fn change_group(&mut self, change: Value) {
        self.service.objects_mut().put_group(GROUP, serde_json::from_value(change).unwrap(), false).unwrap();
    }

    fn put_user(&mut self, id: Uuid, said: Value) {
        self.service.objects_mut().put_user(None, id, serde_json::from_value(said).unwrap()).unwrap();
    }

    fn looks(&mut self, place: Place, query: &str) -> Reply {
        let bearer = self.bearer();
        self.service.read(self.now, bearer, &Read::new(place, Some(query), true))
    }

    fn group(&mut self) -> Reply {
        self.looks(Place::Group(GROUP.to_string()), "$select=id,displayName")
    }

    fn members(&mut self, query: &str) -> Reply {
        self.looks(Place::Members(GROUP.to_string()), query)
    }

    fn user_named(&mut self, name: &str) -> Reply {
        self.looks(Place::User(name.to_owned()), "$select=id,userPrincipalName,accountEnabled,displayName")
    }

    /// Follows the links from this query on; `between` is called after each page.
    fn pages(&mut self, query: &str, mut between: impl FnMut(&mut Self, usize)) -> Vec<Page> {
        let mut pages = Vec::new();
        let mut query = query.to_owned();
        loop {
            let reply = self.members(&query);
            assert_eq!(reply.status, 200, "{reply:?}");
            let Content::Page(page) = reply.content else { panic!("no page") };
            let next = page.next.as_ref().map(|next| next.split_once('?').unwrap().1.to_owned());
            pages.push(*page);
            between(self, pages.len());
            let Some(next) = next else { return pages };
            query = next;
        }
    }

    fn withhold(&mut self, permissions: &[&str]) {
        self.script(json!({ "withheld_permissions": permissions }));
        self.renew_token();
    }
}

fn ids(pages: &[Page]) -> Vec<Uuid> {
    let entries = pages.iter().flat_map(|page| &page.entries);
    entries.map(|entry| entry["id"].as_str().unwrap().parse().unwrap()).collect()
}

fn fields(reply: Reply) -> Value {
    match reply.content {
        Content::Entity { fields, .. } => Value::Object(fields),
        other => panic!("no object: {other:?}"),
    }
}

fn many(n: u128) -> Value {
    (1..=n).map(|n| json!(member(n))).collect()
}

#[test]
fn paging_through_a_group_brings_each_member_once() {
    let mut t = Bench::new();
    let mut members = many(2_345);
    members[7] = json!({"id": member(8), "displayName": "Reception", "accountEnabled": false});
    members.as_array_mut().unwrap().push(json!({"id": member(9_999), "kind": "device"}));
    t.put_group(members);
    let pages = t.pages(&format!("{QUERY}&$count=true"), |_, _| {});
    let sizes: Vec<usize> = pages.iter().map(|page| page.entries.len()).collect();
    assert_eq!(sizes, [999, 999, 347]);
    assert_eq!(ids(&pages), (1..=2_345).map(member).collect::<Vec<_>>());
    assert_eq!([pages[0].count, pages[1].count], [Some(2_345), None], "the first page alone counts");
    assert_eq!(pages[0].context, "users(id,displayName,accountEnabled)");
    let reception = Value::Object(pages[0].entries[7].clone());
    assert_eq!(reception, json!({"id": member(8), "displayName": "Reception", "accountEnabled": false}));
    assert_eq!(pages[0].entries[0]["accountEnabled"], true);
    let report = t.report();
    assert_eq!((report.directory.total, report.directory.units), (3, 12));
    assert_eq!((report.requests.total, report.invalid_requests), (0, 0), "presence is counted by itself");
    assert_eq!(report.lanes[0].peak_window, 0);
    let usual = t.pages("", |_, _| {});
    assert_eq!((usual.len(), usual[0].entries.len(), usual[23].entries.len()), (24, 100, 45));
    t.put_group(json!([]));
    assert!(ids(&t.pages(QUERY, |_, _| {})).is_empty());
}

#[test]
fn a_page_that_is_just_full_is_the_last_one() {
    let mut t = Bench::new();
    t.put_group(many(20));
    assert_eq!(t.pages("$top=10", |_, _| {}).len(), 2);
}

#[test]
fn members_that_stay_come_once_whoever_joins_and_leaves_meanwhile() {
    let mut t = Bench::new();
    t.put_group(many(30));
    let pages = t.pages("$top=10", |t, page| match page {
        // The last of the page before and the first of the next one leave, others join on both sides.
        1 => t.change_group(json!({"remove": [member(10), member(11)], "add": [Uuid::nil(), member(40)]})),
        2 => t.put_group(many(25)),
        _ => {}
    });
    let got = ids(&pages);
    let unique: BTreeSet<Uuid> = got.iter().copied().collect();
    assert_eq!(got.len(), unique.len());
    assert!((1..=25).filter(|n| *n != 11).all(|n| unique.contains(&member(n))), "{got:?}");
    let mut t = Bench::new();
    t.put_group(many(30));
    let query = t.pages("$top=10", |t, _| t.put_group(json!([])));
    assert_eq!(query.len(), 2, "an empty page ends it");
}

#[test]
fn a_group_that_goes_in_mid_paging_is_not_found() {
    let mut t = Bench::new();
    t.put_group(many(30));
    let Content::Page(page) = t.members("$top=10").content else { panic!("no page") };
    t.service.objects_mut().delete(None, GROUP);
    let next = page.next.unwrap();
    let reply = t.members(next.split_once('?').unwrap().1);
    assert_eq!(code(&reply), (404, "Request_ResourceNotFound"));
    assert_eq!(t.report().invalid_requests, 0, "it was no client's mistake");
}

#[test]
fn what_is_not_in_the_directory_is_not_found() {
    let mut t = Bench::new();
    assert_eq!(code(&t.group()), (404, "Request_ResourceNotFound"));
    let reply = t.members(QUERY);
    let Content::Problem(problem) = &reply.content else { panic!("{reply:?}") };
    assert_eq!(
        problem.message,
        format!(
            "Resource '{GROUP}' does not exist or one of its queried reference-property objects are not present."
        )
    );
    assert_eq!(code(&t.user_named("desk@contoso.com")), (404, "Request_ResourceNotFound"));
    t.put_user(USER, json!({"userPrincipalName": "desk@contoso.com"}));
    let as_group = t.looks(Place::Group(USER.to_string()), "");
    assert_eq!(code(&as_group), (404, "Request_ResourceNotFound"), "a user is no group");
    assert_eq!(t.user_named("desk@contoso.com").status, 200);
    t.script(json!({"users": {USER.to_string(): {"status": 404}}}));
    assert_eq!(t.user_named("desk@contoso.com").status, 404, "as for its presence");
    t.script(json!({"users": null}));
    t.service.objects_mut().delete(None, USER);
    assert_eq!((t.user_named(&USER.to_string()).status, t.set(USER, Away)), (404, 404));
    assert_eq!(t.report().invalid_requests, 0);
    let reply = t.looks(Place::Members("phones".to_owned()), QUERY);
    assert_eq!(code(&reply), (400, "Request_BadRequest"));
    assert_eq!(t.report().invalid_requests, 1);
}

#[test]
fn users_and_groups_are_read_as_they_were_defined() {
    let mut t = Bench::new();
    t.put_user(USER, json!({"userPrincipalName": "Desk@contoso.com", "accountEnabled": false}));
    let known = json!({"id": USER, "userPrincipalName": "Desk@contoso.com", "accountEnabled": false,
        "displayName": null});
    for name in ["desk@contoso.com".to_owned(), USER.to_string(), USER.to_string().to_uppercase()] {
        assert_eq!(fields(t.user_named(&name)), known, "{name}");
    }
    assert_eq!(fields(t.user_named(&OTHER.to_string()))["accountEnabled"], true, "every user exists");
    t.put_group(json!([USER]));
    assert_eq!(fields(t.group()), json!({"id": GROUP, "displayName": "Phones"}));
}

#[test]
fn each_read_needs_its_permission() {
    let mut t = Bench::new();
    t.put_group(json!([{"id": USER, "displayName": "Reception", "accountEnabled": false}]));
    let denied = (403, "Authorization_RequestDenied");
    t.withhold(&["GroupMember.Read.All"]);
    assert_eq!((code(&t.group()), code(&t.members(QUERY))), (denied, denied));
    assert_eq!(code(&t.members("$top=0")), denied, "before the query is looked at");
    assert_eq!((t.user_named(&USER.to_string()).status, t.set(USER, Away)), (200, 200));
    t.withhold(&["User.Read.All", "Presence.ReadWrite.All"]);
    assert_eq!((t.group().status, t.members(QUERY).status), (200, 200));
    assert_eq!((code(&t.user_named(&USER.to_string())), t.set(USER, Away)), (denied, 403));
    assert_eq!(t.report().invalid_requests, 0);
    let old = t.bearer();
    t.withhold(&[]);
    let read = Read::new(Place::User(USER.to_string()), None, false);
    assert_eq!(t.service.read(t.now, old, &read).status, 403, "an older token has what it was given");
    for name in ["Directory.Read.All", "Group.Read.All", "GroupMember.Read.All"] {
        t.register(json!({"roles": [name]}), json!({}));
        t.renew_token();
        assert_eq!(t.members(QUERY).status, 200, "{name}");
    }
}

#[test]
fn what_may_not_be_read_of_a_member_is_null() {
    let mut t = Bench::new();
    t.put_group(json!([{"id": USER, "displayName": "Reception", "accountEnabled": false}]));
    let mut with = |roles: Value| {
        t.register(json!({ "roles": roles }), json!({}));
        t.renew_token();
        Value::Object(t.pages(QUERY, |_, _| {}).remove(0).entries.remove(0))
    };
    let nothing = json!({"@odata.type": "#microsoft.graph.user", "id": USER, "displayName": null,
        "accountEnabled": null});
    assert_eq!(with(json!(["GroupMember.Read.All"])), nothing);
    let basic = json!({"id": USER, "displayName": "Reception", "accountEnabled": null});
    assert_eq!(with(json!(["GroupMember.Read.All", "User.ReadBasic.All"])), basic);
    let full = json!({"id": USER, "displayName": "Reception", "accountEnabled": false});
    assert_eq!(with(json!(["GroupMember.Read.All", "User.Read.All"])), full);
    assert_eq!(with(json!(["Directory.Read.All"])), full);
}

#[test]
fn a_token_is_looked_at_as_for_presence() {
    let mut t = Bench::new();
    t.put_group(many(1));
    let read = Read::new(Place::Group(GROUP.to_string()), None, false);
    let missing = t.service.read(t.now, Bearer::Missing, &read);
    assert_eq!(code(&missing), (401, "InvalidAuthenticationToken"));
    t.script(json!({"revoke_tokens": true}));
    assert_eq!(code(&t.group()), (401, "InvalidAuthenticationToken"));
    t.renew_token();
    assert_eq!(t.group().status, 200);
    t.script(json!({"outage": {"status": 503}}));
    assert_eq!(t.group().status, 503, "an outage is one of everything");
}

#[test]
fn reads_have_a_quota_of_their_own() {
    let mut t = Bench::with_quota(1);
    t.put_group(many(1));
    for _ in 0..5 {
        assert_eq!(t.members(QUERY).status, 200);
    }
    assert_eq!((t.set(USER, Away), t.set(USER, Away)), (200, 429), "of presence there was one");
    assert_eq!(t.members(QUERY).status, 200);
    t.script(json!({"directory": {"quota": {"units": 8, "per_s": 10}}}));
    t.wait(60.0);
    assert_eq!((t.members(QUERY).status, t.members(QUERY).status), (200, 200));
    let reply = t.members(QUERY);
    assert_eq!(code(&reply), (429, "TooManyRequests"));
    assert_eq!(reply.retry_after, Some(RetryAfter::Text("5".to_owned())));
    assert_eq!(t.set(USER, Away), 200, "and the other way round");
    t.wait(4.0);
    assert_eq!(t.members(QUERY).status, 429);
    t.wait(1.0);
    assert_eq!(t.members(QUERY).status, 200);
    let report = t.report();
    assert_eq!((report.throttled, report.directory.throttled), (1, 2));
    let lane = report.lanes[0].directory;
    assert_eq!((lane.requests, lane.throttled, lane.in_retry_after), (11, 2, 1));
}

#[test]
fn troubles_of_reads_are_theirs_alone() {
    let mut t = Bench::new();
    t.put_group(many(30));
    let status = |t: &mut Bench, script: Value| {
        t.script(json!({"directory": null}));
        t.script(json!({ "directory": script }));
        assert_eq!(t.set(USER, Away), 200, "presence is well");
        let reply = t.members("$top=10");
        (reply.status, reply.delivery)
    };
    let answered = |status| (status, Delivery::Answered(BodyForm::Envelope));
    assert_eq!(status(&mut t, json!({"trouble": {"status": 503}})), answered(503));
    assert_eq!(status(&mut t, json!({"trouble": {"hang": true}})).1, Delivery::Hung);
    assert_eq!(status(&mut t, json!({"throttle": {"retry_after": "17"}})), answered(429));
    assert_eq!(status(&mut t, json!({"error_rate": 1.0})).0 / 100, 5);
    assert_eq!(status(&mut t, json!({"unauthorized_rate": 1.0})), answered(401));
    assert_eq!(status(&mut t, json!({"lost_rate": 1.0})).1, Delivery::Cut);
    assert_eq!(status(&mut t, json!({"reset_rate": 1.0})).1, Delivery::Cut);
    assert_eq!(status(&mut t, json!({"groups": {GROUP.to_string(): {"status": 403}}})), answered(403));
    assert_eq!(status(&mut t, json!({"groups": {OTHER.to_string(): {"status": 403}}})), answered(200));
    assert_eq!(status(&mut t, json!({"next_pages": {"status": 500}})), answered(200));
    let Content::Page(page) = t.members("$top=10").content else { panic!("no page") };
    assert_eq!(t.members(page.next.unwrap().split_once('?').unwrap().1).status, 500);
    let slow = json!({"latency_ms": {"min": 900, "max": 900}});
    t.script(json!({ "directory": slow }));
    assert_eq!(t.members("$top=10").latency, Duration::from_millis(900));
    assert_eq!(t.service.get_presence(t.now, t.token, USER).latency, Duration::ZERO);
    t.script(json!({"error_rate": 1.0, "directory": {"error_rate": 0.0}}));
    assert_eq!((t.group().status, t.set(USER, Away) / 100), (200, 5), "they may be spared, too");
    let by_call = &t.report().directory.by_call[&CallKind::GetMembers];
    let count = |word: &str| by_call.get(word).copied().unwrap_or_default();
    assert_eq!((count("hung"), count("lost"), count("reset"), count("429")), (1, 1, 1, 1));
}

#[test]
fn links_lead_astray_and_tokens_end_by_script() {
    let mut t = Bench::new();
    t.put_group(many(30));
    t.script(json!({"directory": {"page_token_life_s": 60, "next_link_root": "http://127.0.0.1:9"}}));
    let Content::Page(page) = t.members("$top=20").content else { panic!("no page") };
    assert_eq!(page.root.as_deref(), Some("http://127.0.0.1:9"));
    let next = page.next.unwrap();
    let next = next.split_once('?').unwrap().1;
    t.wait(59.0);
    assert_eq!(t.members(next).status, 200);
    t.wait(1.0);
    assert_eq!(code(&t.members(next)), (400, "Directory_ExpiredPageToken"));
    assert_eq!(t.report().invalid_requests, 0);
    assert_eq!(code(&t.members(&next.replace("$top=20", "$top=10"))), (400, "Request_BadRequest"));
    assert_eq!(t.report().invalid_requests, 1, "a client takes the link as it is");
    t.script(json!({"directory": {"endless": true, "page_token_life_s": null}}));
    let mut query = "$top=20".to_owned();
    for expected in [20, 10, 20, 10] {
        let Content::Page(page) = t.members(&query).content else { panic!("no page") };
        assert_eq!(page.entries.len(), expected);
        query = page.next.unwrap().split_once('?').unwrap().1.to_owned();
    }
}
