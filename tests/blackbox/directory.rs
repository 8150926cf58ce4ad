//! The sandbox's directory as a client of the built program meets it.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, group_id, http};
use crate::site::{SECRET, TENANT, client_id, id};

async fn token(sandbox: &Sandbox) -> String {
    let form = format!(
        "client_id={}&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_secret={SECRET}\
         &grant_type=client_credentials",
        client_id(0)
    );
    let request = http().post(format!("{}/{TENANT}/oauth2/v2.0/token", sandbox.url));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let body: Value = serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

async fn get(token: &str, url: &str) -> (u16, Value) {
    let response = http().get(url).bearer_auth(token).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn the_sandboxs_directory_is_what_a_test_has_made_of_it() {
    let sandbox = Sandbox::start(&[]).await;
    let first = token(&sandbox).await;
    let url = format!(
        "{}/v1.0/groups/{}/transitiveMembers/microsoft.graph.user?$select=id,accountEnabled&$top=2",
        sandbox.url,
        group_id(1)
    );
    assert_eq!(get(&first, &url).await.0, 404);
    sandbox.group(1, (1..=3).map(|n| json!(id(n)))).await;
    sandbox.change_group(1, &[4], &[2]).await;
    sandbox.define_user(1, json!({"userPrincipalName": "desk@contoso.com", "accountEnabled": false})).await;
    let (status, page) = get(&first, &url).await;
    assert_eq!((status, &page["value"][0]), (200, &json!({"id": id(1), "accountEnabled": false})));
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(get(&first, next).await.1["value"], json!([{"id": id(4), "accountEnabled": true}]));
    let named = format!("{}/v1.0/users/desk@contoso.com?$select=id", sandbox.url);
    assert_eq!(get(&first, &named).await.1["id"], id(1));
    sandbox.delete_user(1).await;
    assert_eq!(get(&first, &named).await.0, 404);
    sandbox.directory_faults(json!({"trouble": {"status": 503}})).await;
    assert_eq!(get(&first, &url).await.0, 503);
    sandbox.heal().await;
    sandbox.withhold(&["GroupMember.Read.All"]).await;
    assert_eq!(get(&first, &url).await.0, 401);
    let second = token(&sandbox).await;
    assert_eq!(get(&second, &url).await.1["error"]["code"], "Authorization_RequestDenied");
    sandbox.withhold(&[]).await;
    sandbox.delete_group(1).await;
    assert_eq!(get(&token(&sandbox).await, &url).await.0, 404);
    let by_call = &sandbox.report().await["directory"]["by_call"];
    let statuses = json!({"200": 2, "401": 1, "403": 1, "404": 2, "503": 1});
    assert_eq!(by_call["get_members"], statuses, "{by_call}");
}
