//! A user's refresh token, which may be good only once: each is on disk, or in mind, before its access token is used.

use super::ways::{Site, class, granted, login, value, with_refresh_token};
use super::*;
use crate::daemon::token::{Class, Unwritten, signed_in};

impl Site {
    /// A fetch that goes on from the one before; and the refresh token that it used.
    async fn fetch_on(&mut self, unwritten: Option<Unwritten>) -> (TokenReply, String) {
        let source = self.source();
        let reply = tokio::time::timeout(LONG, source.fetch(LONG, WALL, None, unwritten)).await.unwrap().1;
        let shown = format!("{reply:?}");
        assert!(!shown.contains("c4nary") && !shown.contains("canary"), "a secret shows: {shown}");
        (reply, value(&self.form().await, "refresh_token").unwrap().to_owned())
    }

    /// Nothing can be written to the directory of sign-ins: no rights would stop root.
    fn block_writing(&self) {
        std::fs::create_dir(self.dir.path().join("login/.contoso.json")).unwrap();
    }

    fn free_writing(&self) {
        std::fs::remove_dir(self.dir.path().join("login/.contoso.json")).unwrap();
    }
}

#[tokio::test]
async fn each_refresh_token_is_on_disk_before_its_access_token_is_used() {
    let scripts = vec![with_refresh_token("r2-c4nary"), with_refresh_token("r3-c4nary"), granted()];
    let mut site = Site::new(login, scripts).await;
    site.signed_in("r1-c4nary");
    let before = site.source().fingerprint();
    for (used, kept) in [("r1-c4nary", "r2-c4nary"), ("r2-c4nary", "r3-c4nary"), ("r3-c4nary", "r3-c4nary")] {
        assert!(site.fetch(None).await.token.is_some());
        let form = site.form().await;
        assert_eq!(
            (value(&form, "grant_type"), value(&form, "refresh_token")),
            (Some("refresh_token"), Some(used))
        );
        assert!(value(&form, "scope").unwrap().ends_with("/Presence.ReadWrite offline_access openid"));
        assert_eq!(site.kept(), kept);
    }
    assert_eq!(site.source().fingerprint(), before, "the sign-in is the same");
    site.signed_in("r9");
    assert_ne!(site.source().fingerprint(), before, "somebody has signed in anew");
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_written_is_used_all_the_same_and_written_later() {
    let scripts = ["r2-c4nary", "r3-c4nary", "r4-c4nary"].map(with_refresh_token);
    let mut site = Site::new(login, scripts.into()).await;
    site.signed_in("r1-c4nary");
    site.block_writing();
    let (reply, used) = site.fetch_on(None).await;
    assert!(reply.token.is_some() && reply.detail.is_none(), "the access token is good: {reply:?}");
    assert_eq!((used.as_str(), site.kept().as_str()), ("r1-c4nary", "r1-c4nary"));
    let why = reply.unwritten.as_ref().unwrap().why().to_owned();
    assert!(why.contains("directory"), "{why}");

    let (reply, used) = site.fetch_on(reply.unwritten).await;
    assert!(reply.token.is_some(), "{reply:?}");
    assert_eq!((used.as_str(), site.kept().as_str()), ("r2-c4nary", "r1-c4nary"), "from memory");

    site.free_writing();
    let (reply, used) = site.fetch_on(reply.unwritten).await;
    assert!(reply.token.is_some() && reply.unwritten.is_none(), "{reply:?}");
    assert_eq!((used.as_str(), site.kept().as_str()), ("r3-c4nary", "r4-c4nary"));
}

#[tokio::test]
async fn what_could_not_be_written_is_written_though_the_authority_is_down_and_kept_in_mind_until_then() {
    let scripts = vec![with_refresh_token("r2"), Script::answer(503, "", ""), Script::answer(503, "", "")];
    let mut site = Site::new(login, scripts).await;
    site.signed_in("r1");
    site.block_writing();
    let unwritten = site.fetch_on(None).await.0.unwritten;
    let (reply, used) = site.fetch_on(unwritten).await;
    assert_eq!((class(&reply), used.as_str()), (Class::Again, "r2"));
    assert!(reply.unwritten.is_some(), "it is in mind still");
    let (source, unwritten) = (site.source(), reply.unwritten.clone().unwrap());
    site.free_writing();
    let (reply, _) = site.fetch_on(reply.unwritten).await;
    assert!(reply.unwritten.is_none(), "{reply:?}");
    assert_eq!(site.kept(), "r2");
    // Late, and of no consequence.
    site.signed_in("r9");
    source.write(&unwritten).unwrap();
    assert_eq!(site.kept(), "r9");
}

#[tokio::test]
async fn a_disk_that_hangs_when_it_is_written_to_costs_neither_token() {
    let scripts = ["r2-c4nary", "r3-c4nary"].map(with_refresh_token);
    let mut site = Site::new(login, scripts.into()).await;
    site.signed_in("r1-c4nary");
    // Whoever writes waits for this lock; reading goes on.
    let directory = std::fs::File::open(site.dir.path().join("login")).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let source = site.source();
    let (_, reply) = source.fetch(LONG / 40, WALL, None, None).await;
    assert!(reply.token.is_some() && reply.detail.is_none(), "{reply:?}");
    assert_eq!(reply.unwritten.as_ref().unwrap().why(), "the disk hangs");
    assert_eq!(site.kept(), "r1-c4nary");
    assert!(signed_in::try_lock(&site.sign_in()).unwrap().is_none(), "nobody uses what is on disk meanwhile");
    site.form().await;
    drop(directory);
    let (reply, used) = site.fetch_on(reply.unwritten).await;
    assert!(reply.token.is_some() && reply.unwritten.is_none(), "{reply:?}");
    assert_eq!((used.as_str(), site.kept().as_str()), ("r2-c4nary", "r3-c4nary"));
}

#[tokio::test]
async fn who_signs_in_anew_is_asked_with_and_not_with_what_was_not_written() {
    let mut site = Site::new(login, vec![with_refresh_token("r2"), with_refresh_token("r10")]).await;
    site.signed_in("r1");
    site.block_writing();
    let unwritten = site.fetch_on(None).await.0.unwritten;
    site.free_writing();
    site.signed_in("r9");
    let (reply, used) = site.fetch_on(unwritten.clone()).await;
    assert_eq!((used.as_str(), site.kept().as_str(), reply.unwritten.is_none()), ("r9", "r10", true));
    std::fs::remove_file(site.sign_in()).unwrap();
    let source = site.source();
    let (_, reply) = source.fetch(LONG, WALL, None, unwritten).await;
    assert_eq!(
        (class(&reply), reply.unwritten.is_none()),
        (Class::SignIn, true),
        "who has been signed out stays so"
    );
}

#[tokio::test]
async fn a_refresh_token_is_used_by_one_at_a_time() {
    let mut site = Site::new(login, vec![with_refresh_token("r2")]).await;
    site.signed_in("r1");
    let other = signed_in::try_lock(&site.sign_in()).unwrap().expect("nobody has it");
    let source = site.source();
    let (tried, reply) = source.fetch(LONG / 40, WALL, None, None).await;
    assert_eq!((class(&reply), tried), (Class::Again, source.fingerprint()), "it is the same credential");
    assert!(reply.detail.unwrap().meaning.contains("another process uses the sign-in"));
    assert!(site.server.is_idle(), "a refresh token is used twice");
    let (fetched, ()) = tokio::join!(site.fetch(None), async {
        tokio::task::yield_now().await;
        drop(other);
    });
    assert!(fetched.token.is_some(), "as soon as it is free");
    site.form().await;
    assert!(signed_in::try_lock(&site.sign_in()).unwrap().is_some(), "it is given back");
}

#[tokio::test]
async fn another_user_than_that_of_the_config_is_told_before_graph_refuses() {
    let mut site = Site::new(login, vec![granted()]).await;
    site.signed_in("r1");
    site.app.user = Some("11111111-1111-4111-8111-111111111111".parse().unwrap());
    let reply = site.fetch(None).await;
    assert_eq!((class(&reply), reply.answer), (Class::Fix, failed(TokenFailure::Rejected, None)));
    let detail = reply.detail.unwrap();
    assert!(detail.meaning.contains("another user has signed in"), "{detail:?}");
    assert!(detail.advice.contains("`presenced login contoso`"), "{detail:?}");
    assert!(site.server.is_idle(), "a request for nothing");
    site.app.user = Some("fa8bf3dc-eca7-46b7-bad1-db199b62afc3".parse().unwrap());
    assert!(site.fetch(None).await.token.is_some());
}

#[tokio::test]
async fn who_has_not_signed_in_or_not_for_this_app_is_told_to() {
    let mut site = Site::new(login, vec![granted()]).await;
    std::fs::create_dir(site.dir.path().join("login")).unwrap();
    let told = |reply: TokenReply| {
        assert_eq!((class(&reply), reply.answer), (Class::SignIn, failed(TokenFailure::Rejected, None)));
        let detail = reply.detail.unwrap();
        assert!(detail.advice.ends_with("`presenced login contoso`"), "{detail:?}");
        detail.meaning
    };
    assert_eq!(told(site.fetch(None).await), "nobody has signed in for this app");
    site.signed_in("r1-c4nary");
    site.app.tenant = "11111111-1111-4111-8111-111111111111".parse().unwrap();
    assert!(told(site.fetch(None).await).contains("another tenant or app"));
    site.write("login/contoso.json", "{\"refresh_token\":\"c4nary\"}");
    assert!(told(site.fetch(None).await).contains("damaged"));
    assert!(site.server.is_idle(), "a request without a proof");
}
