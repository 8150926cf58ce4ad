//! Commands for a group at once, and what is told of groups and schedules.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::site::{Site, available, id, user};

/// A group of these users.
fn group(name: &str, members: impl IntoIterator<Item = u32>) -> String {
    let members: Vec<String> = members.into_iter().map(|n| format!("\"{}\"", id(n))).collect();
    format!("[[group]]\nname = \"{name}\"\nmembers = [{}]\n", members.join(", "))
}

async fn show(sandbox: &Sandbox, users: impl IntoIterator<Item = u32>, activity: Option<&str>) {
    for n in users {
        crate::patience::until(&format!("user {n} shows {activity:?}"), async || {
            let user = sandbox.user(n).await;
            let session = user["sessions"].as_array()?.first().cloned();
            let shows = session.map(|session| session["state"]["activity"].as_str().unwrap().to_owned());
            (shows.as_deref() == activity).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_group_is_set_and_unset_released_and_resumed_by_one_request_each() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (1..6).map(available));
    site.config.top = group("Desks", 1..4);
    site.write();
    let mut daemon = site.run();
    daemon.all_said("set", 5).await;

    let (code, out, err) =
        site.command(&["set", "@desks", "Away", "--for", "1h", "--reason", "a drill"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("group Desks, app contoso: 3 of 3 users Away/Away until "), "{out}");
    show(&sandbox, 1..4, Some("Away")).await;
    show(&sandbox, 4..6, Some("Available")).await;
    let one = site.json(&["status", "user 2"]).await;
    let session = &one["sessions"][0];
    assert_eq!((&session["groups"], &session["because"]), (&json!(["Desks"]), &json!("override:operator")));
    let history = site.json(&["history", "user 2"]).await;
    let record = &history["records"][0];
    assert_eq!((&record["action"], &record["group"]), (&json!("set"), &json!("Desks")));
    assert_eq!((&record["reason"], &record["before"]), (&json!("a drill"), &json!("Available/Available")));
    let (_, out, _) = site.command(&["history"]).await;
    assert_eq!(
        out.matches(" @Desks (contoso) operator: Available/Available -> Away/Away").count(),
        3,
        "{out}"
    );

    let (code, out, _) = site.command(&["status", "@Desks"]).await;
    assert_eq!(code, Some(0));
    assert!(out.starts_with("group Desks, app contoso: 3 users\n3 of 3 sessions held\n"), "{out}");
    assert!(out.contains("user 1") && !out.contains("user 4"), "{out}");

    let unset = site.json(&["unset", "@Desks"]).await;
    assert_eq!(
        (&unset["changed"], &unset["holds"], &unset["kept"]),
        (&json!(3), &json!({"config": 3}), &json!(true))
    );
    show(&sandbox, 1..4, Some("Available")).await;
    let again = site.command(&["unset", "@Desks"]).await.1;
    assert_eq!(again, "group Desks, app contoso: taken back for 0 of 3 users\n");

    let (_, out, _) = site.command(&["release", "@Desks"]).await;
    assert!(out.contains("released: 3 of 3 users; nothing is held until `presenced resume`"), "{out}");
    show(&sandbox, 1..4, None).await;
    let set = site.command(&["set", "@Desks", "Away"]).await.1;
    assert!(set.contains("; for 3 what holds is released"), "{set}");
    let (_, out, _) = site.command(&["resume", "@Desks"]).await;
    assert_eq!(out, "group Desks, app contoso: resumed: 3 of 3 users\n");
    show(&sandbox, 1..4, Some("Away")).await;
}

#[tokio::test]
async fn a_group_that_is_not_there_is_named_with_the_one_that_may_be_meant() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (1..3).map(available));
    site.config.top = format!("{}{}", group("desks", [1]), group("gates", [2]));
    site.write();
    let mut daemon = site.run();
    daemon.all_said("set", 2).await;
    for args in
        [&["set", "@desk", "Away"][..], &["unset", "@desk"], &["status", "@desk"], &["release", "@desk"]]
    {
        let (code, _, err) = site.command(args).await;
        let told = "error: no group of the config is called `desk`; did you mean `@desks`?\n";
        assert_eq!((code, err.as_str()), (Some(2), told), "{args:?}");
    }
    let (code, _, err) = site.command(&["resume", "@nobody"]).await;
    assert_eq!((code, err.as_str()), (Some(2), "error: no group of the config is called `nobody`\n"));
    assert_eq!(site.command(&["set", "desks", "Away"]).await.0, Some(2), "without the sign it is a user");
}

#[tokio::test]
async fn ten_thousand_members_are_set_in_seconds_and_renewals_go_on() {
    const MEMBERS: u32 = 10_000;
    let sandbox = Sandbox::start(&["--quota", "100000/30"]).await;
    let mut site = Site::new(&sandbox, []);
    let list = (0..MEMBERS).map(|n| format!("{},\n", id(n)));
    std::fs::write(site.path("crowd.csv"), format!("id,\n{}", list.collect::<String>())).unwrap();
    site.config.top =
        "[[group]]\nname = \"crowd\"\navailability = \"Available\"\nmembers_from = [{ file = \"crowd.csv\" }]\n".to_owned();
    site.config.app = "quota = { requests = 100000, per = \"30s\" }".to_owned();
    site.write();
    let daemon = site.run();
    sandbox.until("all set", |report| report["sets"] == MEMBERS).await;
    let began = Instant::now();
    let set = site.json(&["set", "@crowd", "Away", "--for", "1h"]).await;
    let took = began.elapsed();
    assert_eq!(
        (&set["changed"], &set["failed"], &set["kept"]),
        (&json!(MEMBERS), &json!(0), &json!(true)),
        "{set}"
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    let group = site.json(&["status", "@crowd"]).await;
    assert_eq!((&group["of"], group["members"].as_array().unwrap().len()), (&json!(MEMBERS), 10_000));
    assert!(daemon.events("lapsed").is_empty());
}

#[tokio::test]
async fn status_and_why_tell_which_schedule_holds_until_when_and_what_comes_next() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site =
        Site::new(&sandbox, [user(1, "availability = \"Away\"\nschedules = [\"always\", \"never\"]")]);
    // Open at all times but for five minutes in the week, and never in this century.
    site.config.top = format!(
        "{}[[schedule]]\nname = \"always\"\navailability = \"Available\"\nstart = \"*/5 * * * *\"\nduration = \"5m\"\n\
         except = [\"2099-01-01\"]\n[[schedule]]\nname = \"never\"\navailability = \"DoNotDisturb\"\npriority = 1\n\
         start = \"0 0 1 1 *\"\nduration = \"1m\"\n",
        group("desks", [1])
    );
    site.write();
    let mut daemon = site.run();
    daemon.event("set").await;

    let one = site.json(&["status", "user 1"]).await;
    let session = &one["sessions"][0];
    let (_, status, _) = site.command(&["status", "user 1"]).await;
    let (_, why, _) = site.command(&["why", "user 1"]).await;

    assert_eq!((&session["schedule"], &session["because"]), (&json!("always"), &json!("schedule:always")));
    assert_eq!(
        (&session["planned"], &session["then"]),
        (&json!("Available/Available"), &json!("DoNotDisturb/Presenting"))
    );
    let until = session["until"].as_str().unwrap();
    assert!(until.ends_with("-01-01T00:00:00Z"), "{until}");
    assert!(
        status.contains("  schedule      always until ") && status.contains(", then DoNotDisturb/Presenting"),
        "{status}"
    );
    assert!(status.contains("  groups        desks"), "{status}");
    for told in [
        "The user belongs to group `desks`.",
        "Outside of schedules it is what [[user]] at config.toml:",
        "Schedule `always` is open (UTC, ",
        &format!("From {until} on the config wants DoNotDisturb/Presenting, by schedule `never`."),
    ] {
        assert!(why.contains(told), "{told}: {why}");
    }
    let plan: Value = site.json(&["plan", "user 1", "--at", "2099-01-01T12:00:00Z", "--for", "1m"]).await;
    assert_eq!(plan["sessions"][0]["spells"][0]["schedule"], "never", "{plan}");
}
