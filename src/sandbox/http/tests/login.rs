//! The authority over HTTP.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";
const RESOURCE: &str = "resource=https%3A%2F%2Fgraph.microsoft.com";

impl Site {
    async fn posts(&self, endpoint: &str, form: String) -> (u16, Value) {
        let request = self.client.post(format!("{}/{TENANT}/oauth2/v2.0/{endpoint}", self.root));
        read(request.header("content-type", FORM).body(form).send().await.unwrap()).await
    }

    fn identity(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}&{RESOURCE}", self.root)).header("Metadata", "true")
    }

    async fn register(&self, document: Value) -> Value {
        let request =
            self.client.put(format!("{}/sandbox/registration", self.root)).body(document.to_string());
        let (status, body) = self.sends(request).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

#[tokio::test]
async fn a_person_signs_in_and_the_tokens_come_in_the_endpoints_shape() {
    let site = Site::open().await;
    let scope = "scope=https%3A%2F%2Fgraph.microsoft.com%2FPresence.ReadWrite+offline_access+openid";
    let (status, codes) = site.posts("devicecode", format!("client_id={CLIENT}&{scope}")).await;
    assert_eq!((status, &codes["expires_in"], &codes["interval"]), (200, &json!(900), &json!(5)));
    assert_eq!(codes["verification_uri"], "https://microsoft.com/devicelogin");
    let user_code = codes["user_code"].as_str().unwrap();
    assert!(codes["message"].as_str().unwrap().contains(user_code));
    let poll = format!(
        "client_id={CLIENT}&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code={}",
        codes["device_code"].as_str().unwrap()
    );
    let (status, pending) = site.posts("token", poll.clone()).await;
    assert_eq!((status, &pending["error"]), (400, &json!("authorization_pending")));
    let person = json!({"user_code": user_code, "user": USER});
    assert_eq!(site.sends(site.post("/sandbox/sign_in", &person)).await.0, 200);
    assert_eq!(site.sends(site.post("/sandbox/sign_in", &person)).await.0, 400, "nothing waits any more");
    site.nanos.fetch_add(5_000_000_000, Relaxed);
    let (status, tokens) = site.posts("token", poll).await;
    assert_eq!((status, &tokens["scope"]), (200, &json!("https://graph.microsoft.com/Presence.ReadWrite")));
    assert_eq!(tokens["id_token"].as_str().unwrap().split('.').count(), 3);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let refresh = format!("client_id={CLIENT}&grant_type=refresh_token&refresh_token={refresh}&{scope}");
    let (status, next) = site.posts("token", refresh).await;
    assert_eq!(status, 200);
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    site.close().await;
}

#[tokio::test]
async fn numbers_of_managed_identities_come_as_strings() {
    let site = Site::open().await;
    let vm = site.identity("/metadata/identity/oauth2/token?api-version=2018-02-01");
    let (status, token) = site.sends(vm).await;
    assert_eq!((status, &token["client_id"], &token["token_type"]), (200, &json!(CLIENT), &json!("Bearer")));
    let number = |name: &str| token[name].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(number("expires_on") - number("not_before"), number("expires_in"));
    assert_eq!(number("not_before"), 1_763_892_842, "the wall clock's");
    let service = site.identity("/msi/token?api-version=2019-08-01").header("X-IDENTITY-HEADER", "any");
    let (status, token) = site.sends(service).await;
    assert_eq!((status, token.get("expires_in")), (200, None));
    assert!(token["expires_on"].is_string());
    site.close().await;
}

#[tokio::test]
async fn arc_names_a_file_and_takes_what_stands_in_it() {
    let site = Site::open().await;
    let arc = || site.identity("/metadata/identity/oauth2/token?api-version=2020-06-01");
    site.register(json!({
        "managed_identities": [{"tenant": TENANT, "client_id": CLIENT}],
        "arc": {"file": "/folder/a.key", "content": "c4nary"},
    }))
    .await;
    let challenged = arc().send().await.unwrap();
    assert_eq!(
        (challenged.status().as_u16(), header(&challenged, "www-authenticate")),
        (401, "Basic realm=/folder/a.key")
    );
    assert_eq!(site.sends(arc().header("Authorization", "Basic c4nary")).await.0, 200);
    let shown = site.sends(site.get("/sandbox/registration")).await.1;
    assert_eq!(shown["arc"]["file"], "/folder/a.key");
    assert!(!shown.to_string().contains("c4nary"), "{shown}");
    site.close().await;
}

#[tokio::test]
async fn scripted_statuses_of_managed_identities_have_their_retry_after() {
    let site = Site::open().await;
    site.script(json!({"identity": [{"status": 429, "retry_after": "7"}]})).await;
    let ask = || site.identity("/metadata/identity/oauth2/token?api-version=2018-02-01");
    let throttled = ask().send().await.unwrap();
    assert_eq!((throttled.status().as_u16(), header(&throttled, "retry-after")), (429, "7"));
    assert_eq!(ask().send().await.unwrap().status(), 200);
    let proxied = ask().header("X-Forwarded-For", "192.0.2.1").send().await.unwrap();
    assert_eq!(proxied.status(), 400);
    site.close().await;
}

#[tokio::test]
async fn a_claims_challenge_stands_behind_another_one() {
    let mut site = Site::open().await;
    let claims = |more: &str| {
        let claims = format!(r#"{{"access_token":{{"xms_cc":{{"values":["cp1"]}}{more}}}}}"#);
        let claims: String = url::form_urlencoded::byte_serialize(claims.as_bytes()).collect();
        format!("{}&claims={claims}", form("any"))
    };
    let token = |answer: (u16, Value)| answer.1["access_token"].as_str().unwrap().to_owned();
    site.token = token(site.ask_token(&claims("")).await);
    site.script(json!({"challenge": true})).await;
    let response = site.set().send().await.unwrap();
    let challenge = header(&response, "www-authenticate").to_owned();
    assert!(challenge.starts_with("PoP realm=\"\", nonce=\"ey==\", Bearer realm=\"\""), "{challenge}");
    assert!(challenge.contains("error=\"insufficient_claims\""), "{challenge}");
    let encoded = challenge.split("claims=\"").nth(1).unwrap().trim_end_matches('"');
    let wanted: Value = serde_json::from_slice(&BASE64_STANDARD.decode(encoded).unwrap()).unwrap();
    assert_eq!(wanted, json!({"access_token": {"nbf": {"essential": true, "value": "1763892842"}}}));
    site.token = token(site.ask_token(&claims(r#","nbf":{"essential":true,"value":"1763892842"}"#)).await);
    assert_eq!(site.sends(site.set()).await.0, 200);
    site.close().await;
}

#[tokio::test]
async fn the_wall_clock_may_be_wrong_and_dates_follow_it() {
    let site = Site::open().await;
    site.script(json!({"clock_offset_s": -600})).await;
    let response = site.set().send().await.unwrap();
    assert_eq!(header(&response, "date"), "Sun, 23 Nov 2025 10:04:02 GMT");
    let ask = site.identity("/metadata/identity/oauth2/token?api-version=2018-02-01");
    assert_eq!(site.sends(ask).await.1["not_before"], "1763892242");
    site.close().await;
}

#[tokio::test]
async fn a_registration_is_read_whole_or_not_at_all_and_taken_away() {
    let site = Site::open().await;
    assert_eq!(site.sends(site.get("/sandbox/registration")).await.1, Value::Null);
    site.register(json!({"tenants": {}})).await;
    let (status, error) = site.ask_token(&form("any")).await;
    assert_eq!((status, &error["error_codes"]), (400, &json!([90_002])));
    let url = format!("{}/sandbox/registration", site.root);
    for wrong in [json!({"tenant": {}}), json!([]), json!({"tenants": {"contoso": {}}})] {
        let (status, body) = site.sends(site.client.put(&url).body(wrong.to_string())).await;
        assert_eq!(status, 400, "{body}");
    }
    assert_eq!(site.ask_token(&form("any")).await.0, 400, "the good one is in force");
    assert_eq!(site.sends(site.client.delete(&url)).await.0, 200);
    assert_eq!(site.ask_token(&form("any")).await.0, 200);
    site.close().await;
}
