use std::path::PathBuf;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use super::*;
use crate::config::settings::Credential;
use crate::daemon::network::testing::{app, direct};
use crate::keeper::TokenFailure;

const PLACE: LaneIx = LaneIx(0);
const GRANTED: TokenAnswer =
    TokenAnswer::Granted { lifetime: std::time::Duration::from_secs(3_600), refresh_in: None };

fn refused(failure: TokenFailure) -> TokenAnswer {
    TokenAnswer::Failed { failure, retry_after: None }
}

/// One open lane, and where its credential is.
struct Bench {
    lanes: Lanes,
    app: App,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(credential: fn(PathBuf) -> Credential) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credential");
        let mut app = app("http://127.0.0.1:9", credential(path.clone()));
        app.secret_expires = Some("2027-03-01".parse().unwrap());
        let mut lanes = Lanes::new(ways_for(std::iter::once(&app), &direct()).unwrap());
        lanes.open(PLACE, app.lane());
        Self { lanes, app, path, _dir: dir }
    }

    fn source(&self) -> Arc<TokenSource> {
        self.lanes.tokens(PLACE).unwrap().0
    }

    /// The credential is this now.
    fn write(&self, text: &str) -> Option<Fingerprint> {
        std::fs::write(&self.path, text).unwrap();
        self.source().fingerprint()
    }

    fn fetched(&mut self, generation: u32, answer: TokenAnswer) {
        let credential = self.source().fingerprint();
        let token = matches!(answer, TokenAnswer::Granted { .. })
            .then(|| (Generation(generation), AccessToken::bearer("x").unwrap()));
        self.lanes.fetched(PLACE, credential, answer, token);
    }

    fn looked_at(&mut self) -> bool {
        let source = self.source();
        self.lanes.looked_at(PLACE, &source, source.fingerprint())
    }

    fn claims(&self) -> Option<Claims> {
        self.lanes.tokens(PLACE).unwrap().1
    }

    /// The config has another end of the secret.
    fn reload(&mut self, day: &str) {
        self.app.secret_expires = Some(day.parse().unwrap());
        let sources = crate::config::example::sources("/c.toml");
        let mut settings =
            crate::config::load_sources(sources, crate::config::Look::TextsAlone).unwrap().settings;
        settings.apps = vec![self.app.clone()];
        self.lanes.take(&settings, Ways::new());
    }
}

fn challenge(json: &str) -> Claims {
    use base64::Engine as _;
    let claims = base64::engine::general_purpose::STANDARD.encode(json);
    let mut headers = HeaderMap::new();
    let value = format!("Bearer error=\"insufficient_claims\", claims=\"{claims}\"");
    headers.insert(WWW_AUTHENTICATE, value.parse().unwrap());
    Claims::asked_for(&headers).unwrap()
}

#[test]
fn a_secret_that_changes_is_tried_and_a_token_that_is_renewed_only_after_a_refusal() {
    for (credential, first, second, tried) in [
        (Credential::SecretFile as fn(PathBuf) -> Credential, "one", "two", true),
        (Credential::FederatedTokenFile, "a.a.a", "b.b.b", false),
    ] {
        let mut bench = Bench::new(credential);
        bench.write(first);
        bench.fetched(1, GRANTED);
        assert!(!bench.looked_at(), "it is the same");
        bench.write(second);
        assert_eq!(bench.looked_at(), tried);
        assert!(!bench.looked_at(), "told once");
        bench.fetched(2, refused(TokenFailure::Unreachable));
        bench.write(first);
        assert_eq!(bench.looked_at(), tried, "nobody has said no");
        bench.fetched(2, refused(TokenFailure::Rejected));
        assert!(!bench.looked_at());
        bench.write(second);
        assert!(bench.looked_at(), "a refused one");
    }
}

#[test]
fn a_sign_in_that_is_in_memory_alone_is_not_looked_for_on_disk() {
    let mut bench = Bench::new(Credential::SignedIn);
    let source = bench.source();
    let credential = Bench::new(Credential::SecretFile).write("one");
    bench.lanes.fetched(PLACE, credential, GRANTED, None);
    assert!(
        !bench.lanes.remember(PLACE, Some(Unwritten::of(credential.unwrap()))),
        "there was nothing before"
    );
    for _ in 0..3 {
        assert!(
            !bench.lanes.looked_at(PLACE, &source, None),
            "a fetch each time would spend one token after the other"
        );
    }
    assert!(bench.lanes.unwritten(PLACE).is_some() && bench.lanes.all_unwritten().len() == 1);
    assert!(bench.lanes.remember(PLACE, None), "there was something");
    assert!(bench.lanes.looked_at(PLACE, &source, None), "it is gone");
}

#[test]
fn claims_are_asked_for_until_somebody_answers_and_then_no_more() {
    let mut bench = Bench::new(Credential::SecretFile);
    bench.write("one");
    bench.fetched(1, GRANTED);
    bench.lanes.challenged(PLACE, Generation(1), challenge(r#"{"a":1}"#));
    assert_eq!(bench.claims(), Some(challenge(r#"{"a":1}"#)));
    bench.fetched(2, refused(TokenFailure::Unreachable));
    assert!(bench.claims().is_some(), "nobody has answered");
    bench.fetched(2, GRANTED);
    assert_eq!(bench.claims(), None);
    bench.lanes.challenged(PLACE, Generation(1), challenge(r#"{"a":1}"#));
    assert_eq!(bench.claims(), None, "an answer to the token before");
    bench.lanes.challenged(PLACE, Generation(2), challenge(r#"{"b":1}"#));
    bench.fetched(3, refused(TokenFailure::Rejected));
    assert_eq!(bench.claims(), None, "the authority does not give such a token");
}

#[test]
fn a_new_secret_with_the_end_of_the_old_one_is_told_once_when_it_has_given_two_tokens() {
    let mut bench = Bench::new(Credential::SecretFile);
    bench.write("one");
    bench.fetched(1, GRANTED);
    assert_eq!(bench.lanes.outdated(PLACE), None);
    bench.write("two");
    assert!(bench.looked_at());
    assert_eq!(bench.lanes.outdated(PLACE), None, "whoever has put it there may be writing the end");
    bench.fetched(2, GRANTED);
    assert_eq!(bench.lanes.outdated(PLACE), None);
    bench.fetched(3, refused(TokenFailure::Unreachable));
    assert_eq!(bench.lanes.outdated(PLACE), None);
    bench.fetched(3, GRANTED);
    assert_eq!(bench.lanes.outdated(PLACE), Some("2027-03-01".parse().unwrap()));
    bench.fetched(4, GRANTED);
    assert_eq!(bench.lanes.outdated(PLACE), None, "told once");
    bench.reload("2028-03-01");
    bench.fetched(5, GRANTED);
    assert_eq!(bench.lanes.outdated(PLACE), None, "the config has caught up");
    bench.write("three");
    bench.fetched(6, GRANTED);
    assert_eq!(bench.lanes.outdated(PLACE), None);
    bench.fetched(7, GRANTED);
    assert_eq!(bench.lanes.outdated(PLACE), Some("2028-03-01".parse().unwrap()), "noticed by a fetch");
    let mut other = Bench::new(Credential::FederatedTokenFile);
    for token in ["a.a.a", "b.b.b"] {
        other.write(token);
        for generation in 1..4 {
            other.fetched(generation, GRANTED);
            assert_eq!(other.lanes.outdated(PLACE), None, "its end is not the config's to tell");
        }
    }
}

#[test]
fn a_secret_whose_end_is_told_before_or_soon_after_it_is_not_outdated() {
    let mut bench = Bench::new(Credential::SecretFile);
    bench.write("one");
    bench.fetched(1, GRANTED);
    let mut generation = 1;
    let mut tokens = |bench: &mut Bench, times: u32| {
        for _ in 0..times {
            generation += 1;
            bench.fetched(generation, GRANTED);
            assert_eq!(bench.lanes.outdated(PLACE), None, "token {generation}");
        }
    };
    // The secret first, and its end by a later reload.
    bench.write("two");
    assert!(bench.looked_at());
    assert_eq!(bench.lanes.outdated(PLACE), None);
    tokens(&mut bench, 1);
    bench.reload("2028-03-01");
    tokens(&mut bench, 3);
    // The end first, tokens by the old secret in between, and the secret then.
    bench.reload("2029-03-01");
    tokens(&mut bench, 3);
    bench.write("three");
    assert!(bench.looked_at());
    assert_eq!(bench.lanes.outdated(PLACE), None);
    tokens(&mut bench, 3);
    // Both at once.
    bench.write("four");
    bench.reload("2030-03-01");
    tokens(&mut bench, 3);
}

#[test]
fn an_app_that_wants_challenges_or_acts_for_another_user_has_another_way() {
    let bench = Bench::new(Credential::SecretFile);
    let sources = crate::config::example::sources("/c.toml");
    let mut before = crate::config::load_sources(sources, crate::config::Look::TextsAlone).unwrap().settings;
    before.apps = vec![bench.app.clone()];
    let mut after = before.clone();
    assert!(new_ways(&after, Some(&before)).unwrap().is_empty());
    after.apps[0].secret_expires = None;
    assert!(new_ways(&after, Some(&before)).unwrap().is_empty());
    after.apps[0].cae = true;
    assert_eq!(new_ways(&after, Some(&before)).unwrap().len(), 1);
    before.apps[0].cae = true;
    assert!(new_ways(&after, Some(&before)).unwrap().is_empty());
    after.apps[0].user = Some("fa8bf3dc-eca7-46b7-bad1-db199b62afc3".parse().unwrap());
    assert_eq!(new_ways(&after, Some(&before)).unwrap().len(), 1, "who has signed in may be another");
}
