//! `presenced doctor` on apps that have no client secret: each way in once as it should be, and once wrong.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::daemon::{Written, listen, presenced};
use crate::doctor::{Visit, registered, with_credential};
use crate::keys::Keys;
use crate::patience::PATIENCE;
use crate::sandbox::Sandbox;
use crate::secrecy;
use crate::site::{Site, TENANT, available, client_id, id};

const ISSUER: &str = "https://oidc.example/cluster";
const SUBJECT: &str = "system:serviceaccount:presenced:default";

/// All is well with a way in: nothing has failed, nobody is warned, and these looks were not needed.
fn is_well(visit: &Visit, skipped: &[&str]) {
    assert_eq!((visit.code, &visit.report["ok"]), (Some(0), &json!(true)), "{:#}", visit.report);
    for check in visit.report["apps"][0]["checks"].as_array().unwrap() {
        let name = check["check"].as_str().unwrap();
        let expected = if skipped.contains(&name) { "skipped" } else { "ok" };
        assert_eq!(check["status"], expected, "{:#}", visit.report);
    }
}

/// The token is refused with this error, and what needs one is skipped.
fn is_refused(visit: &Visit, words: &[&str]) {
    assert_eq!(
        (visit.code, &visit.report["apps"][0]["refused"]),
        (Some(77), &json!(true)),
        "{:#}",
        visit.report
    );
    visit.blames(&["token"], words);
    assert_eq!((visit.status("permission"), visit.status("users")), ("skipped", "skipped"));
}

#[tokio::test]
async fn a_certificate_is_examined_and_one_that_the_app_does_not_have_is_named() {
    let keys = Keys::shared();
    let sandbox = Sandbox::watched(&[]).await;
    registered(&sandbox, json!({"certificates": [keys.certificate]})).await;
    let site = Site::new(&sandbox, [available(1)]);
    site.credential("app.pem", &keys.with_key());
    with_credential(&site, "{ certificate_file = \"app.pem\" }");
    is_well(&Visit::to(&site).await, &[]);

    site.credential("app.pem", &Keys::make().with_key());
    let visit = Visit::to(&site).await;
    is_refused(&visit, &["AADSTS700027", "correlation id"]);
    assert_eq!(visit.status("credential_end"), "ok");
    assert!(secrecy::kept() > 20, "keys, assertions and a token");
}

#[tokio::test]
async fn a_federated_token_is_examined_and_one_of_another_subject_is_named() {
    let keys = Keys::shared();
    let sandbox = Sandbox::watched(&[]).await;
    let known = json!({
        "issuer": ISSUER, "subject": SUBJECT, "audience": "api://AzureADTokenExchange", "key": keys.public,
    });
    registered(&sandbox, json!({"federated": [known]})).await;
    let site = Site::new(&sandbox, [available(1)]);
    site.credential("token", &keys.federated(ISSUER, SUBJECT, &json!({})));
    with_credential(&site, "{ federated_token_file = \"token\" }");
    is_well(&Visit::to(&site).await, &["credential_end"]);

    let other = keys.federated(ISSUER, "system:serviceaccount:other:default", &json!({}));
    site.credential("token", &other);
    is_refused(&Visit::to(&site).await, &["AADSTS700213", "correlation id"]);
    std::fs::remove_file(site.path("token")).unwrap();
    is_refused(&Visit::to(&site).await, &["no credential", "does not exist"]);
}

#[tokio::test]
async fn a_managed_identity_is_examined_and_a_host_that_has_none_is_named() {
    let sandbox = Sandbox::watched(&[]).await;
    let identity = json!({"tenant": TENANT, "client_id": client_id(0), "object_id": id(99)});
    let site = Site::new(&sandbox, [available(1)]);
    with_credential(&site, "{ managed_identity = true }");
    let app_service = format!("{}/msi/token", sandbox.url);
    let (vm, right) = ([("AZURE_POD_IDENTITY_AUTHORITY_HOST", &*sandbox.url)], "h-canary-of-the-host");
    let of_app_service = |header| [("IDENTITY_ENDPOINT", &*app_service), ("IDENTITY_HEADER", header)];
    let hosts = [&vm[..], &of_app_service(right)];
    sandbox.register(json!({"managed_identities": [identity], "identity_header": right})).await;
    for host in hosts {
        is_well(&Visit::with(&site, host).await, &["login", "credential_end"]);
    }
    let wrong = Visit::with(&site, &of_app_service("h-canary-of-another")).await;
    wrong.blames(&["token"], &["unauthorized_client", "not the right one"]);

    sandbox.register(json!({"managed_identities": [], "identity_header": right})).await;
    for host in hosts {
        is_refused(&Visit::with(&site, host).await, &["invalid_request", "managed identit"]);
    }
    assert!(secrecy::kept() > 3, "headers and tokens");
}

#[tokio::test]
async fn who_has_signed_in_must_be_the_user_of_the_config() {
    let sandbox = Sandbox::watched(&[]).await;
    let public = |granted: Value| json!({"public_client": true, "granted_scopes": granted});
    registered(&sandbox, public(json!([]))).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    std::fs::create_dir(site.state_dir()).unwrap();
    with_credential(&site, "{ delegated = true }");

    let nobody = Visit::to(&site).await;
    assert_eq!(nobody.code, Some(77), "{:#}", nobody.report);
    nobody.blames(&["token"], &["nobody has signed in", "presenced login contoso"]);

    sign_in(&site, &sandbox, 1).await;
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(0), "{:#}", visit.report);
    assert_eq!((visit.status("permission"), visit.status("signed_in")), ("ok", "ok"));
    // The sign-in asks for Presence.ReadWrite alone, and reading takes Presence.Read.
    let own = &visit.report["apps"][0]["users"][0];
    assert_eq!((visit.status("users"), &own["status"]), ("warning", &json!("skipped")), "{own:#}");
    assert!(own["detail"].as_str().unwrap().contains("not for reading"), "{own:#}");
    let advice = visit.check("users")["advice"].as_str().unwrap();
    let url = format!("{}/{TENANT}/adminconsent?client_id={}", sandbox.url, client_id(0));
    for word in ["delegated permission Presence.Read of", &url, "`presenced login contoso`"] {
        assert!(advice.contains(word), "{word}: {advice}");
    }
    let reads = sandbox.report().await["requests"]["by_call"]["get_presence"].clone();
    assert_eq!(reads, Value::Null, "what the token says that it is not good for is not asked for");

    registered(&sandbox, public(json!(["Presence.Read"]))).await;
    is_well(&Visit::to(&site).await, &["credential_end"]);

    site.config.users = vec![available(2)];
    with_credential(&site, "{ delegated = true }");
    let visit = Visit::to(&site).await;
    assert_eq!(visit.status("users"), "skipped", "{:#}", visit.report);
    let failed = ["signed_in", "token"].into_iter().find(|check| visit.status(check) == "failed").unwrap();
    visit.blames(&[failed], &[&id(1), &id(2), "presenced login contoso"]);
}

/// `presenced login contoso`, and user number `n` types the code.
async fn sign_in(site: &Site, sandbox: &Sandbox, n: u32) {
    let mut command: Command = presenced();
    command.args(["login", "contoso", "--config"]).arg(site.config_file()).stdout(Stdio::piped());
    let mut child: Child = command.spawn().unwrap();
    let (to, mut said) = watch::channel(Written::default());
    let mut listening = JoinSet::new();
    listening.spawn(listen(child.stdout.take().unwrap(), to));
    let code = |written: &Written| {
        let after = written.lines.iter().skip_while(|line| !line.contains("enter the code"));
        after.skip(1).find(|line| !line.is_empty()).map(|line| line.trim().to_owned())
    };
    let told = timeout(PATIENCE, said.wait_for(|written| code(written).is_some()));
    let code = code(&told.await.expect("in time").unwrap()).unwrap();
    sandbox.sign_in(&code, Some(n)).await;
    assert!(timeout(PATIENCE, child.wait()).await.expect("in time").unwrap().success());
    let ended = timeout(PATIENCE, said.wait_for(|written| written.ended)).await.expect("in time").unwrap();
    secrecy::search("what login says", &ended.lines.join("\n"));
}
