//! Managed identities: tokens for whoever runs on this machine, without a proof.
//!
//! Sources: Microsoft's pages "How to use managed identities for Azure resources on an Azure VM to acquire an access
//! token", "How to use managed identities for App Service and Azure Functions" and "Authenticate against Azure resources
//! with Azure Arc-enabled servers".

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

use super::registration::{Registration, default_roles};

/// The tenant and the app of the identity that there is unless others are registered.
pub const DEFAULT: (Uuid, Uuid) =
    (uuid!("9c7f0000-0000-4000-8000-000000000001"), uuid!("22553876-f5ab-4529-bffb-cfe50aa89f87"));
/// The file that Arc names unless another is registered.
const DEFAULT_ARC_FILE: &str = "/var/opt/azcmagent/tokens/sandbox.key";

/// One managed identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The tenant it is in.
    pub tenant: Uuid,
    /// Its client id.
    pub client_id: Uuid,
    /// The object id of its service principal.
    #[serde(default)]
    pub object_id: Option<Uuid>,
    /// Its Azure resource id.
    #[serde(default)]
    pub resource_id: Option<String>,
    /// The application permissions that it was granted.
    #[serde(default = "default_roles")]
    pub roles: Vec<String>,
}

/// Who hands out the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The instance metadata service of a virtual machine.
    Vm,
    /// App Service, Functions and Container Apps.
    AppService,
    /// The agent of Azure Arc.
    Arc,
}

/// What of the head of a request counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// `Metadata`.
    pub metadata: Option<&'a str>,
    /// Whether there is an `X-Forwarded-For`.
    pub forwarded: bool,
    /// `X-IDENTITY-HEADER`.
    pub identity_header: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
}

/// A well-formed request for a token of a managed identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityAsk {
    /// Of whom it is asked.
    pub host: Host,
    /// For which service: Graph's root.
    pub resource: String,
    selector: Selector,
    /// `X-IDENTITY-HEADER`, or what follows `Basic`.
    key: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Selector {
    System,
    Client(String),
    Object(String),
    Resource(String),
}

/// An error of these endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProblem {
    /// HTTP status.
    pub status: u16,
    /// `error`.
    pub error: &'static str,
    /// `error_description`.
    pub message: Cow<'static, str>,
    /// The file that a client of Arc is told to read.
    pub realm: Option<String>,
}

impl IdentityProblem {
    fn new(status: u16, error: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error, message: message.into(), realm: None }
    }

    fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "invalid_request", message)
    }
}

impl IdentityAsk {
    /// Reads a request; `app_service` tells by which of the two paths it came.
    ///
    /// # Errors
    /// 400 for what these endpoints do not take.
    pub fn read(app_service: bool, query: &str, head: Head<'_>) -> Result<Self, IdentityProblem> {
        let query: BTreeMap<Cow<'_, str>, Cow<'_, str>> =
            url::form_urlencoded::parse(query.as_bytes()).collect();
        let field = |name: &str| query.get(name).map(ToString::to_string);
        let missing =
            |name: &str| IdentityProblem::bad_request(format!("Required query variable '{name}' is missing"));
        if !app_service && head.metadata.is_none_or(|value| !value.eq_ignore_ascii_case("true")) {
            return Err(IdentityProblem::bad_request("Required metadata header not specified"));
        }
        if !app_service && head.forwarded {
            return Err(IdentityProblem::bad_request("Requests that come through a proxy are refused"));
        }
        let version = field("api-version").ok_or_else(|| missing("api-version"))?;
        let host = match (app_service, version.as_str()) {
            (true, "2019-08-01") => Host::AppService,
            (false, "2018-02-01") => Host::Vm,
            (false, "2020-06-01") => Host::Arc,
            _ => return Err(IdentityProblem::bad_request("The value of 'api-version' is not supported")),
        };
        let resource = field("resource").filter(|resource| !resource.is_empty());
        let resource = resource.ok_or_else(|| missing("resource"))?;
        let by_resource_id = if app_service { "mi_res_id" } else { "msi_res_id" };
        let selectors = [
            field("client_id").map(Selector::Client),
            field(if app_service { "principal_id" } else { "object_id" }).map(Selector::Object),
            field(by_resource_id).map(Selector::Resource),
        ];
        let mut selectors = selectors.into_iter().flatten();
        let selector = selectors.next().unwrap_or(Selector::System);
        if selectors.next().is_some() {
            return Err(IdentityProblem::bad_request("More than one identity is named"));
        }
        let basic = || head.authorization?.strip_prefix("Basic ").map(str::to_owned);
        let key = if app_service { head.identity_header.map(str::to_owned) } else { basic() };
        Ok(Self { host, resource, selector, key })
    }

    /// The identity that is meant, if its key is the right one.
    ///
    /// # Errors
    /// 401 without the right key, 400 for an identity or a resource that is not registered.
    pub(super) fn identity(&self, registration: Option<&Registration>) -> Result<Identity, IdentityProblem> {
        self.check_key(registration)?;
        let none = || IdentityProblem::bad_request("Identity not found");
        let Some(registration) = registration else {
            let client_id = match &self.selector {
                Selector::Client(client) => client.parse().map_err(|_| none())?,
                Selector::System | Selector::Object(_) | Selector::Resource(_) => DEFAULT.1,
            };
            let (tenant, roles) = (DEFAULT.0, default_roles());
            return Ok(Identity { tenant, client_id, object_id: None, resource_id: None, roles });
        };
        let same = |id: Uuid, text: &str| id.to_string().eq_ignore_ascii_case(text);
        let is_meant = |identity: &&Identity| match &self.selector {
            Selector::System => true,
            Selector::Client(client) => same(identity.client_id, client),
            Selector::Object(object) => identity.object_id.is_some_and(|id| same(id, object)),
            Selector::Resource(resource) => {
                identity.resource_id.as_ref().is_some_and(|id| id.eq_ignore_ascii_case(resource))
            }
        };
        let identity = registration.managed_identities.iter().find(is_meant).cloned().ok_or_else(none)?;
        if !registration.has_resource(&self.resource) {
            let message = format!("The resource principal named {} was not found", self.resource);
            return Err(IdentityProblem::new(400, "invalid_resource", message));
        }
        Ok(identity)
    }

    fn check_key(&self, registration: Option<&Registration>) -> Result<(), IdentityProblem> {
        let given = self.key.as_deref().filter(|key| !key.is_empty());
        let (right, realm) = match self.host {
            Host::Vm => return Ok(()),
            Host::AppService => (registration.and_then(|known| known.identity_header.as_ref()), None),
            Host::Arc => {
                let arc = registration.and_then(|known| known.arc.as_ref());
                let file = arc.map_or_else(|| DEFAULT_ARC_FILE.to_owned(), |arc| arc.file.clone());
                (arc.map(|arc| &arc.content), Some(file))
            }
        };
        if given.is_some_and(|given| right.is_none_or(|right| right.is(given))) {
            return Ok(());
        }
        let message = "The key of the request is missing or not the right one";
        Err(IdentityProblem { realm, ..IdentityProblem::new(401, "unauthorized_client", message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VM: &str = "api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com";
    const METADATA: Head<'_> =
        Head { metadata: Some("true"), forwarded: false, identity_header: None, authorization: None };

    fn refusal(query: &str, head: Head<'_>) -> (u16, Cow<'static, str>) {
        let problem = IdentityAsk::read(false, query, head).unwrap_err();
        (problem.status, problem.message)
    }

    #[test]
    fn a_request_needs_its_header_its_version_and_a_resource() {
        assert!(IdentityAsk::read(false, VM, METADATA).is_ok());
        assert!(refusal(VM, Head::default()).1.contains("metadata header"));
        assert!(refusal(VM, Head { metadata: Some("false"), ..METADATA }).1.contains("metadata header"));
        assert!(refusal(VM, Head { forwarded: true, ..METADATA }).1.contains("proxy"));
        assert!(refusal("resource=x", METADATA).1.contains("'api-version'"));
        assert!(refusal("api-version=2019-08-01&resource=x", METADATA).1.contains("not supported"));
        assert!(refusal("api-version=2018-02-01", METADATA).1.contains("'resource'"));
        assert!(refusal(&format!("{VM}&client_id=a&object_id=b"), METADATA).1.contains("More than one"));
    }

    #[test]
    fn an_identity_is_found_by_any_of_its_names() {
        let registration: Registration = serde_json::from_value(serde_json::json!({"managed_identities": [
            {"tenant": Uuid::from_u128(1), "client_id": Uuid::from_u128(2)},
            {"tenant": Uuid::from_u128(1), "client_id": Uuid::from_u128(3), "object_id": Uuid::from_u128(4),
             "resource_id": "/subscriptions/x"},
        ]}))
        .unwrap();
        let client = |more: &str| {
            let ask = IdentityAsk::read(false, &format!("{VM}{more}"), METADATA).unwrap();
            ask.identity(Some(&registration)).map(|identity| identity.client_id.as_u128())
        };
        assert_eq!(client(""), Ok(2), "the one of the system is the first");
        assert_eq!(client(&format!("&client_id={}", Uuid::from_u128(3))), Ok(3));
        assert_eq!(client(&format!("&object_id={}", Uuid::from_u128(4))), Ok(3));
        assert_eq!(client("&msi_res_id=/Subscriptions/X"), Ok(3));
        assert_eq!(client(&format!("&client_id={}", Uuid::from_u128(9))).unwrap_err().status, 400);
    }

    #[test]
    fn app_service_and_arc_want_a_key() {
        let registration: Registration = serde_json::from_value(serde_json::json!({
            "managed_identities": [{"tenant": Uuid::nil(), "client_id": Uuid::nil()}],
            "identity_header": "right",
            "arc": {"file": "/folder/a.key", "content": "right"},
        }))
        .unwrap();
        let app_service = |header| {
            let head = Head { identity_header: header, ..Head::default() };
            let ask = IdentityAsk::read(true, "api-version=2019-08-01&resource=x", head).unwrap();
            ask.identity(Some(&registration)).map(|_| ()).map_err(|problem| (problem.status, problem.realm))
        };
        assert_eq!(app_service(Some("right")), Ok(()));
        assert_eq!(app_service(Some("wrong")), Err((401, None)));
        assert_eq!(app_service(None), Err((401, None)));
        let arc = |authorization| {
            let head = Head { authorization, ..METADATA };
            let ask = IdentityAsk::read(false, "api-version=2020-06-01&resource=x", head).unwrap();
            ask.identity(Some(&registration)).map(|_| ()).map_err(|problem| (problem.status, problem.realm))
        };
        let challenged = Err((401, Some("/folder/a.key".to_owned())));
        assert_eq!(arc(None), challenged);
        assert_eq!(arc(Some("Basic wrong")), challenged);
        assert_eq!(arc(Some("Basic right")), Ok(()));
    }
}
