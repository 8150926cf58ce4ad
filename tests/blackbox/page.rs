//! The status page: what it serves, to whom, and what it does not let out.

use reqwest::Method;
use serde_json::json;

use crate::patience::until;
use crate::sandbox::{Sandbox, http};
use crate::site::{Site, User, available, id, user};

/// The page of a site, once it is served.
struct Page(String);

impl Page {
    /// Has it served from the next start on, with users as `[log] users` says.
    fn on(site: &mut Site, users: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // What stands before the sections may have sections of its own.
        site.config.top = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n[log]\nusers = \"{users}\"\n");
        site.write();
        Self(format!("http://127.0.0.1:{port}"))
    }

    async fn ask(&self, method: Method, path: &str) -> reqwest::Response {
        until("the page answers", async || {
            http().request(method.clone(), format!("{}{path}", self.0)).send().await.ok()
        })
        .await
    }

    async fn get(&self, query: &str) -> String {
        let answer = self.ask(Method::GET, &format!("/{query}")).await;
        assert_eq!(answer.status(), 200, "{query}");
        String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap()
    }

    /// The page, once it has something.
    async fn until(&self, query: &str, what: &str) -> String {
        until(what, async || Some(self.get(query).await).filter(|text| text.contains(what))).await
    }

    /// Whose sessions it lists, in its order.
    async fn who(&self, query: &str) -> Vec<String> {
        who(&self.get(query).await)
    }
}

fn who(page: &str) -> Vec<String> {
    let list = page.split("id=\"list\"").nth(1).unwrap().split("id=\"overrides\"").next().unwrap();
    let cells = list.split("<td class=\"who\" role=\"cell\"><strong").skip(1);
    cells.map(|cell| cell.split_once('>').unwrap().1.split("</strong>").next().unwrap().to_owned()).collect()
}

/// User number `n`, with another name besides.
fn called(n: u32, alias: &str) -> User {
    user(n, &format!("availability = \"Available\"\naliases = [\"{alias}\"]"))
}

#[tokio::test]
async fn every_answer_forbids_what_the_page_does_not_need() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    let page = Page::on(&mut site, "id");
    let _daemon = site.run();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/?q=%3Cscript%3E&state=%00&from=99999999999&app=%F0%9F%98%80", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = page.ask(Method::GET, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-type").as_deref(), Some(kind), "{path}");
        let policy = header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(header("set-cookie"), None);
        assert_eq!(header("access-control-allow-origin"), None);
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        assert_eq!(page.ask(method.clone(), "/").await.status(), 405, "{method}");
    }
    let html = page.get("").await;
    for elsewhere in ["http://", "https://", "src=\"//", " style=", " onclick", "<style"] {
        assert!(!html.contains(elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn sessions_are_listed_a_page_at_a_time_the_worst_first() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(json!({"users": {id(40): {"status": 404}, id(57): {"status": 404}}})).await;
    let mut site = Site::new(&sandbox, (1..61).map(available));
    let page = Page::on(&mut site, "id");
    let mut daemon = site.run();
    daemon.all_said("set", 58).await;
    daemon.all_said("parked", 2).await;
    page.until("", "2 of 60 sessions refused by Graph").await;

    let first = page.get("").await;
    assert!(first.contains(">1 to 25 of 60<") && first.contains("?from=25#sessions"), "{first}");
    let mut listed = who(&first);
    let mut worst = listed[..2].to_vec();
    worst.sort();
    assert_eq!(worst, [id(40), id(57)]);
    assert_eq!(listed[2..4], [id(1), id(2)], "then the others in their order");
    listed.extend(page.who("?from=25").await);
    let last = page.get("?from=50").await;
    assert!(last.contains(">51 to 60 of 60<") && !last.contains("rel=\"next\""), "{last}");
    listed.extend(who(&last));
    listed.sort();
    assert_eq!(listed, (1..61).map(id).collect::<Vec<_>>(), "each once");
    assert!(page.get("?from=1000").await.contains("There are no more than 60."));

    assert_eq!(page.who("?state=parked").await, worst);
    assert_eq!(page.who("?state=wrong").await, worst);
    assert_eq!(page.who("?state=held").await.len(), 25);
    assert_eq!(page.who("?state=held&from=50").await.len(), 9, "they go on where the last page ended");
    assert_eq!(page.who("?state=lapsed").await, [""; 0]);
    assert_eq!(page.who("?state=parked&q=39").await, [id(57)], "0x39 is 57");
    site.json(&["set", "user 7", "Away", "--for", "1h", "--reason", "lunch & <b>more</b>"]).await;
    let overridden = page.get("?state=overridden").await;
    assert_eq!(who(&overridden), [id(7)]);
    assert!(overridden.contains("lunch &amp; &lt;b&gt;more&lt;/b&gt;"), "{overridden}");
    let good = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&good.replacen("Available", "Availble", 1));
    assert_eq!(site.command(&["reload"]).await.0, Some(78));
    page.until("", " was refused</h2>").await;
}

#[tokio::test]
async fn what_people_are_called_is_text_whatever_it_is() {
    let sandbox = Sandbox::start(&[]).await;
    let evil = "<script>alert(1)</script>";
    let mut site = Site::new(&sandbox, [available(1)]);
    site.config.users.clear();
    let page = Page::on(&mut site, "name");
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    let names = [evil, "\" onmouseover=\"x", "</title><b>"];
    let users: Vec<String> = (1..)
        .zip(names)
        .map(|(n, name)| format!("[[user]]\nid = \"{}\"\nname = '{name}'\navailability = \"Away\"\n", id(n)))
        .collect();
    site.write_text(&format!("{text}\n{}", users.concat()));
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;
    for query in ["", "?q=%3Cscript%3E", "?q=%22%20onmouseover"] {
        let html = page.until(query, "role=\"cell\"").await;
        assert!(
            !html.contains("<script>") && !html.contains("onmouseover=\"x") && !html.contains("<b>"),
            "{html}"
        );
        assert_eq!(html.matches("<script").count(), 1, "its own");
    }
    assert_eq!(page.who("?q=%3CSCRIPT%3E").await, ["&lt;script&gt;alert(1)&lt;/script&gt;"]);
}

#[tokio::test]
async fn nobody_is_shown_or_found_otherwise_than_as_log_users_says() {
    let hash = |n: u32| {
        use sha2::{Digest, Sha256};
        let bytes = uuid::Uuid::parse_str(&id(n)).unwrap();
        Sha256::digest(bytes.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let sandbox = Sandbox::start(&[]).await;
    for (users, shown, found, unfound) in [
        ("id", id(2), vec!["user%202", "NIGHT%20PORTER", "000000000002"], vec!["user", "porter"]),
        ("name", "user 2".to_owned(), vec!["USER%202", "porter", "000000000002"], vec!["user%209"]),
        ("hash", hash(2), vec![], vec!["user%202", "night%20porter", "000000000002", "user"]),
    ] {
        let mut site = Site::new(&sandbox, [available(1), called(2, "Night porter"), available(3)]);
        let page = Page::on(&mut site, users);
        let mut daemon = site.run();
        daemon.event("set").await;
        site.json(&["set", "user 2", "Away", "--for", "1h"]).await;
        for word in found.into_iter().map(str::to_owned).chain([hash(2), id(2)]) {
            if word == hash(2) && users != "hash" {
                continue;
            }
            assert_eq!(page.who(&format!("?q={word}")).await, [shown.as_str()], "{users}: {word}");
        }
        for word in unfound {
            assert_eq!(page.who(&format!("?q={word}")).await, [""; 0], "{users}: {word}");
        }
        let html = page.get("").await;
        assert_eq!(html.contains("user 2"), users == "name", "{users}: names");
        assert_eq!(html.contains(&id(2)), users == "id", "{users}: ids");
        assert!(!html.contains("orter"), "aliases are shown to nobody");
    }
}
