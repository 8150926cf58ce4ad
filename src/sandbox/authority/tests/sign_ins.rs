//! Signing in by device code, and the refresh tokens that come of it.

use super::*;

const NOTHING: &str = "no such code waits for anyone";

fn scope() -> Scope {
    Scope {
        resource: "https://graph.microsoft.com".to_owned(),
        permissions: vec!["Presence.ReadWrite".to_owned()],
        open_id: true,
        offline: true,
    }
}

/// A bench that allows public clients, with more keys of the app.
fn public(more: &Value) -> Bench {
    let mut app = json!({"public_client": true});
    app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Bench::with(&app)
}

impl Bench {
    fn begin(&mut self) -> Codes {
        let ask = DeviceAsk { tenant: TENANT, client: CLIENT, scope: scope() };
        self.authority.begin_sign_in(SEED, self.at.now, ask).unwrap()
    }

    fn types(&mut self, code: &str, decision: Decision) -> Result<(), &'static str> {
        self.authority.decide_sign_in(self.at.now, code, decision)
    }

    /// The client asks what has become of a code.
    fn poll(&mut self, code: &str) -> Result<Verdict, (u32, String)> {
        let grant = GrantAsk::DeviceCode(code.to_owned());
        let ask = TokenAsk { proof: None, grant, ..ask() };
        let verdict = self.authority.decide(SEED, self.at, &ask, None);
        verdict.map_err(|problem| (problem.code, problem.error.into_owned()))
    }

    /// The refresh token of someone who has signed in.
    fn signed_in(&mut self) -> String {
        let codes = self.begin();
        self.types(&codes.user_code, Decision::SignsIn(USER)).unwrap();
        self.poll(&codes.device_code).unwrap().refresh_token.unwrap()
    }

    fn refresh(&mut self, token: &str) -> Result<String, u32> {
        let grant = GrantAsk::Refresh(token.to_owned(), None);
        let verdict = self.decide(&TokenAsk { proof: None, grant, ..ask() })?;
        assert_eq!(verdict.subject, Subject::User(USER, vec!["Presence.ReadWrite".to_owned()]));
        Ok(verdict.refresh_token.expect("each use gives another one"))
    }
}

fn refused(code: u32, error: &str) -> Result<Verdict, (u32, String)> {
    Err((code, error.to_owned()))
}

#[test]
fn a_code_is_pending_until_its_person_has_signed_in_and_good_once() {
    let mut t = public(&json!({}));
    let codes = t.begin();
    assert_eq!(t.poll(&codes.device_code), refused(70_016, "authorization_pending"));
    assert_eq!(t.types("NOTACODE", Decision::SignsIn(USER)), Err(NOTHING));
    assert_eq!(t.types(&codes.user_code.to_lowercase(), Decision::SignsIn(USER)), Ok(()));
    assert_eq!(t.types(&codes.user_code, Decision::Declines), Err(NOTHING), "it was used");
    t.wait(5);
    let verdict = t.poll(&codes.device_code).unwrap();
    assert_eq!(verdict.subject, Subject::User(USER, vec!["Presence.ReadWrite".to_owned()]));
    assert!(verdict.open_id && verdict.refresh_token.is_some());
    t.wait(5);
    assert_eq!(t.poll(&codes.device_code), refused(70_018, "bad_verification_code"));
}

#[test]
fn what_an_admin_has_granted_is_in_the_token_unasked() {
    let mut t = public(&json!({"granted_scopes": ["Presence.Read", "Presence.ReadWrite"]}));
    let codes = t.begin();
    t.types(&codes.user_code, Decision::SignsIn(USER)).unwrap();
    let verdict = t.poll(&codes.device_code).unwrap();
    let scopes = ["Presence.ReadWrite", "Presence.Read"].map(str::to_owned);
    assert_eq!(verdict.subject, Subject::User(USER, scopes.into()));
}

#[test]
fn who_asks_too_soon_is_slowed_down_for_good() {
    let mut t = public(&json!({}));
    let code = t.begin().device_code;
    assert_eq!(t.poll(&code), refused(70_016, "authorization_pending"));
    t.wait(4);
    assert_eq!(t.poll(&code), refused(70_016, "slow_down"));
    t.wait(9);
    assert_eq!(t.poll(&code), refused(70_016, "slow_down"), "ten seconds from now on");
    t.wait(15);
    assert_eq!(t.poll(&code), refused(70_016, "authorization_pending"));
}

#[test]
fn a_code_that_is_declined_over_or_unknown_ends_the_sign_in() {
    let mut t = public(&json!({}));
    let codes = t.begin();
    t.types(&codes.user_code, Decision::Declines).unwrap();
    assert_eq!(t.poll(&codes.device_code), refused(65_004, "authorization_declined"));
    let codes = t.begin();
    t.wait(900);
    assert_eq!(t.poll(&codes.device_code), refused(70_019, "expired_token"));
    assert_eq!(t.types(&codes.user_code, Decision::SignsIn(USER)), Err(NOTHING));
    assert_eq!(t.poll("DSandbox"), refused(70_018, "bad_verification_code"));
}

#[test]
fn public_clients_must_be_allowed_and_permissions_consented_to() {
    let mut t = public(&json!({"public_client": false}));
    let code = t.begin().device_code;
    assert_eq!(t.poll(&code), refused(7_000_218, "invalid_client"));
    let mut t = public(&json!({"scopes": ["Presence.Read"]}));
    let codes = t.begin();
    t.types(&codes.user_code, Decision::SignsIn(USER)).unwrap();
    assert_eq!(t.poll(&codes.device_code), refused(65_001, "invalid_grant"));
}

#[test]
fn only_users_of_the_tenant_sign_in() {
    let mut t = Bench::new();
    let app = json!({"public_client": true});
    let tenant = json!({"apps": {CLIENT.to_string(): app}, "users": [USER]});
    t.register(json!({"tenants": {TENANT.to_string(): tenant}}));
    let codes = t.begin();
    assert!(t.types(&codes.user_code, Decision::SignsIn(CLIENT)).is_err());
    assert_eq!(t.types(&codes.user_code, Decision::SignsIn(USER)), Ok(()));
}

#[test]
fn a_refresh_token_is_good_until_the_next_one_was_used() {
    let mut t = public(&json!({}));
    let first = t.signed_in();
    let second = t.refresh(&first).unwrap();
    let again = t.refresh(&first).unwrap();
    assert_ne!(second, again, "the answer with the second may have been lost");
    let third = t.refresh(&again).unwrap();
    assert_eq!(t.refresh(&first), Err(70_008));
    assert!(t.refresh(&second).is_ok() && t.refresh(&third).is_ok());
}

#[test]
fn a_refresh_token_may_be_good_only_once() {
    let mut t = public(&json!({"single_use_refresh": true}));
    let first = t.signed_in();
    let second = t.refresh(&first).unwrap();
    assert_eq!(t.refresh(&first), Err(70_008));
    assert!(t.refresh(&second).is_ok());
}

#[test]
fn a_refresh_token_ends_idle_by_age_or_revoked() {
    const DAY: u64 = 24 * 60 * 60;
    let mut t = public(&json!({}));
    let first = t.signed_in();
    t.wait(89 * DAY);
    let second = t.refresh(&first).unwrap();
    t.wait(89 * DAY);
    let third = t.refresh(&second).expect("each use begins the 90 days anew");
    t.wait(90 * DAY);
    assert_eq!(t.refresh(&third), Err(700_082));
    let mut t = public(&json!({"refresh_life_s": DAY}));
    let first = t.signed_in();
    t.wait(DAY);
    assert_eq!(t.refresh(&first), Err(70_008));
    let first = t.signed_in();
    t.authority.revoke_refresh_tokens();
    assert_eq!(t.refresh(&first), Err(50_173));
    assert!(t.signed_in() != first);
}

#[test]
fn a_refresh_token_is_of_one_app_and_written_by_nobody_else() {
    let mut t = Bench::new();
    let token = t.signed_in();
    let grant = GrantAsk::Refresh(token.clone(), None);
    let other = TokenAsk { proof: None, client: USER, grant, ..ask() };
    assert_eq!(t.decide(&other), Err(70_000));
    assert_eq!(t.refresh(&token[..token.len() - 1]), Err(70_000));
    let codes = t.begin();
    assert_eq!(t.refresh(&codes.device_code), Err(70_000), "a code is no refresh token");
    let claims = Claims { cp1: true, nbf: None };
    let grant = GrantAsk::Refresh(token, Some(scope()));
    assert!(t.decide(&TokenAsk { proof: None, grant, claims, ..ask() }).is_ok());
}
