//! Tokens of managed identities.

use super::*;
use crate::sandbox::authority::identity::{DEFAULT, Head, IdentityAsk};
use crate::sandbox::reply::{IdentityContent, IdentityReply};

const ASK: &str = "api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com";

impl Bench {
    fn identity(&mut self, query: &str) -> IdentityReply {
        let head = Head { metadata: Some("true"), ..Head::default() };
        self.service.identity(self.now, IdentityAsk::read(false, query, head))
    }
}

#[test]
fn an_identity_gets_a_token_that_graph_takes() {
    let mut t = Bench::new();
    let IdentityContent::Granted(token) = t.identity(ASK).content else { panic!("no token") };
    assert_eq!((token.client, token.resource.as_str()), (DEFAULT.1, GRAPH));
    let Bearer::Token(id) = t.service.bearer(Some(&token.access_token)) else { panic!("no token of ours") };
    assert_eq!(t.service.set_presence(t.now, id, USER, Away, HOUR).status, 200);
    let other = t.identity(&format!("{ASK}&client_id={OTHER}"));
    let IdentityContent::Granted(token) = other.content else { panic!("{other:?}") };
    assert_eq!(token.client, OTHER, "anyone while nothing is registered");
    let tokens = t.report().tokens;
    assert_eq!((tokens.requests, tokens.granted), (3, 3), "the bench's own is among them");
}

#[test]
fn troubles_come_one_after_the_other_for_so_many_requests() {
    let mut t = Bench::new();
    t.script(json!({"identity": [{"status": 404, "requests": 2}, {"status": 429, "retry_after": "3"}]}));
    let statuses: Vec<_> =
        (0..4).map(|_| t.identity(ASK)).map(|reply| (reply.status, reply.retry_after)).collect();
    let wait = Some(RetryAfter::Text("3".to_owned()));
    assert_eq!(statuses, [(404, None), (404, None), (429, wait), (200, None)]);
    assert!(t.service.faults().identity.is_empty());
}

#[test]
fn what_is_no_request_is_answered_400() {
    let mut t = Bench::new();
    let reply = t.identity("resource=x");
    assert!(matches!(reply, IdentityReply { status: 400, content: IdentityContent::Problem(_), .. }));
    assert_eq!(t.report().tokens.rejected, 1);
}
