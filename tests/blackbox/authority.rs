//! The sandbox's login authority, asked by hand: every way in once as it should be, and once for each refusal.

use reqwest::Method;
use serde_json::{Value, json};

use crate::keys::{Keys, unix};
use crate::sandbox::{Sandbox, http};
use crate::secrecy;
use crate::site::{TENANT, client_id, id};

const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ISSUER: &str = "https://oidc.example/cluster";
const SUBJECT: &str = "system:serviceaccount:presenced:default";

/// A sandbox and someone who asks it.
struct Desk {
    sandbox: Sandbox,
    http: reqwest::Client,
}

impl Desk {
    /// A sandbox that knows one app.
    async fn with(app: Value) -> Self {
        let desk = Self::open().await;
        desk.sandbox.register(json!({"tenants": {TENANT: {"apps": {client_id(0): app}}}})).await;
        desk
    }

    async fn open() -> Self {
        Self { sandbox: Sandbox::start(&[]).await, http: http() }
    }

    fn endpoint(&self) -> String {
        format!("{}/{TENANT}/oauth2/v2.0/token", self.sandbox.url)
    }

    async fn posts(&self, endpoint: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &client_id(0)).extend_pairs(fields);
        let request = self.http.post(format!("{}/{TENANT}/oauth2/v2.0/{endpoint}", self.sandbox.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        read(request.body(form.finish()).send().await.unwrap()).await
    }

    /// What becomes of an app's request with these fields: the token's life, or `error` and the number.
    async fn app(&self, fields: &[(&str, &str)]) -> Result<Value, (String, u64)> {
        let scope = format!("{}/.default", self.sandbox.url);
        let mut all = vec![("grant_type", "client_credentials"), ("scope", scope.as_str())];
        all.extend_from_slice(fields);
        token(self.posts("token", &all).await)
    }

    async fn secret(&self, secret: &str) -> Result<Value, (String, u64)> {
        self.app(&[("client_secret", secret)]).await
    }

    async fn assertion(&self, assertion: &str) -> Result<Value, (String, u64)> {
        let kind = ("client_assertion_type", CLIENT_ASSERTION);
        self.app(&[kind, ("client_assertion", assertion)]).await
    }

    /// The code of the refusal of an assertion.
    async fn refuses(&self, assertion: String) -> u64 {
        self.assertion(&assertion).await.expect_err("it is refused").1
    }

    /// Codes for signing in.
    async fn device_code(&self) -> (String, String) {
        let scope = format!("{}/Presence.ReadWrite offline_access openid", self.sandbox.url);
        let (status, codes) = self.posts("devicecode", &[("scope", &scope)]).await;
        assert_eq!(status, 200, "{codes}");
        let text = |name: &str| codes[name].as_str().unwrap().to_owned();
        (text("device_code"), text("user_code"))
    }

    async fn poll(&self, device_code: &str) -> Result<Value, (String, u64)> {
        let fields = [("grant_type", DEVICE_CODE), ("device_code", device_code)];
        token(self.posts("token", &fields).await)
    }

    async fn refresh(&self, refresh_token: &str) -> Result<Value, (String, u64)> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        token(self.posts("token", &fields).await)
    }

    /// Sets a user's presence with a token.
    async fn sets(&self, token: &Value, n: u32) -> reqwest::Response {
        let url = format!("{}/v1.0/users/{}/presence/setPresence", self.sandbox.url, id(n));
        let body = json!({"sessionId": client_id(0), "availability": "Away", "activity": "Away"});
        let request =
            self.http.post(url).bearer_auth(access(token)).header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    async fn identity(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = self.http.get(format!("{}{path}", self.sandbox.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send().await.unwrap()).await
    }
}

async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    secrecy::seen(&[b"\r\n\r\n", body.as_ref()].concat());
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

fn token((status, body): (u16, Value)) -> Result<Value, (String, u64)> {
    if status == 200 {
        return Ok(body);
    }
    let code = body["error_codes"][0].as_u64().unwrap_or_else(|| panic!("{status}: {body}"));
    let told = body["error_description"].as_str().unwrap();
    assert!(told.starts_with(&format!("AADSTS{code}: ")), "{told}");
    assert!((400..=401).contains(&status), "{status}: {body}");
    Err((body["error"].as_str().unwrap().to_owned(), code))
}

fn access(token: &Value) -> &str {
    token["access_token"].as_str().unwrap()
}

fn refusal(error: &str, code: u64) -> Result<Value, (String, u64)> {
    Err((error.to_owned(), code))
}

#[tokio::test]
async fn a_secret_gets_a_token_that_sets_a_presence() {
    let desk = Desk::with(json!({"secrets": [
        {"secret": "right"}, {"secret": "over", "expires": "2001-01-01T00:00:00Z"},
    ]}))
    .await;
    let good = desk.secret("right").await.unwrap();
    assert_eq!(desk.sets(&good, 1).await.status(), 200);
    assert_eq!(access(&good).split('.').count(), 3);
    assert_eq!(desk.secret("wrong").await, refusal("invalid_client", 7_000_215));
    assert_eq!(desk.secret("over").await, refusal("invalid_client", 7_000_222));
    assert_eq!(desk.app(&[]).await, refusal("invalid_client", 7_000_218));
}

#[tokio::test]
async fn an_app_is_refused_for_what_stands_in_its_way() {
    let app = |key: &str, value: Value| json!({"secrets": [{"secret": "s"}], key: value});
    let desk = Desk::open().await;
    let register = async |tenant: &str, client: String, app: Value| {
        desk.sandbox.register(json!({"tenants": {tenant: {"apps": {client: app}}}})).await;
    };
    register(&id(1), client_id(0), json!({})).await;
    assert_eq!(desk.secret("s").await, refusal("invalid_request", 90_002));
    register(TENANT, client_id(1), json!({})).await;
    assert_eq!(desk.secret("s").await, refusal("unauthorized_client", 700_016));
    for (key, value, error, code) in [
        ("disabled", json!(true), "unauthorized_client", 7_000_112),
        ("blocked", json!(true), "invalid_grant", 53_003),
        ("consent", json!(false), "invalid_grant", 65_001),
    ] {
        register(TENANT, client_id(0), app(key, value)).await;
        assert_eq!(desk.secret("s").await, refusal(error, code));
    }
    register(TENANT, client_id(0), app("roles", json!([]))).await;
    let without = desk.secret("s").await.unwrap();
    let (status, body) = read(desk.sets(&without, 1).await).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("Authorization_RequestDenied")));
}

#[tokio::test]
async fn a_certificate_gets_a_token_and_each_wrong_assertion_its_number() {
    let ours = Keys::shared();
    let desk = Desk::with(json!({"certificates": [ours.certificate]})).await;
    let endpoint = desk.endpoint();
    let make = |changed: Value| ours.assertion(&endpoint, &client_id(0), &changed);
    let good = make(json!({}));
    assert_eq!(desk.sets(&desk.assertion(&good).await.unwrap(), 1).await.status(), 200);
    assert_eq!(desk.assertion(&good).await, refusal("invalid_client", 50_013), "it is good once");
    assert_eq!(desk.refuses(Keys::make().assertion(&endpoint, &client_id(0), &json!({}))).await, 700_027);
    assert_eq!(desk.refuses(make(json!({"aud": "https://login.microsoftonline.com/common"}))).await, 700_023);
    assert_eq!(desk.refuses(make(json!({"sub": client_id(1)}))).await, 700_021);
    assert_eq!(desk.refuses(make(json!({"exp": unix() - 400}))).await, 700_024);
    assert_eq!(desk.refuses(make(json!({"nbf": unix() + 400, "exp": unix() + 600}))).await, 700_024);
    assert_eq!(desk.refuses(make(json!({"exp": unix() + 3_600}))).await, 700_024);
    assert_eq!(desk.refuses("no.assertion.atall".to_owned()).await, 50_027);
}

#[tokio::test]
async fn a_federated_token_is_taken_until_it_ends() {
    let ours = Keys::shared();
    let federated = json!([{"issuer": ISSUER, "subject": SUBJECT, "key": ours.public}]);
    let desk = Desk::with(json!({ "federated": federated })).await;
    let make = |changed: Value| ours.federated(ISSUER, SUBJECT, &changed);
    let good = make(json!({}));
    assert!(desk.assertion(&good).await.is_ok());
    assert!(desk.assertion(&good).await.is_ok(), "as often as it comes");
    assert_eq!(desk.refuses(make(json!({"iss": "https://elsewhere.example"}))).await, 700_211);
    assert_eq!(desk.refuses(make(json!({"aud": "api://elsewhere"}))).await, 700_212);
    assert_eq!(desk.refuses(make(json!({"sub": "system:serviceaccount:other:default"}))).await, 700_213);
    assert_eq!(desk.refuses(make(json!({"exp": unix() - 400}))).await, 700_024);
    assert_eq!(desk.refuses(Keys::make().federated(ISSUER, SUBJECT, &json!({}))).await, 50_013);
    let desk = Desk::with(json!({"secrets": [{"secret": "s"}]})).await;
    assert_eq!(desk.refuses(good).await, 70_021);
}

#[tokio::test]
async fn a_clock_that_is_wrong_refuses_good_assertions_and_shows_in_the_date() {
    let ours = Keys::shared();
    let desk = Desk::with(json!({"certificates": [ours.certificate]})).await;
    let make = || ours.assertion(&desk.endpoint(), &client_id(0), &json!({}));
    desk.sandbox.faults(json!({"clock_offset_s": 700})).await;
    assert_eq!(desk.refuses(make()).await, 700_024);
    let response = desk.http.get(&desk.sandbox.url).send().await.unwrap();
    let date = httpdate::parse_http_date(response.headers()["date"].to_str().unwrap()).unwrap();
    let ahead = date.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() - unix();
    assert!((698..=702).contains(&ahead), "{ahead}");
    desk.sandbox.heal().await;
    assert!(desk.assertion(&make()).await.is_ok());
}

#[tokio::test]
async fn a_sign_in_is_pending_slowed_down_or_declined() {
    let desk = Desk::with(json!({"public_client": true})).await;
    let (device_code, _) = desk.device_code().await;
    assert_eq!(desk.poll(&device_code).await, refusal("authorization_pending", 70_016));
    assert_eq!(desk.poll(&device_code).await, refusal("slow_down", 70_016), "at once");
    assert_eq!(desk.poll("made-up").await, refusal("bad_verification_code", 70_018));
    let (device_code, user_code) = desk.device_code().await;
    desk.sandbox.sign_in(&user_code, None).await;
    assert_eq!(desk.poll(&device_code).await, refusal("authorization_declined", 65_004));
    let report = desk.sandbox.report().await;
    assert_eq!(report["invalid_requests"], 1, "the one that came too soon: {report:#}");
}

#[tokio::test]
async fn a_person_signs_in_and_sets_the_own_presence_only() {
    let desk = Desk::with(json!({"public_client": true, "single_use_refresh": true})).await;
    let (device_code, user_code) = desk.device_code().await;
    desk.sandbox.sign_in(&user_code, Some(1)).await;
    let tokens = desk.poll(&device_code).await.unwrap();
    assert_eq!(desk.poll(&device_code).await, refusal("bad_verification_code", 70_018), "it is good once");
    assert_eq!(desk.sets(&tokens, 1).await.status(), 200);
    let (status, body) = read(desk.sets(&tokens, 2).await).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("Unauthorized")));
    let id_token =
        jsonwebtoken::dangerous::insecure_decode_claims::<Value>(tokens["id_token"].as_str().unwrap());
    let claims = id_token.unwrap();
    assert_eq!(
        (&claims["oid"], &claims["tid"], &claims["aud"]),
        (&json!(id(1)), &json!(TENANT), &json!(client_id(0)))
    );

    let first = tokens["refresh_token"].as_str().unwrap();
    let next = desk.refresh(first).await.unwrap();
    assert_eq!(desk.sets(&next, 1).await.status(), 200);
    assert_eq!(desk.refresh(first).await, refusal("invalid_grant", 70_008), "this app's are good once");
    let second = next["refresh_token"].as_str().unwrap();
    assert_eq!(desk.refresh("made-up").await, refusal("invalid_grant", 70_000));
    desk.sandbox.faults(json!({"revoke_refresh_tokens": true})).await;
    assert_eq!(desk.refresh(second).await, refusal("invalid_grant", 50_173));
}

#[tokio::test]
async fn a_code_ends_with_time_and_public_clients_must_be_allowed() {
    let desk = Desk { sandbox: Sandbox::start(&["--speed", "10000"]).await, http: http() };
    let app = json!({"public_client": true});
    desk.sandbox.register(json!({"tenants": {TENANT: {"apps": {client_id(0): app}}}})).await;
    let (device_code, _) = desk.device_code().await;
    // 900 s are 90 ms.
    let seconds = |report: &Value| report["virtual_seconds"].as_f64().unwrap();
    let end = seconds(&desk.sandbox.report().await) + 900.0;
    desk.sandbox.until("the end of the code", |report| seconds(report) > end).await;
    assert_eq!(desk.poll(&device_code).await, refusal("expired_token", 70_019));
    desk.sandbox.register(json!({"tenants": {TENANT: {"apps": {client_id(0): {}}}}})).await;
    let (device_code, _) = desk.device_code().await;
    assert_eq!(desk.poll(&device_code).await, refusal("invalid_client", 7_000_218));
}

#[tokio::test]
async fn managed_identities_get_tokens_where_they_run() {
    const VM: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=g";
    const ARC: &str = "/metadata/identity/oauth2/token?api-version=2020-06-01&resource=g";
    const APP_SERVICE: &str = "/msi/token?api-version=2019-08-01&resource=g";
    let desk = Desk::open().await;
    desk.sandbox
        .register(json!({
            "managed_identities": [{"tenant": TENANT, "client_id": client_id(0)}],
            "identity_header": "right",
            "arc": {"file": "/var/opt/azcmagent/tokens/x.key", "content": "right"},
        }))
        .await;
    let metadata = ("Metadata", "true");
    let (status, token) = desk.identity(VM, &[metadata]).await;
    assert_eq!((status, &token["client_id"]), (200, &json!(client_id(0))));
    assert!(token["expires_in"].is_string() && token["expires_on"].is_string(), "{token}");
    assert_eq!(desk.sets(&token, 1).await.status(), 200);
    assert_eq!(desk.identity(VM, &[]).await.0, 400);
    assert_eq!(desk.identity(VM, &[metadata, ("X-Forwarded-For", "192.0.2.1")]).await.0, 400);
    let (status, error) = desk.identity(&format!("{VM}&client_id={}", client_id(1)), &[metadata]).await;
    assert_eq!((status, &error["error"]), (400, &json!("invalid_request")));
    assert_eq!(desk.identity(APP_SERVICE, &[("X-IDENTITY-HEADER", "right")]).await.0, 200);
    assert_eq!(desk.identity(APP_SERVICE, &[("X-IDENTITY-HEADER", "wrong")]).await.0, 401);
    assert_eq!(desk.identity(ARC, &[metadata]).await.0, 401);
    assert_eq!(desk.identity(ARC, &[metadata, ("Authorization", "Basic right")]).await.0, 200);
    desk.sandbox
        .faults(json!({"identity": [{"status": 404}, {"status": 410}, {"status": 429}, {"status": 500}]}))
        .await;
    for status in [404, 410, 429, 500, 200] {
        assert_eq!(desk.identity(VM, &[metadata]).await.0, status);
    }
}

#[tokio::test]
async fn a_claims_challenge_wants_a_token_with_its_claims() {
    let desk = Desk::open().await;
    let ask = async |claims: Value| {
        let claims = json!({ "access_token": claims }).to_string();
        desk.app(&[("client_secret", "any"), ("claims", &claims)]).await.unwrap()
    };
    let cp1 = json!({"values": ["cp1"]});
    let capable = ask(json!({ "xms_cc": cp1 })).await;
    let plain = desk.secret("any").await.unwrap();
    desk.sandbox.faults(json!({"challenge": true})).await;
    let challenged = desk.sets(&capable, 1).await;
    assert_eq!(challenged.status(), 401);
    let value = challenged.headers()["www-authenticate"].to_str().unwrap();
    assert!(value.contains("error=\"insufficient_claims\", claims=\""), "{value}");
    assert_eq!(desk.sets(&plain, 1).await.status(), 200, "who cannot take challenges gets none");
    let again = ask(json!({ "xms_cc": cp1 })).await;
    assert_eq!(desk.sets(&again, 1).await.status(), 401);
    let nbf = json!({"essential": true, "value": (unix() + 1).to_string()});
    let answered = ask(json!({ "xms_cc": cp1, "nbf": nbf })).await;
    assert_eq!(desk.sets(&answered, 1).await.status(), 200);
}

#[tokio::test]
async fn no_secret_and_no_token_comes_back_out_of_the_door() {
    const CANARY: &str = "c4nary-c4nary-c4nary";
    let desk = Desk::open().await;
    secrecy::keep(CANARY);
    let app = json!({"secrets": [{"secret": CANARY}], "public_client": true});
    let tenants = json!({TENANT: {"apps": {client_id(0): app}}});
    let arc = json!({"file": "/x.key", "content": CANARY});
    desk.sandbox.register(json!({"tenants": tenants, "arc": arc, "identity_header": CANARY})).await;
    let token = desk.secret(CANARY).await.unwrap();
    desk.sets(&token, 1).await;
    let (device_code, user_code) = desk.device_code().await;
    desk.sandbox.sign_in(&user_code, Some(1)).await;
    let signed_in = desk.poll(&device_code).await.unwrap();
    for path in ["report", "registration", "faults"] {
        let shown = desk.sandbox.door(Method::GET, path, None).await.to_string();
        let secrets =
            [CANARY, access(&token), access(&signed_in), signed_in["refresh_token"].as_str().unwrap()];
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{path}: {shown}");
    }
}
