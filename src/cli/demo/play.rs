//! The demo's play: what goes wrong, and when. Nothing here is chance.
//!
//! A scene lasts until somebody has felt it: its time runs from the first request that meets it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::keeper::MonoTime;
use crate::sandbox::service::Service;

/// Quiet time before each scene, on the service's clock.
const PAUSE: Duration = Duration::from_secs(100);
/// A scene that nobody feels is over after this long.
const PATIENCE: Duration = Duration::from_secs(400);

/// One scene: what goes wrong, for how long once it is felt, and what it is called.
struct Scene {
    trouble: fn() -> Value,
    length: Duration,
    name: &'static str,
}

const SCENES: [Scene; 6] = [
    Scene {
        trouble: || json!({"outage": {"status": 503}}),
        length: Duration::from_secs(25),
        name: "Graph answers 503 to everything",
    },
    Scene {
        trouble: || json!({"throttle": {"retry_after": "12"}}),
        length: Duration::from_secs(8),
        name: "Graph throttles: 429, Retry-After 12 s",
    },
    Scene {
        trouble: || json!({"revoke_tokens": true}),
        length: Duration::from_secs(20),
        name: "every token has been revoked",
    },
    Scene {
        trouble: || json!({"lost_rate": 0.5}),
        length: Duration::from_secs(30),
        name: "half of the answers are lost on their way",
    },
    Scene {
        trouble: || json!({"token": {"status": 503}, "revoke_tokens": true}),
        length: Duration::from_secs(40),
        name: "every token has been revoked, and the login service is down",
    },
    Scene {
        trouble: || json!({"outage": {"reset": true}}),
        length: Duration::from_secs(30),
        name: "connections to Graph break",
    },
];

/// Where the play is.
pub(super) struct Play {
    /// The scene that is on, or comes next.
    scene: usize,
    on: Option<Running>,
    /// When the next one begins.
    next: MonoTime,
    survived: u32,
}

/// A scene that is on.
struct Running {
    since: MonoTime,
    /// Requests that the service had seen when it began.
    asked_before: u64,
    felt_at: Option<MonoTime>,
}

impl Play {
    pub(super) fn new(began: MonoTime) -> Self {
        Self { scene: 0, on: None, next: began + PAUSE, survived: 0 }
    }

    /// Brings the service to where the play is at `now`; returns what there is to say.
    pub(super) fn act(&mut self, service: &mut Service, now: MonoTime) -> String {
        let scene = &SCENES[self.scene];
        match &mut self.on {
            None if now >= self.next => {
                self.on = Some(Running { since: now, asked_before: service.asked(), felt_at: None });
                patch(service, now, (scene.trouble)());
            }
            None => {}
            Some(on) => {
                if on.felt_at.is_none() && service.asked() > on.asked_before {
                    on.felt_at = Some(now);
                }
                let over =
                    on.felt_at.map_or(now.since(on.since) >= PATIENCE, |at| now.since(at) >= scene.length);
                if over {
                    self.on = None;
                    self.survived += 1;
                    self.next = now + PAUSE;
                    self.scene = (self.scene + 1) % SCENES.len();
                    patch(
                        service,
                        now,
                        json!({"outage": null, "throttle": null, "token": null, "lost_rate": 0.0}),
                    );
                }
            }
        }
        self.note(service)
    }

    fn note(&self, service: &Service) -> String {
        match &self.on {
            Some(on) => {
                let name = SCENES[self.scene].name;
                format!("! {name}: {} requests so far", service.asked() - on.asked_before)
            }
            None if self.survived == 0 => "  all is well; trouble is on its way".to_owned(),
            None => {
                let last = &SCENES[(self.scene + SCENES.len() - 1) % SCENES.len()];
                format!("  all is well; troubles so far: {}, the last: {}", self.survived, last.name)
            }
        }
    }
}

fn patch(service: &mut Service, now: MonoTime, patch: Value) {
    let done = service.patch_faults(now, patch);
    debug_assert!(done.is_ok(), "the play's own faults are well formed: {done:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::service::Options;

    #[test]
    fn every_scene_comes_and_goes_and_the_service_is_well_afterwards() {
        let start = MonoTime::from_secs(1_000);
        let mut service = Service::new(Options::default(), start);
        let healthy = service.faults().clone();
        let mut play = Play::new(start);
        let mut seen = std::collections::BTreeSet::new();
        let mut second = 0;
        while play.survived < 6 {
            let note = play.act(&mut service, start + Duration::from_secs(second));
            seen.extend(
                SCENES.iter().map(|scene| scene.name).filter(|name| note.starts_with(&format!("! {name}:"))),
            );
            second += 1;
            assert!(second < 4_000, "scenes end, felt or not");
        }
        assert_eq!(seen.len(), SCENES.len());
        assert_eq!(*service.faults(), healthy);
    }

    #[test]
    fn a_scene_ends_some_time_after_it_was_felt() {
        let start = MonoTime::from_secs(1_000);
        let mut service = Service::new(Options::default(), start);
        let mut play = Play::new(start);
        let began = start + PAUSE;
        play.act(&mut service, began);
        service.stray(crate::sandbox::problem::Problem::no_such_path());
        assert!(play.act(&mut service, began + Duration::from_secs(50)).contains("1 requests so far"));
        play.act(&mut service, began + Duration::from_secs(74));
        assert!(play.on.is_some());
        play.act(&mut service, began + Duration::from_secs(75));
        assert!(play.on.is_none());
    }
}
