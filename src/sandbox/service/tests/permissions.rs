//! What a token allows, and when it must be given anew.

use super::*;
use crate::sandbox::token::Claims;

fn many(users: &[Uuid]) -> Call {
    Call::on_presences(json!({ "ids": users }).to_string().as_bytes())
}

impl Bench {
    fn sends(&mut self, call: Call) -> Reply {
        self.service.handle(self.now, &Request { bearer: Bearer::Token(self.token), call })
    }

    fn reads(&mut self, user: Uuid) -> u16 {
        self.service.get_presence(self.now, self.token, user).status
    }

    /// The `nbf` that a set is challenged for, if it is.
    fn challenged(&mut self) -> Option<u64> {
        match self.service.set_presence(self.now, self.token, USER, Away, HOUR).content {
            Content::Problem(problem) => problem.challenge,
            _ => None,
        }
    }

    fn token_with(&mut self, claims: Claims) {
        self.take_token(TokenAsk { claims, ..ask_app() });
    }
}

#[test]
fn an_app_without_the_role_is_refused_before_its_body_is_read() {
    let mut t = Bench::new();
    t.register(json!({"roles": []}), json!({}));
    t.renew_token();
    let set = t.service.set_presence(t.now, t.token, USER, Away, HOUR);
    assert_eq!(code(&set), (403, "Authorization_RequestDenied"));
    let unreadable = t.sends(Call::on_user(Some(USER), Verb::Set, b"{"));
    assert_eq!(unreadable.status, 403);
    assert_eq!((t.reads(USER), t.sends(many(&[USER])).status), (403, 403));
    assert_eq!(t.report().invalid_requests, 0, "it is its administrator who must act");
    t.register(json!({"roles": ["Presence.Read.All"]}), json!({}));
    t.renew_token();
    assert_eq!((t.set(USER, Away), t.reads(USER), t.sends(many(&[USER])).status), (403, 200, 200));
}

#[test]
fn a_user_sets_no_presence_but_its_own() {
    let mut t = Bench::new();
    t.sign_in(USER, "Presence.ReadWrite");
    assert_eq!((t.set(USER, Away), t.clear(USER)), (200, 200));
    let other = t.service.set_presence(t.now, t.token, OTHER, Away, HOUR);
    assert_eq!(code(&other), (401, "Unauthorized"));
    assert_eq!((t.reads(USER), t.sends(many(&[USER])).status), (403, 403), "that is another permission");
    t.wait(5.0);
    t.sign_in(USER, "Presence.Read");
    assert_eq!((t.set(USER, Away), t.reads(USER), t.reads(OTHER)), (403, 200, 403));
    t.wait(5.0);
    t.sign_in(USER, "Presence.Read.All");
    assert_eq!((t.reads(OTHER), t.sends(many(&[OTHER])).status), (200, 200));
}

#[test]
fn a_user_that_is_not_there_is_404_and_left_out_of_many() {
    let mut t = Bench::new();
    t.register(json!({}), json!({"users": [USER]}));
    t.renew_token();
    assert_eq!((t.set(USER, Away), t.reads(USER)), (200, 200));
    let other = t.service.set_presence(t.now, t.token, OTHER, Away, HOUR);
    assert_eq!(code(&other), (404, "Request_ResourceNotFound"));
    assert_eq!(t.reads(OTHER), 404);
    let Content::Presences(found) = t.sends(many(&[OTHER, USER])).content else { panic!("no presences") };
    assert_eq!(found.iter().map(|presence| presence.user).collect::<Vec<_>>(), [USER]);
    t.script(json!({"users": {USER.to_string(): {"status": 404}}}));
    assert_eq!(t.sends(many(&[OTHER, USER])).content, Content::Presences(Vec::new()));
}

#[test]
fn a_challenge_is_answered_by_a_token_that_was_asked_for_with_its_claims() {
    let mut t = Bench::new();
    t.token_with(Claims { cp1: true, nbf: None });
    assert_eq!(t.challenged(), None);
    t.wait(60.0);
    t.script(json!({"challenge": true}));
    let nbf = t.challenged().expect("the token is from before");
    assert_eq!(nbf, 1_800_000_060);
    t.wait(1.0);
    t.token_with(Claims { cp1: true, nbf: None });
    assert_eq!(t.challenged(), Some(nbf), "it was asked for without the claims");
    t.token_with(Claims { cp1: true, nbf: Some(nbf) });
    assert_eq!(t.challenged(), None);
    t.wait(60.0);
    t.script(json!({"challenge": true}));
    assert_eq!(t.challenged(), Some(nbf + 61), "something else has happened since");
    t.script(json!({"challenge": false}));
    assert_eq!(t.challenged(), None);
}

#[test]
fn who_did_not_ask_for_challenges_gets_none_and_tokens_that_live_less_long() {
    let mut t = Bench::new();
    let life = |t: &mut Bench, claims| {
        let reply = t.service.token(t.now, Ok(TokenAsk { claims, ..ask_app() }));
        match reply.content {
            TokenContent::Granted(granted) => granted.life_s,
            other => panic!("{other:?}"),
        }
    };
    assert!((3_600..=5_400).contains(&life(&mut t, Claims::default())));
    assert!((72_000..=86_400).contains(&life(&mut t, Claims { cp1: true, nbf: None })));
    t.script(json!({"challenge": true}));
    assert_eq!(t.set(USER, Away), 200);
}

#[test]
fn healing_ends_a_challenge_and_an_order_is_true_or_false() {
    let mut t = Bench::new();
    t.token_with(Claims { cp1: true, nbf: None });
    t.script(json!({"challenge": true}));
    t.service.heal(t.now);
    assert_eq!(t.challenged(), None);
    let refused = t.service.patch_faults(t.now, json!({"challenge": {"app": CLIENT}, "error_rate": 1.0}));
    assert_eq!(refused, Err("challenge is true or false".to_owned()));
    assert_eq!(t.service.faults().error_rate, 0.0, "nothing has changed");
}

#[test]
fn refresh_in_comes_from_the_script_or_from_the_app() {
    let mut t = Bench::new();
    let refresh_in = |t: &mut Bench| match t.service.token(t.now, Ok(ask_app())).content {
        TokenContent::Granted(granted) => granted.refresh_in_s,
        other => panic!("{other:?}"),
    };
    assert_eq!(refresh_in(&mut t), None);
    t.script(json!({"refresh_in_s": 1_800}));
    assert_eq!(refresh_in(&mut t), Some(1_800));
    t.register(json!({"refresh_in_s": 60}), json!({}));
    assert_eq!(refresh_in(&mut t), Some(60));
}

#[test]
fn a_scripted_token_error_may_have_any_number() {
    let mut t = Bench::new();
    t.script(json!({"token": {"error": "invalid_grant", "code": 50_076}}));
    let TokenContent::Problem(problem) = t.service.token(t.now, Ok(ask_app())).content else { panic!() };
    assert_eq!((problem.status, &*problem.error, problem.code), (400, "invalid_grant", 50_076));
}
