//! `[http]` of a site, as a scraper and a probe see it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use reqwest::header::ACCEPT;
use serde_json::Value;

use crate::patience::until;
use crate::sandbox::http;
use crate::site::Site;

/// The door of one daemon.
pub struct HttpDoor {
    url: String,
    http: reqwest::Client,
}

/// What one scrape brought, in the classic text format.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// The type of each family.
    pub types: BTreeMap<String, String>,
    /// The values, by name and labels as they are written.
    pub samples: BTreeMap<String, f64>,
}

impl HttpDoor {
    /// Adds `[http]` with a free port and more lines to the config, and writes it.
    pub fn of(site: &mut Site, says: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        site.config.network.push_str(&format!("\n[http]\nlisten = \"{address}\"\n{says}\n"));
        site.write();
        Self { url: format!("http://{address}"), http: http() }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Status and body of a probe; `None` while nothing listens.
    pub async fn try_probe(&self, path: &str) -> Option<(u16, Value)> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, serde_json::from_slice(&response.bytes().await.ok()?).ok()?))
    }

    /// The same once something listens.
    pub async fn probe(&self, path: &str) -> (u16, Value) {
        until(path, async || self.try_probe(path).await).await
    }

    /// Returns when a probe has this status; its body.
    pub async fn until(&self, path: &str, status: u16) -> Value {
        let look = async || self.try_probe(path).await.filter(|(now, _)| *now == status);
        until(&format!("{path} says {status}"), look).await.1
    }

    /// The metrics in the format that this `Accept` leads to, with their content type, once something listens.
    pub async fn text(&self, accept: &str) -> (String, String) {
        let request = || self.http.get(format!("{}/metrics", self.url)).header(ACCEPT, accept);
        let response = until("/metrics is there", async || request().send().await.ok()).await;
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.text().await.unwrap())
    }

    /// The metrics.
    pub async fn scrape(&self) -> Scrape {
        Scrape::of(&self.text("text/plain").await.1)
    }

    /// Returns the first scrape that holds to something.
    pub async fn scrape_until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        until(what, async || Some(self.scrape().await).filter(|scrape| holds(scrape))).await
    }
}

impl Scrape {
    /// Reads the classic text format, and holds it to its rules.
    ///
    /// # Panics
    /// When it does not keep them. Source: "Exposition formats" in the Prometheus documentation.
    pub fn of(text: &str) -> Self {
        let mut scrape = Self::default();
        let mut family = String::new();
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a help text");
                assert!(helped.insert(name.to_owned()) && !help.is_empty(), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "no help before {line}");
                assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
                family = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let name = series.split('{').next().unwrap();
                let parts = ["", "_bucket", "_sum", "_count"];
                let part = if scrape.types[&family] == "histogram" { &parts[1..] } else { &parts[..1] };
                assert!(part.iter().any(|part| name == format!("{family}{part}")), "{line} among {family}");
                let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
                assert!(scrape.samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        assert!(text.ends_with('\n'));
        for (name, kind) in &scrape.types {
            assert!(name.starts_with("presenced_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        }
        scrape
    }

    /// The value of a series of app `contoso` with more labels, such as `state="held"`.
    pub fn app(&self, name: &str, labels: &str) -> f64 {
        let more = if labels.is_empty() { String::new() } else { format!(",{labels}") };
        self.one(&format!("{name}{{app=\"contoso\"{more}}}"))
    }

    /// The value of a series as it is written.
    ///
    /// # Panics
    /// When there is none.
    pub fn one(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples))
    }
}
