//! The variables by which Azure's workload identity tells a container who it is. They fill in what an only app leaves
//! out; where there are several, nothing says which of them is meant.
//!
//! Source: the page on the workload identity webhook of Azure Kubernetes Service.

use url::Url;

use crate::config::credential::Way;
use crate::config::environment::Environment;
use crate::config::problem::{Code, Problem, shown};
use crate::config::read::Key;
use crate::config::settings::App;
use crate::config::source::{Place, Placed};
use crate::keeper::id::Guid;

pub(super) const TENANT: &str = "AZURE_TENANT_ID";
pub(super) const CLIENT: &str = "AZURE_CLIENT_ID";
pub(super) const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";

pub(super) struct Azure<'e> {
    pub(super) environment: &'e Environment<'e>,
    /// How many apps the config has.
    pub(super) apps: usize,
}

impl Azure<'_> {
    /// Fills in what is absent of the app whose header is at `at`.
    pub(super) fn fill_in(
        &self,
        at: Place,
        tenant: &mut Key<Guid>,
        client_id: &mut Key<Guid>,
        credential: &mut Key<Way>,
        problems: &mut Vec<Problem>,
    ) {
        for (key, name) in [(tenant, TENANT), (client_id, CLIENT)] {
            if let (Key::Absent, Some(text)) = (&*key, self.environment.text(name)) {
                *key = match text.parse() {
                    Ok(value) => Key::Given(Placed { value, at }),
                    Err(_) => {
                        let message = format!("{name} is {}, which is no GUID", shown(&text));
                        let problem = Problem::new(Code::NotAGuid, at, message);
                        problems.push(problem.label("this app takes it from there"));
                        Key::Bad
                    }
                };
            }
        }
        if let (Key::Absent, Some(path)) = (&*credential, self.environment.text(TOKEN_FILE)) {
            let value = Way::FederatedTokenFile(Placed { value: path.into(), at });
            *credential = Key::Given(Placed { value, at });
        }
    }

    /// Which of these variables are set and not heeded, and why.
    pub(super) fn unheeded(&self, names: &[&str]) -> Option<String> {
        let set: Vec<&str> =
            names.iter().copied().filter(|name| self.environment.text(name).is_some()).collect();
        let verb = if set.len() == 1 { "is" } else { "are" };
        (self.apps > 1 && !set.is_empty()).then(|| {
            format!("{} {verb} set, but which of the {} apps is meant?", set.join(" and "), self.apps)
        })
    }

    /// A warning where an only app would log in elsewhere than Azure says.
    pub(super) fn other_authority(&self, app: &App, at: Place) -> Option<Problem> {
        let said = self.environment.text(AUTHORITY).filter(|_| self.apps == 1)?;
        let login = app.cloud.login.host_str().unwrap_or_default();
        let same = Url::parse(&said).is_ok_and(|said| said.host_str() == Some(login));
        (!same).then(|| {
            let message = format!("{AUTHORITY} is {}, and this app logs in at {login}", shown(&said));
            let problem = Problem::new(Code::OtherAuthority, at, message);
            problem.help(
                "the app's `cloud` decides; set it to the one that the variable means, or unset the variable",
            )
        })
    }
}
