//! What each lane needs of the outside: its way to Graph, its token source, and the token at hand.

mod lane;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use self::lane::Lane;
use super::graph::GraphClient;
use super::network::NetworkError;
use super::token::{AccessToken, Claims, Fingerprint, TokenSource, Unwritten};
use crate::config::settings::{App, Network, Settings};
use crate::keeper::id::{Generation, LaneIx, LaneKey};
use crate::keeper::{LaneHead, Quota, TokenAnswer};

/// An app and how it reaches Graph and the authority. Making one reads certificates: not in the driver's loop.
#[derive(Clone, Debug)]
pub struct Way {
    app: App,
    client: GraphClient,
    tokens: Arc<TokenSource>,
}

/// The ways of a config, by lane.
pub type Ways = BTreeMap<LaneKey, Way>;

/// The ways that `settings` need and `previous` did not have: those of apps that are new or of which more than the
/// name, the quota or the end of the secret changed, and all of them when `[network]` did. Whether what is in the CA file
/// has changed is the caller's to know.
///
/// # Errors
/// When `[network]` cannot be done.
pub fn new_ways(settings: &Settings, previous: Option<&Settings>) -> Result<Ways, NetworkError> {
    let previous = previous.filter(|previous| previous.network == settings.network);
    let same = |app: &App| {
        previous.is_some_and(|previous| {
            previous.apps.iter().any(|old| {
                old.lane() == app.lane()
                    && old.cloud == app.cloud
                    && old.credential == app.credential
                    && old.cae == app.cae
                    && old.user == app.user
            })
        })
    };
    ways_for(settings.apps.iter().filter(|app| !same(app)), &settings.network)
}

/// The ways of these apps.
///
/// # Errors
/// When `[network]` cannot be done.
pub fn ways_for<'a>(apps: impl Iterator<Item = &'a App>, network: &Network) -> Result<Ways, NetworkError> {
    let way = |app: &App| {
        let client = GraphClient::new(app, network)?;
        let tokens = Arc::new(TokenSource::new(app, network)?);
        Ok((app.lane(), Way { app: app.clone(), client, tokens }))
    };
    apps.map(way).collect()
}

/// The lanes that are open, each at its place, and the ways that a lane may be opened with.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    open: Vec<Option<Lane>>,
    ways: Ways,
}

impl Lanes {
    /// Without open lanes, and with ways that may be needed.
    pub(super) fn new(ways: Ways) -> Self {
        Self { open: Vec::new(), ways }
    }

    /// Adds ways that may be needed.
    pub(super) fn add(&mut self, mut ways: Ways) {
        self.ways.append(&mut ways);
    }

    /// Takes the ways of a new config. Ways that it no longer names are kept as long as their lane is open: it drains
    /// with them. Returns the open lanes whose way is another now.
    pub(super) fn take(&mut self, settings: &Settings, mut fresh: Ways) -> Vec<LaneIx> {
        let named: BTreeMap<LaneKey, &App> = settings.apps.iter().map(|app| (app.lane(), app)).collect();
        let open = &self.open;
        self.ways
            .retain(|key, _| named.contains_key(key) || open.iter().flatten().any(|lane| lane.key == *key));
        let mut changed = Vec::new();
        for (place, lane) in (0..).map(LaneIx).zip(&mut self.open) {
            let Some(lane) = lane else { continue };
            if let Some(app) = named.get(&lane.key) {
                lane.name = Arc::clone(&app.name);
            }
            if let Some(way) = fresh.get(&lane.key) {
                lane.way = Some(way.clone());
                changed.push(place);
            } else if let (Some(way), Some(app)) = (&mut lane.way, named.get(&lane.key)) {
                way.app = (*app).clone();
            }
        }
        self.ways.append(&mut fresh);
        for (key, app) in named {
            if let Some(way) = self.ways.get_mut(&key) {
                way.app = app.clone();
            }
        }
        changed
    }

    /// Opens a lane. Returns its head, and whether there is a way for it.
    pub(super) fn open(&mut self, place: LaneIx, key: LaneKey) -> (LaneHead, bool) {
        let way = self.ways.get(&key).cloned();
        let head = way.as_ref().map_or_else(
            || LaneHead { name: key.client.to_string().into(), quota: Quota::PRESENCE },
            |way| LaneHead { name: Arc::clone(&way.app.name), quota: way.app.quota },
        );
        let at = place.0 as usize;
        if self.open.len() <= at {
            self.open.resize_with(at + 1, || None);
        }
        let known = way.is_some();
        self.open[at] = Some(Lane::new(key, Arc::clone(&head.name), way));
        (head, known)
    }

    /// Drops what a lane held.
    pub(super) fn close(&mut self, place: LaneIx) {
        if let Some(lane) = self.open.get_mut(place.0 as usize) {
            *lane = None;
        }
    }

    /// Which lane is at a place.
    pub(super) fn key(&self, place: LaneIx) -> Option<&LaneKey> {
        self.lane(place).map(|lane| &lane.key)
    }

    /// The app of a lane that the config names.
    pub(super) fn app(&self, place: LaneIx) -> Option<&App> {
        Some(&self.lane(place)?.way.as_ref()?.app)
    }

    /// The app's name.
    pub(super) fn name(&self, place: LaneIx) -> String {
        self.lane(place).map_or_else(String::new, |lane| lane.name.to_string())
    }

    /// What a request needs: the client, and the token if it is still the one at hand.
    pub(super) fn call(
        &self,
        place: LaneIx,
        generation: Generation,
    ) -> Option<(GraphClient, Option<AccessToken>)> {
        let lane = self.lane(place)?;
        let client = lane.way.as_ref()?.client.clone();
        let token = lane.token.as_ref().filter(|(at_hand, _)| *at_hand == generation);
        Some((client, token.map(|(_, token)| token.clone())))
    }

    /// Where a lane's tokens come from, and what Graph wants the next one to have.
    pub(super) fn tokens(&self, place: LaneIx) -> Option<(Arc<TokenSource>, Option<Claims>)> {
        let lane = self.lane(place)?;
        Some((Arc::clone(&lane.way.as_ref()?.tokens), lane.claims.clone()))
    }

    /// Graph wants a token with these claims in place of the one of this generation.
    pub(super) fn challenged(&mut self, place: LaneIx, generation: Generation, claims: Claims) {
        if let Some(lane) = self.lane_mut(place) {
            lane.challenged(generation, claims);
        }
    }

    /// Takes what a fetch brought: the credential that it was tried with, and the token, which replaces an older one.
    pub(super) fn fetched(
        &mut self,
        place: LaneIx,
        credential: Option<Fingerprint>,
        answer: TokenAnswer,
        token: Option<(Generation, AccessToken)>,
    ) {
        if let Some(lane) = self.lane_mut(place) {
            lane.fetched(credential, answer, token);
        }
    }

    /// The next refresh token of a lane, where it is not on disk.
    pub(super) fn unwritten(&self, place: LaneIx) -> Option<Unwritten> {
        self.lane(place)?.unwritten.clone()
    }

    /// All of them, each with its lane and where it belongs.
    pub(super) fn all_unwritten(&self) -> Vec<(LaneIx, Arc<TokenSource>, Unwritten)> {
        let open = (0..).map(LaneIx).zip(&self.open);
        open.filter_map(|(place, lane)| {
            let lane = lane.as_ref()?;
            Some((place, Arc::clone(&lane.way.as_ref()?.tokens), lane.unwritten.clone()?))
        })
        .collect()
    }

    /// Takes what is not on disk after a fetch. Whether there was anything of the kind before.
    pub(super) fn remember(&mut self, place: LaneIx, unwritten: Option<Unwritten>) -> bool {
        self.lane_mut(place).is_some_and(|lane| lane.remember(unwritten))
    }

    /// The sources of all lanes that have fetched once.
    pub(super) fn sources(&self) -> Vec<(LaneIx, Arc<TokenSource>)> {
        let open = (0..).map(LaneIx).zip(&self.open);
        open.filter_map(|(place, lane)| {
            let lane = lane.as_ref().filter(|lane| lane.credential.is_some())?;
            Some((place, Arc::clone(&lane.way.as_ref()?.tokens)))
        })
        .collect()
    }

    /// Takes a look at the credential behind `source`. Whether it is another than at the lane's last fetch, and worth a
    /// try for that.
    pub(super) fn looked_at(
        &mut self,
        place: LaneIx,
        source: &Arc<TokenSource>,
        now: Option<Fingerprint>,
    ) -> bool {
        // The place may be another lane's by now, or have another credential.
        let lane = self.lane_mut(place).filter(|lane| lane.fetches_from(source));
        lane.is_some_and(|lane| lane.looked_at(now))
    }

    /// The end that the config tells of a lane's secret, if the secret is another by now and the end is not. Told once, at
    /// the second token by that secret.
    pub(super) fn outdated(&mut self, place: LaneIx) -> Option<Date> {
        self.lane_mut(place)?.outdated()
    }

    /// The lanes that are open, with what their tokens are fetched with.
    pub(super) fn fetching(&self) -> Vec<(LaneIx, LaneKey, App, Arc<TokenSource>)> {
        let open = (0..).map(LaneIx).zip(&self.open);
        open.filter_map(|(place, lane)| {
            let lane = lane.as_ref()?;
            let way = lane.way.as_ref()?;
            Some((place, lane.key.clone(), way.app.clone(), Arc::clone(&way.tokens)))
        })
        .collect()
    }

    fn lane(&self, place: LaneIx) -> Option<&Lane> {
        self.open.get(place.0 as usize)?.as_ref()
    }

    fn lane_mut(&mut self, place: LaneIx) -> Option<&mut Lane> {
        self.open.get_mut(place.0 as usize)?.as_mut()
    }
}
