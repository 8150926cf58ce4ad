//! The sandbox's own door, `/sandbox/...`: its account, its script, and what users do in person.

use std::time::Duration;

use hyper::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::Desk;
use super::answer::{Response, own, whole};
use crate::sandbox::authority::registration::Registration;
use crate::sandbox::authority::sign_in::Decision;
use crate::sandbox::call::is_object;
use crate::sandbox::faults::Faults;
use crate::sandbox::presence::{PreferredState, Shown};
use crate::sandbox::route::object_id;

const HELP: &str = include_str!("help.txt");

/// What users do in person. What is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InPerson {
    user: Uuid,
    /// Needed with more than one tenant.
    tenant: Option<Uuid>,
    /// The sessions of the user's Teams clients, any words.
    sessions: Option<Vec<Shown>>,
    /// The preferred state; `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    preferred: Option<Option<Preference>>,
}

/// What a person does with a code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    user_code: String,
    user: Option<Uuid>,
    #[serde(default)]
    deny: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Preference {
    availability: String,
    activity: String,
    /// For how long; absent: as setUserPreferredPresence has it.
    for_s: Option<u64>,
}

impl Desk {
    /// Answers a request to `/sandbox` and what is below it.
    pub(super) fn door(&self, method: &Method, path: &str, query: Option<&str>, body: &[u8]) -> Response {
        let outcome = match (method.as_str(), path.trim_end_matches('/')) {
            ("GET", "") => return whole(200, "text/plain; charset=utf-8", HELP),
            ("GET", "/report") => match query.and_then(|query| query.strip_prefix("user=")) {
                None => {
                    let (mut service, now) = self.service_now();
                    Ok(pretty(&service.report(now)))
                }
                Some(user) => self.user(user),
            },
            ("POST", "/reset-counts") => {
                let (mut service, now) = self.service_now();
                service.reset_counts(now);
                Ok("{}\n".to_owned())
            }
            ("GET", "/faults") => Ok(shown(self.service().faults())),
            ("POST", "/faults") => self.patch(body),
            ("DELETE", "/faults") => {
                let (mut service, now) = self.service_now();
                service.heal(now);
                self.scripts.send_replace(());
                Ok(shown(service.faults()))
            }
            ("POST", "/teams") => self.in_person(body),
            ("GET", "/registration") => Ok(pretty(&self.service().authority().registration())),
            ("PUT", "/registration") => self.register(body),
            ("DELETE", "/registration") => {
                self.service().authority_mut().register(None);
                Ok(pretty(&()))
            }
            ("POST", "/sign_in") => self.sign_in(body),
            ("PUT" | "PATCH" | "DELETE", path) if path.starts_with("/groups/") => {
                self.say_of_group(method, &path["/groups/".len()..], body)
            }
            ("PUT" | "DELETE", path) if path.starts_with("/users/") => {
                self.say_of_user(method, &path["/users/".len()..], body)
            }
            ("GET", path) if path.starts_with("/users/") => self.user(&path["/users/".len()..]),
            _ => return own(404, refusal("nothing is served here; see GET /sandbox")),
        };
        match outcome {
            Ok(body) => own(200, body),
            Err(error) => own(400, refusal(&error)),
        }
    }

    fn user(&self, user: &str) -> Result<String, String> {
        let user = object_id(user).ok_or("a user is named by object id")?;
        let (service, now) = self.service_now();
        Ok(pretty(&service.user_report(now, user)))
    }

    fn patch(&self, body: &[u8]) -> Result<String, String> {
        let patch = read(body)?;
        let (mut service, now) = self.service_now();
        service.patch_faults(now, patch)?;
        self.scripts.send_replace(());
        Ok(shown(service.faults()))
    }

    fn register(&self, body: &[u8]) -> Result<String, String> {
        // Serde would read a list as an object, field by field.
        if !is_object(body) {
            return Err("a registration is an object".to_owned());
        }
        let registration: Registration = read(body)?;
        let mut service = self.service();
        service.authority_mut().register(Some(registration));
        Ok(pretty(&service.authority().registration()))
    }

    fn sign_in(&self, body: &[u8]) -> Result<String, String> {
        let SignIn { user_code, user, deny } = read(body)?;
        let decision = match (user, deny) {
            (Some(user), false) => Decision::SignsIn(user),
            (None, true) => Decision::Declines,
            _ => return Err("either a user signs in, or \"deny\" is true".to_owned()),
        };
        let (mut service, now) = self.service_now();
        service.authority_mut().decide_sign_in(now, &user_code, decision)?;
        Ok("{}\n".to_owned())
    }

    fn in_person(&self, body: &[u8]) -> Result<String, String> {
        let InPerson { user, tenant, sessions, preferred } = read(body)?;
        let preferred = preferred.map(|wish| wish.map(Preference::read).transpose()).transpose()?;
        let (mut service, now) = self.service_now();
        let tenant = tenant.or_else(|| service.only_tenant()).ok_or("name the tenant: there is not one")?;
        if let Some(sessions) = sessions {
            service.set_teams_clients(tenant, user, sessions);
        }
        if let Some(preferred) = preferred {
            service.set_preferred(now, tenant, user, preferred);
        }
        Ok(pretty(&service.user_report(now, user)))
    }
}

impl Preference {
    fn read(self) -> Result<(PreferredState, Duration), String> {
        let state = PreferredState::from_pair(&self.availability, &self.activity)
            .ok_or("availability and activity are no pair that a user can prefer")?;
        let length = self.for_s.map_or_else(|| state.default_expiration(), Duration::from_secs);
        Ok((state, length))
    }
}

/// What goes wrong at present, without the client secret in it: sent back like this, it changes nothing about that.
fn shown(faults: &Faults) -> String {
    let mut shown = serde_json::to_value(faults).expect("a script can be written as JSON");
    shown.as_object_mut().expect("it is an object").remove("secret");
    pretty(&shown)
}

/// JSON for people: a field a line, in the order of the type, so that a report begins with what matters.
pub(super) fn pretty(body: &impl Serialize) -> String {
    serde_json::to_string_pretty(body).expect("reports and scripts can be written as JSON") + "\n"
}

/// The answer to a body that was not read.
pub(super) fn too_large() -> Response {
    own(413, refusal("the body is too large, or broke off"))
}

fn refusal(error: &str) -> String {
    pretty(&json!({ "error": error }))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// Tells `null` from absence.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<Preference>>, D::Error> {
    Option::deserialize(value).map(Some)
}
