use super::*;

#[tokio::test]
async fn a_set_is_answered_with_nothing_but_headers_and_is_then_read() {
    let site = Site::open().await;
    let response = site.set().header("client-request-id", "my-own-id").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "client-request-id"), "my-own-id");
    assert_eq!(
        header(&response, "date"),
        "Sun, 23 Nov 2025 10:14:02 GMT",
        "the date is that of the given clock"
    );
    assert_eq!(header(&response, "content-length"), "0");
    let first = header(&response, "request-id").parse::<Uuid>().unwrap();
    let second = site.set().send().await.unwrap();
    assert_ne!(header(&second, "request-id").parse::<Uuid>().unwrap(), first);

    for path in [format!("/v1.0/users/{USER}/presence"), format!("/v1.0/communications/presences/{USER}")] {
        let (status, body) = site.sends(site.get(&path)).await;
        assert_eq!((status, &body["id"]), (200, &json!(USER)));
        assert_eq!((&body["availability"], &body["activity"]), (&json!("Busy"), &json!("InACall")));
        assert!(body["sequenceNumber"].as_str().unwrap().starts_with('A'));
    }
    let ids = json!({"ids": [USER, CLIENT]});
    let (status, body) = site.sends(site.post("/v1.0/communications/getPresencesByUserId", &ids)).await;
    assert_eq!((status, &body["value"][0]["activity"]), (200, &json!("InACall")));
    assert_eq!(body["value"][1]["availability"], "Offline");
    site.close().await;
}

#[tokio::test]
async fn a_preference_and_teams_clients_are_set_over_http() {
    let site = Site::open().await;
    let act = async |action: &str, body: Value| {
        site.sends(site.post(&format!("/v1.0/users/{USER}/presence/{action}"), &body)).await.0
    };
    let activity = async || {
        let (_, body) = site.sends(site.get(&format!("/v1.0/users/{USER}/presence"))).await;
        body["activity"].as_str().unwrap().to_owned()
    };
    assert_eq!(act("microsoft.graph.setPresence", busy()).await, 200);
    let dnd =
        json!({"availability": "DoNotDisturb", "activity": "DoNotDisturb", "expirationDuration": "PT8H"});
    assert_eq!(act("setUserPreferredPresence", dnd).await, 200);
    assert_eq!(activity().await, "DoNotDisturb");
    assert_eq!(act("clearUserPreferredPresence", json!({})).await, 200);
    assert_eq!(activity().await, "InACall");
    let teams =
        json!({"user": USER, "sessions": [{"availability": "DoNotDisturb", "activity": "Presenting"}]});
    assert_eq!(site.sends(site.post("/sandbox/teams", &teams)).await.0, 200);
    assert_eq!(activity().await, "Presenting");
    let teams = json!({"user": USER, "preferred": {"availability": "Offline", "activity": "OffWork"}});
    assert_eq!(site.sends(site.post("/sandbox/teams", &teams)).await.0, 200);
    assert_eq!(activity().await, "OffWork");
    let teams = json!({"user": USER, "sessions": [], "preferred": null});
    assert_eq!(site.sends(site.post("/sandbox/teams", &teams)).await.0, 200);
    assert_eq!(activity().await, "InACall");
    assert_eq!(act("clearPresence", json!({"sessionId": CLIENT})).await, 200);
    assert_eq!(activity().await, "Offline");
    assert_eq!(act("clearPresence", json!({"sessionId": CLIENT})).await, 404);
    site.close().await;
}

#[tokio::test]
async fn an_error_comes_in_graphs_envelope() {
    let site = Site::open().await;
    let mut body = busy();
    body["expirationDuration"] = "PT4M".into();
    let request = site.post(&format!("/v1.0/users/{USER}/presence/setPresence"), &body);
    let (status, error) = site.sends(request.header("client-request-id", "abc")).await;
    assert_eq!(status, 400);
    let inner = &error["error"]["innerError"];
    assert!(inner["request-id"].as_str().unwrap().parse::<Uuid>().is_ok());
    assert_eq!(
        error,
        json!({"error": {
            "code": "InvalidArgument",
            "message": "The provided [ExpirationDuration] is out of range.",
            "innerError": {
                "date": "2025-11-23T10:14:02",
                "request-id": inner["request-id"],
                "client-request-id": "abc",
            },
        }})
    );
    site.close().await;
}

#[tokio::test]
async fn requests_that_are_nothing_are_refused_each_in_its_way() {
    let site = Site::open().await;
    let set = format!("/v1.0/users/{USER}/presence/setPresence");
    let code = async |request: RequestBuilder| {
        let (status, body) = site.sends(request).await;
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(code(site.get("/v1.0/me/presence")).await, (404, "UnknownError".to_owned()));
    assert_eq!(code(site.get(&set)).await.0, 405);
    let untyped = site.client.post(format!("{}{set}", site.root)).bearer_auth(&site.token);
    assert_eq!(code(untyped.body(busy().to_string())).await.0, 415);
    assert_eq!(code(site.post(&set, &json!("x".repeat(300_000)))).await.0, 413);
    let ids = json!({"ids": vec![USER; 651]});
    assert_eq!(
        code(site.post("/v1.0/communications/getPresencesByUserId", &ids)).await,
        (400, String::new())
    );
    let upn = site.post("/v1.0/users/anna@contoso.com/presence/setPresence", &busy());
    assert_eq!(code(upn).await.0, 404);
    assert_eq!(site.report().await["invalid_requests"], 6);
    site.close().await;
}

#[tokio::test]
async fn a_token_that_is_not_good_is_challenged() {
    let mut site = Site::open().await;
    site.script(json!({"revoke_tokens": true})).await;
    let response = site.set().send().await.unwrap();
    assert!(header(&response, "www-authenticate").contains("error=\"invalid_token\""));
    let (status, body) = read(response).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("InvalidAuthenticationToken")));
    let response = site.client.get(format!("{}/v1.0/users/{USER}/presence", site.root)).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(!header(&response, "www-authenticate").contains("error="), "there was no token");
    site.token = site.fetch_token().await;
    assert_eq!(site.sends(site.set()).await.0, 200);
    site.close().await;
}

#[tokio::test]
async fn a_token_error_comes_in_the_endpoints_shape() {
    let site = Site::open().await;
    site.script(json!({"secret": "right"})).await;
    let (status, error) = site.ask_token(&form("wrong")).await;
    assert_eq!(
        (status, &error["error"], &error["error_codes"]),
        (401, &json!("invalid_client"), &json!([7_000_215]))
    );
    assert!(error["error_description"].as_str().unwrap().starts_with("AADSTS7000215: Invalid client secret"));
    assert_eq!(error["timestamp"], "2025-11-23 10:14:02Z");
    for id in ["trace_id", "correlation_id"] {
        assert!(error[id].as_str().unwrap().parse::<Uuid>().is_ok());
    }
    assert_eq!(site.ask_token(&form("right")).await.0, 200);
    let (status, error) = site.ask_token("").await;
    assert_eq!((status, &error["error_codes"]), (400, &json!([900_144])));
    site.script(json!({"token": {"status": 503, "body": "html", "retry_after": "5"}})).await;
    let (status, body) = site.ask_token(&form("right")).await;
    assert_eq!(status, 503);
    assert!(body.as_str().unwrap().contains("<html>"));
    site.script(json!({"token": {"reset": true}})).await;
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", site.root);
    assert!(site.client.post(url).body("").send().await.is_ok(), "what is no request gets its error first");
    site.close().await;
}

#[tokio::test]
async fn a_throttled_request_says_how_long_to_wait() {
    let site = Site::open().await;
    site.script(json!({"quota": {"requests": 1, "per_s": 30}, "retry_after_form": "date"})).await;
    assert_eq!(site.sends(site.set()).await.0, 200);
    site.nanos.fetch_add(10_000_000_000, Relaxed);
    let response = site.set().send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "Sun, 23 Nov 2025 10:14:33 GMT");
    let (status, body) = read(response).await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("TooManyRequests")));
    assert_eq!(body["error"]["innerError"]["status"], "429");
    let report = site.report().await;
    assert_eq!(
        (&report["throttled"], &report["peak_window"], &report["quota"]["requests"]),
        (&json!(1), &json!(2), &json!(1))
    );
    site.close().await;
}

#[tokio::test]
async fn a_batch_is_answered_item_by_item() {
    let site = Site::open().await;
    site.script(json!({"quota": {"requests": 2, "per_s": 30}})).await;
    let item = |id: &str| {
        json!({"id": id, "method": "POST", "url": format!("/users/{USER}/presence/setPresence"),
            "headers": {"Content-Type": "application/json"}, "body": busy()})
    };
    let get = json!({"id": "3", "method": "GET", "url": format!("/users/{USER}/presence")});
    let (status, body) =
        site.sends(site.post("/v1.0/$batch", &json!({"requests": [item("1"), get, item("4")]}))).await;
    assert_eq!(status, 200);
    let of = |id: &str| {
        let replies = body["responses"].as_array().unwrap();
        replies.iter().find(|reply| reply["id"] == id).unwrap().clone()
    };
    assert_eq!(of("1"), json!({"id": "1", "status": 200, "headers": {}}));
    assert_eq!((&of("3")["status"], &of("3")["body"]["activity"]), (&json!(200), &json!("InACall")));
    assert_eq!((&of("4")["status"], &of("4")["headers"]["Retry-After"]), (&json!(429), &json!("30")));
    assert_eq!(of("4")["body"]["error"]["code"], "TooManyRequests");
    let (status, error) =
        site.sends(site.post("/v1.0/$batch", &json!({"requests": [item("a"), item("A")]}))).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("BadRequest")));
    site.close().await;
}

#[tokio::test]
async fn the_door_reports_users_and_refuses_nonsense() {
    let site = Site::open().await;
    site.sends(site.set()).await;
    for path in [format!("/sandbox/users/{USER}"), format!("/sandbox/report?user={USER}")] {
        let (status, body) = site.sends(site.get(&path)).await;
        assert_eq!(
            (status, &body[0]["sets"], &body[0]["sessions"][0]["phase"]),
            (200, &json!(1), &json!("fresh"))
        );
    }
    assert_eq!(site.sends(site.post("/sandbox/reset-counts", &json!({}))).await.0, 200);
    assert_eq!(site.report().await["requests"]["total"], 0);
    let (status, body) = site.sends(site.post("/sandbox/faults", &json!("x".repeat(300_000)))).await;
    assert_eq!(status, 413, "{body}");
    let (status, body) = site.sends(site.post("/sandbox/faults", &json!({"eror_rate": 1}))).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().contains("eror_rate"));
    assert_eq!(site.sends(site.get("/sandbox/users/anna")).await.0, 400);
    assert_eq!(site.sends(site.get("/sandbox/elsewhere")).await.0, 404);
    assert!(site.sends(site.get("/sandbox")).await.1.as_str().unwrap().contains("/sandbox/report"));
    assert_eq!(site.sends(site.get("/sandbox/faults")).await.1["error_rate"], 0.0);
    site.close().await;
}
