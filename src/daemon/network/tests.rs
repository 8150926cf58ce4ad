//! How hosts are reached, and what is said when they are not: against servers on loopback.

use reqwest::{Method, Request};
use rustls::ServerConfig;

use super::exchange::{Exchange, Limits};
use super::testing::{Authority, LONG, Manner, ProxyServer, Script, Server, direct, listen, refusing};
use super::*;

fn network(proxy: Proxy) -> Network {
    Network { proxy, ca_file: None }
}

fn way(target: &str, network: &Network) -> Way {
    Way::to(&target.parse().unwrap(), network).unwrap()
}

fn with_env(target: &str, proxy: Proxy, env: &[(&str, &str)]) -> Result<Way, NetworkError> {
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Way::with_env(&target.parse().unwrap(), &network(proxy), env)
}

/// Sends a request; the status, or the cause of there being none.
async fn get(target: &str, network: &Network) -> Result<u16, Cause> {
    let way = way(target, network);
    let request = Request::new(Method::GET, target.parse().unwrap());
    let limits = Limits { time: LONG, body_time: LONG, max_body: 1024 };
    match exchange::run(&way.client().unwrap(), request, limits).await {
        Exchange::Answered { status, .. } => Ok(status),
        Exchange::Broken(error) => Err(way.explain(&error)),
        Exchange::Silent => panic!("neither an answer nor an error"),
    }
}

async fn cause(target: &str, network: &Network) -> String {
    get(target, network).await.unwrap_err().to_string()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

fn granting() -> Vec<Script> {
    vec![Script::answer(200, "", "")]
}

async fn tls(config: ServerConfig) -> (Server, String) {
    let server = Server::tls(granting(), config).await;
    let url = format!("https://localhost:{}", server.address.port());
    (server, url)
}

#[tokio::test]
async fn a_private_authority_is_trusted_once_its_file_is_named() {
    let authority = Authority::new("corp");
    let (_server, url) = tls(authority.server("localhost", &[])).await;
    assert_eq!(get(&url, &authority.network()).await, Ok(200));
    let missing = cause(&url, &direct()).await;
    says(&missing, &["certificate of localhost:", "not trusted: unknown issuer", "set [network] ca_file"]);
    let other = Authority::new("other");
    let wrong = cause(&url, &other.network()).await;
    says(&wrong, &["unknown issuer", "neither among the system's nor in [network] ca_file", "ca.pem"]);
    let renewed = Authority::new("corp");
    let stale = cause(&url, &renewed.network()).await;
    says(&stale, &["not trusted", "another key", "[network] ca_file"]);
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_told_from_the_others() {
    let authority = Authority::new("corp");
    let (_server, url) = tls(authority.server("elsewhere.test", &[])).await;
    says(&cause(&url, &authority.network()).await, &["is for elsewhere.test; ", "app's cloud"]);
    let (_server, url) = tls(authority.expired("localhost")).await;
    says(&cause(&url, &authority.network()).await, &["certificate of localhost:", "expired", "clock"]);
}

#[tokio::test]
async fn what_does_not_speak_tls_is_named_as_such() {
    let (listener, address) = listen().await;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    says(&cause(&format!("https://{address}"), &direct()).await, &["does not speak TLS", "port"]);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named_with_what_may_help() {
    let refusing = refusing().await;
    let said = cause(&format!("http://{refusing}"), &direct()).await;
    says(&said, &[&format!("{refusing} refused the connection"), "something listens there"]);
    assert!(!said.contains("proxy"), "none leads to loopback: {said}");
    // No label of a name is longer than 63 characters, so that no resolver asks anybody for this one.
    let nobody = format!("http://{}.test", "x".repeat(64));
    says(&cause(&nobody, &direct()).await, &["cannot be resolved", "DNS", "set [network] proxy"]);
    let cut = Server::plain(vec![Script::cut("")]).await;
    says(&cause(&cut.url("http"), &direct()).await, &["broke", &cut.address.to_string()]);
}

#[tokio::test]
async fn a_proxy_is_used_for_plain_requests_and_for_tunnels() {
    let mut server = Server::plain(granting()).await;
    let mut proxy = ProxyServer::to(server.address, Manner::Open).await;
    assert_eq!(get("http://graph.test/x", &proxy.network(None)).await, Ok(200));
    assert_eq!(proxy.request_line().await, "GET http://graph.test/x HTTP/1.1");
    assert!(server.request().await.contains("host: graph.test"));

    let authority = Authority::new("corp");
    let (mut server, _) = tls(authority.server("graph.test", &[])).await;
    let mut proxy = ProxyServer::to(server.address, Manner::Open).await;
    assert_eq!(get("https://graph.test/y", &proxy.network(Some(authority.file()))).await, Ok(200));
    assert_eq!(proxy.request_line().await, "CONNECT graph.test:443 HTTP/1.1");
    assert!(server.request().await.starts_with("GET /y HTTP/1.1"));
    let missing = cause("https://graph.test/y", &proxy.network(None)).await;
    says(&missing, &["certificate of graph.test:443 not trusted", "set [network] ca_file"]);
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_gets_the_one_of_its_url() {
    let authority = Authority::new("corp");
    let (_server, _) = tls(authority.server("graph.test", &[])).await;
    let proxy = ProxyServer::to(_server.address, Manner::Login("Basic dXNlcjpwYXNz")).await;
    let network = proxy.network_with("user:pass@", Some(authority.file()));
    assert_eq!(get("https://graph.test", &network).await, Ok(200));
    let without = cause("https://graph.test", &proxy.network(None)).await;
    says(
        &without,
        &[&format!("the proxy http://{} wants a user", proxy.address), "http://USER:PASSWORD@HOST"],
    );
    let wrong = proxy.network_with("user:canary@", None);
    let said = cause("https://graph.test", &wrong).await;
    assert!(
        !said.contains("canary") && !format!("{:?}", way("https://graph.test", &wrong)).contains("canary")
    );
}

#[tokio::test]
async fn a_proxy_in_the_way_is_named() {
    let proxy = ProxyServer::to(refusing().await, Manner::Closed).await;
    let said = cause("https://graph.test", &proxy.network(None)).await;
    says(&said, &["made no connection to graph.test:443", "allow CONNECT to graph.test:443"]);
    let gone = proxy.network(None);
    let address = proxy.address;
    drop(proxy);
    let refused = tokio::time::timeout(LONG, async {
        loop {
            let said = cause("https://graph.test", &gone).await;
            if said.contains("refused") {
                return said;
            }
            tokio::task::yield_now().await;
        }
    });
    says(&refused.await.unwrap(), &[&format!("the proxy http://{address} refused the connection")]);
}

#[tokio::test]
async fn loopback_is_reached_directly_whatever_the_proxy() {
    let mut server = Server::plain(granting()).await;
    let mut proxy = ProxyServer::to(server.address, Manner::Open).await;
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(get(&format!("http://{host}:{port}"), &proxy.network(None)).await, Ok(200));
        server.request().await;
    }
    assert!(proxy.is_idle());
    let env = [("HTTPS_PROXY", "http://proxy.test:3128"), ("http_proxy", "http://proxy.test:3128")];
    for host in [
        "http://127.0.0.9",
        "https://[::1]:8",
        "http://localhost",
        "https://a.localhost",
        "http://localhost.",
    ] {
        assert!(with_env(host, Proxy::Env, &env).unwrap().via.is_none(), "{host}");
    }
    for host in ["http://localhost.test", "https://128.0.0.1", "https://notlocalhost"] {
        assert!(with_env(host, Proxy::Env, &env).unwrap().via.is_some(), "{host}");
    }
}

#[tokio::test]
async fn the_environment_counts_only_when_the_setting_says_so() {
    let env = [("HTTPS_PROXY", "proxy.test:3128")];
    let via = |way: Way| way.via.map(|via| via.to_string());
    assert_eq!(
        via(with_env("https://graph.test", Proxy::Env, &env).unwrap()).as_deref(),
        Some("http://proxy.test:3128")
    );
    assert_eq!(via(with_env("http://graph.test", Proxy::Env, &env).unwrap()), None, "it is for https");
    assert_eq!(via(with_env("https://graph.test", Proxy::Env, &[("HTTPS_PROXY", "")]).unwrap()), None);
    let own = Proxy::Url("http://own.test:8080".parse().unwrap());
    assert_eq!(
        via(with_env("https://graph.test", own, &env).unwrap()).as_deref(),
        Some("http://own.test:8080")
    );
    let ignored = with_env("https://graph.test", Proxy::None, &env).unwrap();
    says(
        &ignored.silence(Duration::from_secs(2)).to_string(),
        &["no answer from graph.test:443 within 2.0 s", "HTTPS_PROXY is set but not used", "proxy = \"env\""],
    );
}

#[tokio::test]
async fn no_proxy_of_the_environment_is_honoured() {
    let server = Server::plain(granting()).await;
    let mut proxy = ProxyServer::to(server.address, Manner::Open).await;
    let address = proxy.address.to_string();
    let ask = async |env: &[(&str, &str)]| {
        let way = with_env("http://graph.test", Proxy::Env, env).unwrap();
        let request = Request::new(Method::GET, "http://graph.test".parse().unwrap());
        way.client().unwrap().execute(request).await.is_ok()
    };
    assert!(ask(&[("http_proxy", &address)]).await);
    proxy.request_line().await;
    assert!(!ask(&[("http_proxy", &address), ("NO_PROXY", "other.test,.test")]).await);
    assert!(proxy.is_idle());
}

#[test]
fn a_proxy_of_another_kind_is_refused_without_its_password() {
    let cases = [
        ("socks5://u:canary@proxy.test:1080", "no proxy of the kind socks5"),
        ("http://u:canary@:0x", "HTTPS_PROXY: "),
        ("http://", "HTTPS_PROXY: "),
    ];
    for (value, expected) in cases {
        let error =
            with_env("https://graph.test", Proxy::Env, &[("HTTPS_PROXY", value)]).unwrap_err().to_string();
        says(&error, &[expected, "an HTTP proxy such as"]);
        assert!(!error.contains("canary"), "{error}");
    }
    let socks = Proxy::Url("socks5://proxy.test".parse().unwrap());
    says(&with_env("https://graph.test", socks, &[]).unwrap_err().to_string(), &["[network] proxy: "]);
}

#[test]
fn a_ca_file_that_is_none_says_what_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("corp-root.pem");
    let error = |path: &Path| {
        let network = Network { ca_file: Some(path.to_owned()), ..direct() };
        Way::to(&"https://graph.test".parse().unwrap(), &network).unwrap_err().to_string()
    };
    says(&error(&path), &["[network] ca_file", "corp-root.pem", "cannot be read"]);
    let not_base64 = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let not_der = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (content, expected) in [
        ("", "no certificate in it"),
        (not_base64, "corp-root.pem"),
        (not_der, "certificate 1 in it is none"),
    ] {
        std::fs::write(&path, content).unwrap();
        says(&error(&path), &[expected, "in PEM form (BEGIN CERTIFICATE)"]);
    }
    std::fs::write(&path, vec![b'\n'; 2 * 1024 * 1024]).unwrap();
    says(&error(&path), &["longer than"]);
}
