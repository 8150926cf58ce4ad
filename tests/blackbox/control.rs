//! The running daemon, asked: status, why, history, reload, health, and who may ask.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::sandbox::Sandbox;
use crate::site::{Site, available, id, in_a_call, user};

/// Every command that asks the daemon, with what it needs.
const COMMANDS: [&[&str]; 15] = [
    &["status"],
    &["status", "user 1"],
    &["why", "user 1"],
    &["history"],
    &["reload"],
    &["set", "user 1", "Away"],
    &["unset", "user 1"],
    &["release", "user 1"],
    &["resume"],
    &["health"],
    &["status", "@desks"],
    &["set", "@desks", "Away"],
    &["unset", "@desks"],
    &["release", "@desks"],
    &["resume", "@desks"],
];

#[tokio::test]
async fn with_no_daemon_every_command_says_so_and_ends_with_69() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    for command in COMMANDS {
        for json in [false, true] {
            let mut args = command.to_vec();
            if json {
                args.push("--json");
            }
            let (code, out, err) = site.command(&args).await;
            assert_eq!((code, out.as_str()), (Some(69), ""), "{args:?}: {err}");
            assert!(err.starts_with("error: no daemon answers at ") && err.contains("control.sock"), "{err}");
        }
    }
}

#[tokio::test]
async fn status_tells_the_apps_the_worst_sessions_and_one_user_in_full() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(json!({"users": {id(3): {"status": 404}}})).await;
    let site = Site::new(&sandbox, (1..4).map(available));
    let mut daemon = site.run();
    daemon.event("parked").await;
    sandbox.until("two sets", |report| report["sets"] == 2).await;

    let status = site.json(&["status"]).await;
    let (code, text, _) = site.command(&["status"]).await;
    let one = site.json(&["status", "user 1"]).await;
    let (_, one_text, _) = site.command(&["status", "USER 1"]).await;

    assert_eq!(status["stage"], "running");
    assert_eq!((&status["sessions"]["wanted"], &status["sessions"]["parked"]), (&json!(3), &json!(1)));
    assert_eq!(status["apps"][0]["app"], "contoso");
    assert_eq!((status["worst"].as_array().unwrap().len(), &status["worst"][0]["user"]), (1, &json!(id(3))));
    assert_eq!(code, Some(0));
    for told in ["of 3 sessions held, 1 refused by Graph", "contoso", "Not as wanted:", "status 404"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let session = &one["sessions"][0];
    assert_eq!((&session["state"], &session["because"]), (&json!("held"), &json!("config")));
    assert_eq!((&session["next"], &session["expiration"]), (&json!("renewal"), &json!("PT60M")));
    let request_id = session["last_answer"]["request_id"].as_str().unwrap();
    assert_eq!(request_id.len(), 36, "Graph's request-id");
    assert!(one_text.contains("granted at ") && one_text.contains(", request-id "), "{one_text}");
    assert_eq!(session["today"][0]["shows"], "Available/Available");
}

#[tokio::test]
async fn who_is_meant_is_an_id_a_name_or_an_alias_and_never_a_guess() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site =
        Site::new(&sandbox, [user(1, "availability = \"Away\"\naliases = [\"2001\"]"), available(12)]);
    site.config.apps.push("fabrikam");
    site.secret("fabrikam", crate::site::SECRET);
    for (n, user) in site.config.users.iter_mut().enumerate() {
        user.says.push_str(if n == 0 { "\napp = \"contoso\"" } else { "\napp = \"fabrikam\"" });
    }
    site.write();
    let mut daemon = site.run();
    daemon.all_said("set", 2).await;
    for word in [id(1).as_str(), &id(1).to_uppercase(), "2001", "User 1"] {
        assert_eq!(site.json(&["status", word]).await["user"], id(1), "{word}");
    }
    assert_eq!(site.json(&["status", "200"]).await["user"], id(1), "an unambiguous beginning, to read");
    let (code, _, err) = site.command(&["set", "200", "Away"]).await;
    assert_eq!((code, err.as_str()), (Some(2), "error: no user of the config is called `200`\n"));
    let (code, _, err) = site.command(&["status", "user"]).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("`user` may be one of 2: user 1 ("), "{err}");
    let (code, _, err) = site.command(&["status", "2001", "--app", "fabrikam"]).await;
    assert_eq!(
        (code, err.as_str()),
        (Some(2), "error: no user of app fabrikam of the config is called `2001`\n")
    );
    let (code, _, err) = site.command(&["status", "--app", "nobody"]).await;
    assert_eq!((code, err.as_str()), (Some(2), "error: the config has no app `nobody`\n"));
    assert_eq!(site.json(&["status", "--app", "fabrikam"]).await["apps"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn why_reads_once_and_names_the_rule_that_decides() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let mut daemon = site.run();
    daemon.event("set").await;
    let requests = sandbox.report().await["requests"]["total"].as_u64().unwrap();

    let why = site.json(&["why", "user 1"]).await;
    let (_, text, _) = site.command(&["why", "user 1"]).await;

    let reasons = &why["why"][0];
    assert_eq!(reasons["others_see"], "Available/Available");
    let config = std::fs::read_to_string(site.config_file()).unwrap();
    let line = 1 + config.lines().position(|line| line.contains(&id(1))).unwrap();
    assert_eq!(reasons["line"], format!("config.toml:{line}"));
    for told in [
        "The config wants Available/Available (config.toml:",
        "We hold Available/Available",
        "what is wanted",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let report = sandbox.report().await;
    assert_eq!(report["requests"]["total"], requests + 2, "one read each");
    // A hand-set state outranks every session.
    let preferred = json!({"user": id(1), "preferred": {"availability": "Busy", "activity": "Busy"}});
    sandbox.door(reqwest::Method::POST, "teams", Some(preferred)).await;
    let (_, text, _) = site.command(&["why", "user 1"]).await;
    assert!(text.contains("Others see Busy/Busy: a state set by hand in Teams"), "{text}");
}

#[tokio::test]
async fn reload_prints_what_it_changed_or_what_is_wrong() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (1..4).map(available));
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;

    site.config.users = vec![available(2), in_a_call(3), available(4)];
    site.write();
    let (code, out, err) = site.command(&["reload"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains(&format!("- {} contoso\n", id(1))), "{out}");
    assert!(out.contains(&format!("~ {} contoso: Available/Available -> Busy/InACall\n", id(3))), "{out}");
    assert!(out.contains(&format!("+ {} contoso: Available/Available\n", id(4))), "{out}");
    assert!(out.contains("1 added, 1 changed, 1 removed; 3 sessions\n"), "{out}");
    let line = daemon.event("reloaded").await;
    assert!(line["by_pid"].is_number(), "the process that asked: {line}");

    let good = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&good.replace("InACall", "InAHurry"));
    let (code, out, err) = site.command(&["reload"]).await;
    assert_eq!((code, out.as_str()), (Some(78), ""));
    assert!(err.contains("InAHurry") && err.contains("config.toml:"), "{err}");
    assert!(
        err.ends_with("stays in force\n") && err.contains("error: 1 error in the config; config "),
        "{err}"
    );
    let status = site.json(&["status"]).await;
    assert!(status["last_reload"]["refused"].as_str().unwrap().contains("InAHurry"), "{status}");

    site.config.control =
        "listen = \"127.0.0.1:1\"\ntokens = [{ name = \"x\", file = \"x\", may = [\"read\"] }]".to_owned();
    site.write();
    let (code, _, err) = site.command(&["reload"]).await;
    assert_eq!(code, Some(78));
    assert!(err.contains("[control] listen: a change from none to 127.0.0.1:1 needs a restart"), "{err}");

    site.config.control.clear();
    site.config.users.clear();
    site.write();
    let (_, out, _) = site.command(&["reload"]).await;
    assert!(out.contains("3 removals wait: if they are meant, `presenced reload --accept-shrink`"), "{out}");
    let (code, out, _) = site.command(&["reload", "--accept-shrink"]).await;
    assert!(code == Some(0) && out.contains("3 removed; 0 sessions"), "{out}");
    sandbox.until("four clears", |report| report["clears"] == 4).await;
    let history = site.json(&["history"]).await;
    let actions: Vec<&str> =
        history["records"].as_array().unwrap().iter().map(|r| r["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["reload", "reload_refused", "reload_refused", "reload", "reload"]);
}

#[tokio::test]
async fn health_is_about_the_daemon_and_not_about_graph() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (1..4).map(available));
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;
    crate::patience::until("figures", async || (site.json(&["health"]).await["held"] == true).then_some(()))
        .await;
    let (code, out, _) = site.command(&["health", "--held"]).await;
    assert_eq!((code, out.as_str()), (Some(0), "live, ready, every session held\n"));
    sandbox.faults(json!({"users": {id(2): {"status": 404}}})).await;
    daemon.signal(rustix::process::Signal::USR1);
    daemon.event("parked").await;
    crate::patience::until("the figures", async || {
        (site.json(&["health"]).await["held"] == false).then_some(())
    })
    .await;
    let (code, out, _) = site.command(&["health"]).await;
    assert_eq!(code, Some(0), "{out}");
    let (code, out, _) = site.command(&["health", "--held"]).await;
    assert_eq!(code, Some(3));
    assert!(out.contains("1 of 3 sessions refused by Graph"), "{out}");
}

#[tokio::test]
async fn the_socket_is_for_its_group_and_goes_with_the_daemon() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    site.config.control = "group = \"0\"".to_owned();
    site.write();
    let mut daemon = site.run();
    daemon.event("listening").await;
    let socket = site.path("control.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    assert!(!Path::new(&socket).exists());
    // One that a killed daemon has left is in nobody's way.
    let mut daemon = site.run();
    daemon.event("listening").await;
    daemon.kill().await;
    assert!(socket.exists());
    let mut daemon = site.run();
    daemon.event("listening").await;
    assert_eq!(site.command(&["health"]).await.0, Some(0));
}

#[tokio::test]
async fn another_user_may_not() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can be tried.
        return;
    }
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let mut daemon = site.run();
    daemon.event("listening").await;
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&site.path(""), 0o755);
    let mut command = crate::daemon::presenced();
    command.args(["release", "--all", "--config"]).arg(site.config_file()).uid(65_534).gid(65_534);
    let output = command.output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(77), 0), "{err}");
    assert!(err.contains("this user may not use ") && err.contains("control.sock"), "{err}");
    // A socket that was opened to everyone by hand opens nothing: its peers are looked at, too.
    open(&site.path("control.sock"), 0o666);
    let output = command.output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(77), "{err}");
    assert!(err.contains("uid 65534 may not use the control socket"), "{err}");
    assert_eq!(site.json(&["status"]).await["released"], serde_json::Value::Null);
}

#[tokio::test]
async fn over_tcp_a_token_may_what_it_may_and_no_more() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(site.path("tls.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(site.path("tls.key"), certificate.signing_key.serialize_pem()).unwrap();
    site.config.control = format!(
        "listen = \"127.0.0.1:{port}\"\ncertificate_file = \"tls.pem\"\nkey_file = \"tls.key\"\ntokens = [\n\
         {{ name = \"pbx\", file = \"pbx.token\", may = [\"override\"], apps = [\"contoso\"] }},\n\
         {{ name = \"other\", file = \"other.token\", may = [\"override\", \"read\"], apps = [] }},\n\
         {{ name = \"eyes\", file = \"eyes.token\", may = [\"read\"] }} ]"
    );
    for name in ["pbx", "other", "eyes"] {
        std::fs::write(site.path(&format!("{name}.token")), format!("{name}-is-secret\n")).unwrap();
    }
    site.write();
    let mut daemon = site.run();
    daemon.event("set").await;
    daemon.all_said("listening", 2).await;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    let ask = async |method: &str, path: &str, token: Option<&str>| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = http.request(method.clone(), format!("https://localhost:{port}{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if method != reqwest::Method::GET && method != reqwest::Method::DELETE {
            let body = json!({"availability": "Busy", "activity": "InACall", "ttl": 60});
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await.unwrap().status().as_u16()
    };
    let (pbx, other, eyes) = (Some("pbx-is-secret"), Some("other-is-secret"), Some("eyes-is-secret"));
    let line = "/v1/overrides/user%201/line-1";
    for (expected, method, path, token) in [
        (401, "PUT", line, None),
        (401, "PUT", line, Some("wrong")),
        (401, "PUT", line, Some("")),
        (200, "PUT", line, pbx),
        (200, "DELETE", line, pbx),
        (403, "PUT", "/v1/overrides/user%201/operator", pbx),
        (403, "GET", "/v1/status", pbx),
        (403, "POST", "/v1/reload", pbx),
        (404, "PUT", line, other),
        (404, "GET", "/v1/users/user", other),
        (403, "GET", "/v1/users/user%201", pbx),
        (403, "GET", "/v1/status", other),
        (403, "PUT", line, eyes),
        (200, "GET", "/v1/status", eyes),
        (200, "GET", "/v1/users/user%201/why", eyes),
        (403, "POST", "/v1/release", eyes),
    ] {
        assert_eq!(ask(method, path, token).await, expected, "{method} {path} {token:?}");
    }
    // Rotated, without a reload.
    std::fs::write(site.path("eyes.token"), "eyes-anew\n").unwrap();
    assert_eq!(ask("GET", "/v1/health", eyes).await, 401);
    assert_eq!(ask("GET", "/v1/health", Some("eyes-anew")).await, 200);
    let history = site.json(&["history"]).await;
    assert_eq!(history["records"][0]["by"], "token pbx");
    assert!(!daemon.log().contains("is-secret"));
}

#[tokio::test]
async fn with_a_daemon_every_command_answers_in_words_and_in_json() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    site.config.top = format!("[[group]]\nname = \"desks\"\nmembers = [\"{}\"]\n", id(1));
    site.write();
    let mut daemon = site.run();
    daemon.event("set").await;
    for command in COMMANDS {
        let (code, text, err) = site.command(command).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{command:?}: {text}");
        assert!(text.ends_with('\n') && !text.starts_with('{'), "{command:?}: {text}");
        assert!(site.json(command).await.is_object(), "{command:?}");
    }
    // Each of them has left its mark, but for those that only look.
    let history = site.json(&["history"]).await;
    let actions: std::collections::BTreeSet<&str> =
        history["records"].as_array().unwrap().iter().map(|r| r["action"].as_str().unwrap()).collect();
    assert_eq!(actions.into_iter().collect::<Vec<_>>(), ["release", "reload", "resume", "set", "unset"]);
}
