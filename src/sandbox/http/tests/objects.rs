//! Groups and users, defined at the sandbox's own door and read as Graph has it.

use super::*;

const GROUP: &str = "96000000-0000-4000-8000-000000000001";

impl Site {
    async fn says(&self, method: reqwest::Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method, format!("{}/sandbox/{path}", self.root));
        self.sends(request.body(body.to_string())).await
    }

    fn member(n: u128) -> Value {
        json!(Uuid::from_u128(n))
    }
}

#[tokio::test]
async fn ten_thousand_members_are_defined_in_one_call_and_read_page_by_page() {
    use reqwest::Method;
    let site = Site::open().await;
    let members: Vec<Value> = (1..=10_000)
        .map(|n| json!({"id": Site::member(n), "displayName": format!("Extension {n}"), "accountEnabled": n % 2 == 0,
            "userPrincipalName": format!("extension.{n}@contoso.com")}))
        .collect();
    let group = json!({"displayName": "Phones", "members": members});
    let (status, said) = site.says(Method::PUT, &format!("groups/{GROUP}"), &group).await;
    assert_eq!((status, &said["members"], &said["kind"]), (200, &json!(10_000), &json!("group")));

    let first = format!(
        "/v1.0/groups/{GROUP}/transitiveMembers/microsoft.graph.user?$select=id,displayName,accountEnabled\
         &$top=999&$count=true"
    );
    let mut response = site.get(&first).header("ConsistencyLevel", "eventual").send().await.unwrap();
    assert_eq!(header(&response, "x-ms-resource-unit"), "4");
    let mut seen = Vec::new();
    loop {
        let (status, page) = read(response).await;
        assert_eq!(status, 200, "{page}");
        let context = "https://graph.microsoft.com/v1.0/$metadata#users(id,displayName,accountEnabled)";
        assert_eq!(page["@odata.context"], context);
        assert_eq!(page.get("@odata.count").is_some(), seen.is_empty());
        seen.extend(page["value"].as_array().unwrap().iter().cloned());
        let Some(next) = page.get("@odata.nextLink") else { break };
        let next = next.as_str().unwrap();
        assert!(next.starts_with(&format!("{}/v1.0/groups/{GROUP}/", site.root)), "{next}");
        response = site.client.get(next).bearer_auth(&site.token).send().await.unwrap();
    }
    assert_eq!(seen.len(), 10_000);
    assert_eq!(
        seen[2],
        json!({"id": Site::member(3), "displayName": "Extension 3", "accountEnabled": false})
    );
    assert_eq!(site.report().await["directory"]["by_call"]["get_members"]["200"], 11);
    site.close().await;
}

#[tokio::test]
async fn what_is_said_of_groups_and_users_is_taken_or_refused_with_a_reason() {
    use reqwest::Method;
    let site = Site::open().await;
    let group = format!("groups/{GROUP}");
    let read = async || {
        let path = format!("/v1.0/groups/{GROUP}/transitiveMembers/microsoft.graph.user?$select=id");
        let (status, body) = site.sends(site.get(&path)).await;
        let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
        (status, body["value"].as_array().map_or(0, Vec::len), code)
    };
    assert_eq!(read().await, (404, 0, "Request_ResourceNotFound".to_owned()));
    let (status, told) = site.says(Method::PATCH, &group, &json!({"add": [USER]})).await;
    assert_eq!((status, told["error"].as_str().unwrap().contains("no such group")), (400, true));
    assert_eq!(site.says(Method::PUT, &group, &json!({"members": [USER, CLIENT]})).await.0, 200);
    assert_eq!(read().await.1, 2);
    assert_eq!(site.says(Method::PATCH, &group, &json!({"remove": [CLIENT]})).await.0, 200);
    assert_eq!(read().await.1, 1);
    for (path, body) in [
        (&*group, json!({"member": [USER]})),
        (&*group, json!({"members": ["reception"]})),
        (&*group, json!([null, null, [USER]])),
        ("groups/phones", json!({})),
        ("users/reception", json!({})),
        ("users/fa8bf3dc-eca7-46b7-bad1-db199b62afc3", json!({"upn": "x"})),
    ] {
        let (status, told) = site.says(Method::PUT, path, &body).await;
        assert_eq!((status, told["error"].is_string()), (400, true), "{path} {body} {told}");
    }
    assert_eq!(read().await.1, 1);
    assert_eq!(site.says(Method::DELETE, &group, &json!({})).await.0, 200);
    assert_eq!(read().await.0, 404);

    let user = json!({"userPrincipalName": "desk_other.com#EXT#@contoso.com", "displayName": "Desk"});
    assert_eq!(site.says(Method::PUT, &format!("users/{USER}"), &user).await.0, 200);
    let path = "/v1.0/users/Desk_other.com%23EXT%23@contoso.com?$select=id,userPrincipalName,accountEnabled";
    let (status, body) = site.sends(site.get(path)).await;
    assert_eq!((status, &body["id"], &body["accountEnabled"]), (200, &json!(USER), &json!(true)));
    let context =
        "https://graph.microsoft.com/v1.0/$metadata#users(id,userPrincipalName,accountEnabled)/$entity";
    assert_eq!(body["@odata.context"], context);
    assert_eq!(site.says(Method::DELETE, &format!("users/{USER}"), &json!({})).await.0, 200);
    assert_eq!(site.sends(site.get(path)).await.0, 404);
    site.close().await;
}

#[tokio::test]
async fn the_directory_is_read_in_a_batch_too() {
    let site = Site::open().await;
    let item = |id: &str, url: String| json!({"id": id, "method": "GET", "url": url, "headers": {"ConsistencyLevel": "eventual"}});
    let members = format!("/groups/{GROUP}/transitiveMembers/microsoft.graph.user?$top=1&$count=true");
    let group = json!({"members": [USER, CLIENT]});
    assert_eq!(site.says(reqwest::Method::PUT, &format!("groups/{GROUP}"), &group).await.0, 200);
    let items =
        [item("a", members), item("b", format!("/users/{USER}?$select=id")), item("c", "/groups/x".into())];
    let (status, body) = site.sends(site.post("/v1.0/$batch", &json!({ "requests": items }))).await;
    assert_eq!(status, 200);
    let answer = |id: &str| {
        let mut answers = body["responses"].as_array().unwrap().iter();
        answers.find(|answer| answer["id"] == id).unwrap().clone()
    };
    assert_eq!((&answer("a")["body"]["@odata.count"], &answer("b")["body"]["id"]), (&json!(2), &json!(USER)));
    assert!(answer("a")["body"]["@odata.nextLink"].as_str().unwrap().starts_with(&site.root));
    assert_eq!((&answer("b")["status"], &answer("c")["status"]), (&json!(200), &json!(400)));
    site.close().await;
}
