//! A company's network: behind a proxy, and with an authority of its own.

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::sandbox::Sandbox;
use crate::site::{Site, available};
use crate::tunnel::{CompanyNetwork, GRAPH, LOGIN};

async fn behind() -> (Sandbox, CompanyNetwork, Site) {
    let sandbox = Sandbox::start(&[]).await;
    let network = CompanyNetwork::before(&sandbox.url).await;
    let site = Site::at(GRAPH, LOGIN, (0..5).map(available));
    network.write_ca(&site.path("corp-root.pem"));
    (sandbox, network, site)
}

async fn failure(daemon: &mut Daemon) -> (String, Value) {
    let line = daemon.event("token_failed").await;
    (format!("{}; {}", line["meaning"].as_str().unwrap(), line["advice"].as_str().unwrap()), line)
}

#[tokio::test]
async fn behind_a_proxy_and_a_private_authority_it_works_when_it_is_told_of_both() {
    let (sandbox, network, mut site) = behind().await;
    site.config.network = format!("proxy = \"{}\"\nca_file = \"corp-root.pem\"", network.proxy);
    site.write();

    let mut daemon = site.run();
    daemon.event("token_granted").await;
    sandbox.until_sets(5).await;

    let asked = network.asked();
    for name in ["login.test:443", "graph.test:443"] {
        assert!(asked.iter().any(|line| line.starts_with(&format!("CONNECT {name} "))), "{name}: {asked:?}");
    }
}

#[tokio::test]
async fn without_the_authority_it_names_the_unknown_issuer_and_the_setting() {
    let (sandbox, network, mut site) = behind().await;
    site.config.network = format!("proxy = \"{}\"", network.proxy);
    site.write();

    let mut daemon = site.run();
    let (text, line) = failure(&mut daemon).await;

    for part in ["login.test:443", "unknown issuer", "[network] ca_file"] {
        assert!(text.contains(part), "{part}: {line:#}");
    }
    assert_eq!(line["app"], "contoso");
    assert_eq!(sandbox.report().await["tokens"]["requests"], 0, "no secret went there");
}

#[tokio::test]
async fn an_authority_that_is_replaced_in_its_file_is_taken_by_a_reload() {
    let (sandbox, network, mut site) = behind().await;
    let other = CompanyNetwork::before(&sandbox.url).await;
    other.write_ca(&site.path("corp-root.pem"));
    site.config.network = format!("proxy = \"{}\"\nca_file = \"corp-root.pem\"", network.proxy);
    site.write();
    let mut daemon = site.run();
    let (text, line) = failure(&mut daemon).await;
    assert!(text.contains("[network] ca_file"), "{line:#}");

    // The config stays as it is.
    network.write_ca(&site.path("corp-root.pem"));
    daemon.signal(Signal::HUP);
    daemon.event("token_granted").await;
    daemon.event("reload_unchanged").await;
    sandbox.until_sets(5).await;

    // The same once more changes nothing.
    daemon.signal(Signal::HUP);
    daemon.event("reload_unchanged").await;
    assert_eq!(daemon.events("credential_changed").len(), 1, "{}", daemon.log());
}

#[tokio::test]
async fn without_the_proxy_it_names_what_fails_and_the_setting() {
    let (_sandbox, network, mut site) = behind().await;
    site.config.network = "ca_file = \"corp-root.pem\"".to_owned();
    site.write();

    let mut daemon = site.run();
    let (text, line) = failure(&mut daemon).await;

    for part in ["login.test", "[network] proxy"] {
        assert!(text.contains(part), "{part}: {line:#}");
    }
    assert_eq!(network.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_of_the_environment_counts_only_when_the_config_says_so() {
    let (sandbox, network, mut site) = behind().await;
    let run = |site: &Site| {
        let mut command = crate::daemon::presenced();
        command.args(["run", "--log-format", "json", "--config"]).arg(site.config_file());
        command.env("HTTPS_PROXY", &network.proxy);
        Daemon::spawn(command)
    };
    site.config.network = "ca_file = \"corp-root.pem\"".to_owned();
    site.write();
    let mut daemon = run(&site);
    let (text, line) = failure(&mut daemon).await;
    for part in ["HTTPS_PROXY", "proxy = \"env\""] {
        assert!(text.contains(part), "{part}: {line:#}");
    }
    daemon.kill().await;

    site.config.network.push_str("\nproxy = \"env\"");
    site.write();
    let mut daemon = run(&site);
    daemon.event("token_granted").await;
    sandbox.until_sets(5).await;
}

#[tokio::test]
async fn loopback_is_never_reached_through_a_proxy() {
    let sandbox = Sandbox::start(&[]).await;
    let network = CompanyNetwork::before(&sandbox.url).await;
    let mut site = Site::new(&sandbox, (0..5).map(available));
    site.config.network = format!("proxy = \"{}\"", network.proxy);
    site.write();

    let _daemon = site.run();
    sandbox.until_sets(5).await;

    assert_eq!(network.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_ca_file_that_is_none_is_refused_with_its_place() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    std::fs::write(site.path("corp-root.pem"), "no certificate\n").unwrap();
    site.config.network = "ca_file = \"corp-root.pem\"".to_owned();
    site.write();

    let mut daemon = site.run();

    assert_eq!(daemon.exit_code().await, Some(78));
    let refused = daemon.event("start_refused").await;
    let first = refused["first"].as_str().unwrap();
    assert!(first.contains("config.toml:6:11") && first.contains("corp-root.pem"), "{refused}");
}
