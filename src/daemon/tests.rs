//! Whatever holds a secret prints none, neither by itself nor in the message of a panic that carries it.

use std::fmt::{Debug, Display};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use reqwest::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};

use super::clock::Clock;
use super::doctor::Doctor;
use super::graph::{Ask, GraphClient};
use super::lanes::{Lanes, ways_for};
use super::network::testing::{LONG, Script, Server, app, direct};
use super::reload::{self, ConfigFile};
use super::token::device_code::DeviceCode;
use super::token::{AccessToken, Claims, SignIn, TokenSource, store};
use crate::config::certificate;
use crate::config::settings::{App, CertificateFiles, Credential, Network, Proxy};
use crate::config::{self, Look, Sources};
use crate::keeper::id::{Generation, LaneIx};
use crate::keeper::{Call, Plan, TokenAnswer};

const CANARY: &str = "c4nary-Zk9Q-8sTr";
const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";

/// What a type may be printed as.
struct Prints {
    secrets: Vec<String>,
    tried: usize,
}

impl Prints {
    /// What the log is told of a panic, as [`super::logging`] has it told: the payload, and where. Panics of other tests
    /// at the same time are not listened to.
    fn of_panic(body: impl FnOnce()) -> String {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let told = Arc::new(Mutex::new(String::new()));
        let (to, this) = (Arc::clone(&told), thread::current().id());
        let before = Arc::new(panic::take_hook());
        let others = Arc::clone(&before);
        panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == this {
                let place = panic.location().map(ToString::to_string);
                *to.lock().unwrap() = format!("{panic}\n{:?} {place:?}", panic.payload_as_str());
            } else {
                others(panic);
            }
        }));
        let ended = panic::catch_unwind(AssertUnwindSafe(body));
        panic::set_hook(Box::new(move |panic| before(panic)));
        let payload = ended.expect_err("it panics");
        let told = told.lock().unwrap();
        format!("{told}{:?}", payload.downcast_ref::<String>())
    }

    fn search(&mut self, printed: &str, what: &str) {
        assert!(!printed.is_empty(), "{what}");
        for secret in &self.secrets {
            assert!(!printed.contains(secret), "{what} shows {secret}: {printed}");
        }
        self.tried += 1;
    }

    /// Prints it in both ways of `Debug`, and lets it be what an `unwrap` did not expect.
    fn debug<T: Debug>(&mut self, value: T) {
        let what = std::any::type_name::<T>();
        self.search(&format!("{value:?}\n{value:#?}"), what);
        let message = Self::of_panic(|| unwrapped(Err(value)));
        assert!(message.contains("called `Result::unwrap()`"), "{what}: {message}");
        self.search(&message, what);
    }

    /// The same for what people are told.
    fn display<T: Debug + Display>(&mut self, value: T) {
        self.search(&value.to_string(), std::any::type_name::<T>());
        self.debug(value);
    }
}

fn unwrapped<T: Debug>(outcome: Result<(), T>) {
    outcome.unwrap();
}

fn secret_file(dir: &Path) -> Credential {
    let path = dir.join("contoso.secret");
    std::fs::write(&path, CANARY).unwrap();
    Credential::SecretFile(path)
}

fn sign_in(app: &App) -> SignIn {
    SignIn {
        id: uuid::Uuid::from_u128(7),
        tenant: app.tenant,
        client: app.client_id,
        user: USER.parse().unwrap(),
        refresh_token: CANARY.into(),
    }
}

fn challenge() -> Claims {
    use base64::Engine as _;
    let claims = format!("{{\"access_token\":{{\"nbf\":\"{CANARY}\"}}}}");
    let claims = base64::engine::general_purpose::STANDARD.encode(claims);
    let mut headers = HeaderMap::new();
    let value = format!("Bearer error=\"insufficient_claims\", claims=\"{claims}\"");
    headers.insert(WWW_AUTHENTICATE, value.parse().unwrap());
    Claims::asked_for(&headers).unwrap()
}

/// A config with a password where one may stand.
fn config(dir: &Path) -> String {
    let text = config::example::TEXT;
    let network = format!("[network]\nproxy = \"http://user:{CANARY}@proxy.example:3128\"");
    let text = text.replacen("[network]", &network, 1).replace("proxy = \"none\"", "");
    text.replace("/var/lib/presenced", dir.to_str().unwrap())
}

fn certificate(dir: &Path, prints: &mut Prints) {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key = rcgen::KeyPair::try_from(der.as_ref()).unwrap();
    let made = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let files = CertificateFiles { certificate: dir.join("app.pem"), key: None };
    std::fs::write(&files.certificate, format!("{}{}", made.pem(), key.serialize_pem())).unwrap();
    let read = certificate::read(&files).unwrap();
    let lines = read.key_pem().expose_secret().lines().filter(|line| !line.starts_with('-'));
    prints.secrets.extend(lines.filter(|line| line.len() > 20).map(str::to_owned));
    prints.debug(read);
    // Of a key that is no certificate, and of half a key, nothing is said either.
    for text in
        [key.serialize_pem(), key.serialize_pem()[..800].to_owned(), format!("{}{CANARY}", made.pem())]
    {
        std::fs::write(&files.certificate, text).unwrap();
        prints.display(certificate::read(&files).unwrap_err());
    }
}

#[tokio::test]
async fn nothing_that_holds_a_secret_shows_it_by_itself_or_in_a_panic() {
    let mut prints = Prints { secrets: vec![CANARY.to_owned()], tried: 0 };
    let dir = tempfile::tempdir().unwrap();
    let said = Prints::of_panic(|| panic!("{CANARY}"));
    assert!(said.contains(CANARY), "what is not hidden is found: {said}");

    certificate(dir.path(), &mut prints);
    prints.debug(SecretString::from(CANARY));
    let token = || AccessToken::bearer(CANARY).unwrap();
    prints.debug(token());
    prints.debug(token().authorization().clone());
    prints.debug(HeaderMap::from_iter([(AUTHORIZATION, token().authorization().clone())]));
    prints.debug(challenge());

    // A token from an endpoint, and errors of one that gives back what it was sent.
    let granted = format!("{{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"{CANARY}\"}}");
    let echo = format!("{{\"error\":\"{CANARY}\",\"error_description\":\"AADSTS1: {CANARY}\"}}");
    for script in [Script::answer(200, "", &granted), Script::answer(400, "", &echo), Script::cut(&granted)] {
        let server = Server::plain(vec![script]).await;
        let source = TokenSource::new(&app(&server.url("http"), secret_file(dir.path())), &direct()).unwrap();
        let (tried, reply) = source.fetch(LONG, SystemTime::UNIX_EPOCH, Some(&challenge()), None).await;
        prints.debug((source, tried, reply));
    }
    // Graph, which does the same.
    let server = Server::plain(vec![Script::answer(403, "", &echo)]).await;
    let client = GraphClient::new(&app(&server.url("http"), secret_file(dir.path())), &direct()).unwrap();
    let ask = Ask { user: USER.parse().unwrap(), call: Call::Clear };
    prints.debug(client.call(ask, &token(), LONG, SystemTime::UNIX_EPOCH).await);
    prints.debug(client);

    // A lane that has its token, and what made it.
    let app = app("http://127.0.0.1:9", secret_file(dir.path()));
    let ways = ways_for(std::iter::once(&app), &direct()).unwrap();
    prints.debug(ways.clone());
    let mut lanes = Lanes::new(ways);
    lanes.open(LaneIx(0), app.lane());
    let answer = TokenAnswer::Granted { lifetime: LONG, refresh_in: None };
    lanes.fetched(LaneIx(0), None, answer, Some((Generation(1), token())));
    lanes.challenged(LaneIx(0), Generation(1), challenge());
    prints.debug(lanes.tokens(LaneIx(0)));
    prints.debug(lanes.call(LaneIx(0), Generation(1)));
    prints.debug(lanes);

    signing_in(dir.path(), &app, &mut prints).await;
    with_a_proxys_password(dir.path(), &app, &mut prints);
    assert!(prints.tried > 50, "{}", prints.tried);
}

async fn signing_in(dir: &Path, app: &App, prints: &mut Prints) {
    let path = dir.join("login/contoso.json");
    store(&path, &sign_in(app)).unwrap();
    prints.debug(SignIn::read(&path).unwrap());
    std::fs::write(&path, format!("{{\"refresh_token\":\"{CANARY}\"")).unwrap();
    prints.display(SignIn::read(&path).unwrap_err());

    let begun = format!(
        "{{\"device_code\":\"{CANARY}\",\"user_code\":\"ABC\",\"verification_uri\":\"https://login.example/d\",\
         \"interval\":1}}"
    );
    let granted =
        format!("{{\"access_token\":\"{CANARY}\",\"refresh_token\":\"{CANARY}\",\"id_token\":\"{CANARY}\"}}");
    let server =
        Server::plain(vec![Script::answer(200, "", &begun), Script::answer(200, "", &granted)]).await;
    let mut app = super::network::testing::app(&server.url("http"), Credential::SignedIn(path));
    app.name = "contoso".into();
    let code = DeviceCode::begin(&app, &direct(), &Clock::real()).await.unwrap();
    prints.search(&format!("{code:?}"), "DeviceCode");
    prints.display(code.finish(&Clock::real()).await.unwrap_err());
}

fn with_a_proxys_password(dir: &Path, app: &App, prints: &mut Prints) {
    let password = format!("http://user:{CANARY}@proxy.example:3128").parse().unwrap();
    let network = Network { proxy: Proxy::Url(password), ca_file: None };
    let elsewhere = super::network::testing::app("https://login.example", app.credential.clone());
    prints.debug(GraphClient::new(&elsewhere, &network).unwrap());
    prints.debug(TokenSource::new(&elsewhere, &network).unwrap());
    prints.debug(Doctor::new([&elsewhere], &Plan::default(), &Default::default(), &network).unwrap());
    prints.debug(network);
    let other = format!("socks5://user:{CANARY}@proxy.example").parse().unwrap();
    let network = Network { proxy: Proxy::Url(other), ca_file: None };
    prints.display(GraphClient::new(&elsewhere, &network).unwrap_err());

    let (phones, list) = config::example::PHONES;
    let sources = || Sources::new(dir.join("config.toml"), config(dir)).with(dir.join(phones), list);
    assert!(sources().iter().any(|(_, text)| text.contains(CANARY)));
    prints.debug(sources());
    let loaded = || config::load_sources(sources(), Look::TextsAlone).unwrap();
    prints.debug(loaded().settings);
    prints.debug(loaded());
    let before = reload::Before::Ledger(&Plan::default());
    prints.debug(reload::prepare(loaded(), before, &Clock::real(), false).unwrap());
    let wrong = Sources::new("c.toml", format!("[[app]]\nclient_secret = \"{CANARY}\"\n"));
    prints.debug(config::load_sources(wrong, Look::TextsAlone).unwrap_err());
    std::fs::write(dir.join("bad.toml"), format!("[network]\nproxy = \"socks5://u:{CANARY}@x\"\n")).unwrap();
    let file = ConfigFile {
        path: dir.join("bad.toml"),
        state_dir: None,
        loopback_only: false,
        seen: Default::default(),
    };
    prints.debug(reload::Refused::from(&file.load(&Default::default()).unwrap_err()));
}
