//! The demo's play: what goes wrong, and when. Nothing here is chance, so that every show is the same.

use std::time::Duration;

use serde_json::{Value, json};

use crate::keeper::MonoTime;
use crate::sandbox::service::Service;

/// After so many seconds of the service's clock the play begins again.
const ROUND: u64 = 1_500;

/// One scene: from when, for how long, what goes wrong, and what it is called.
struct Scene {
    from: u64,
    length: u64,
    trouble: fn() -> Value,
    name: &'static str,
}

const SCENES: [Scene; 6] = [
    Scene {
        from: 200,
        length: 30,
        trouble: || json!({"outage": {"status": 503}}),
        name: "Graph answers 503 to everything",
    },
    Scene {
        from: 450,
        length: 10,
        trouble: || json!({"throttle": {"retry_after": "12"}}),
        name: "Graph throttles: 429, Retry-After 12 s",
    },
    Scene {
        from: 650,
        length: 20,
        trouble: || json!({"revoke_tokens": true}),
        name: "every token is revoked",
    },
    Scene {
        from: 850,
        length: 60,
        trouble: || json!({"lost_rate": 0.5}),
        name: "half of the answers are lost on their way",
    },
    Scene {
        from: 1_050,
        length: 90,
        trouble: || json!({"token": {"status": 503}}),
        name: "the login service is down",
    },
    Scene {
        from: 1_250,
        length: 60,
        trouble: || json!({"outage": {"reset": true}}),
        name: "connections to Graph break",
    },
];

/// Where the play is.
pub(super) struct Play {
    began: MonoTime,
    /// The scene that is on, or came last.
    scene: Option<usize>,
    on: bool,
    survived: u32,
}

impl Play {
    pub(super) const fn new(began: MonoTime) -> Self {
        Self { began, scene: None, on: false, survived: 0 }
    }

    /// Brings the service to where the play is at `now`; returns what there is to say.
    pub(super) fn act(&mut self, service: &mut Service, now: MonoTime) -> String {
        let second = now.since(self.began).as_secs() % ROUND;
        let due = SCENES.iter().position(|scene| (scene.from..scene.from + scene.length).contains(&second));
        if self.on && due != self.scene {
            self.on = false;
            self.survived += 1;
            patch(service, now, calm());
        }
        if let Some(at) = due.filter(|_| !self.on) {
            self.on = true;
            self.scene = due;
            patch(service, now, (SCENES[at].trouble)());
        }
        match (self.on, self.scene.map(|at| &SCENES[at])) {
            (true, Some(scene)) => {
                let left = Duration::from_secs(scene.from + scene.length - second);
                format!("! {} ({} s more)", scene.name, left.as_secs())
            }
            (false, Some(scene)) => format!("  survived so far: {} (last: {})", self.survived, scene.name),
            (_, None) => "  a calm start; trouble is on its way".to_owned(),
        }
    }
}

fn calm() -> Value {
    json!({"outage": null, "throttle": null, "token": null, "lost_rate": 0.0})
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
    fn every_scene_begins_and_ends_and_the_service_is_well_afterwards() {
        let start = MonoTime::from_secs(1_000);
        let mut service = Service::new(Options::default(), start);
        let healthy = service.faults().clone();
        let mut play = Play::new(start);
        let mut seen = std::collections::BTreeSet::new();
        for second in 0..ROUND {
            let note = play.act(&mut service, start + Duration::from_secs(second));
            seen.extend(
                SCENES
                    .iter()
                    .filter(|scene| note.starts_with('!') && note.contains(scene.name))
                    .map(|s| s.from),
            );
        }
        assert_eq!(seen.len(), SCENES.len());
        assert_eq!(play.survived, 6);
        assert_eq!(*service.faults(), healthy);
    }

    #[test]
    fn scenes_follow_one_another() {
        assert!(SCENES.windows(2).all(|pair| pair[0].from + pair[0].length < pair[1].from));
        assert!(SCENES.iter().all(|scene| scene.from + scene.length < ROUND));
    }
}
