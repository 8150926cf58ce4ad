//! Which kind of Azure host this is, in the order in which Microsoft's own libraries look.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::{Host as Name, Url};

use crate::config::settings::{Identity, is_loopback};
use crate::daemon::token::failure::Class;
use crate::daemon::token::proof::NoProof;

/// Where a VM's metadata service is, unless `AZURE_POD_IDENTITY_AUTHORITY_HOST` says otherwise.
const IMDS: &str = "http://169.254.169.254";
const PATH: &str = "/metadata/identity/oauth2/token";
/// Where the agent of an Arc machine listens, where no variable says so.
const AGENT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
/// An Arc machine has this program, and its tokens lie in this folder.
const AGENT_PROGRAM: &str = "/opt/azcmagent/bin/himds";
const AGENT_TOKENS: &str = "/var/opt/azcmagent/tokens";

/// What tells one kind of host from another.
pub(super) struct Surroundings {
    pub(super) identity_endpoint: Option<String>,
    pub(super) identity_header: Option<SecretString>,
    pub(super) identity_server_thumbprint: bool,
    pub(super) imds_endpoint: bool,
    pub(super) msi_endpoint: bool,
    pub(super) pod_identity_host: Option<String>,
    /// The agent's program: an Arc machine has it.
    pub(super) program: PathBuf,
    /// Where the agent's keys are.
    pub(super) tokens: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            identity_endpoint: var("IDENTITY_ENDPOINT"),
            identity_header: var("IDENTITY_HEADER").map(SecretString::from),
            identity_server_thumbprint: var("IDENTITY_SERVER_THUMBPRINT").is_some(),
            imds_endpoint: var("IMDS_ENDPOINT").is_some(),
            msi_endpoint: var("MSI_ENDPOINT").is_some(),
            pod_identity_host: var("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
            program: AGENT_PROGRAM.into(),
            tokens: AGENT_TOKENS.into(),
        }
    }
}

/// A kind of host, and where its tokens are.
pub(super) enum Host {
    /// App Service, Functions, Container Apps.
    AppService {
        /// As the platform says.
        endpoint: Url,
        /// Proves that the request comes from within.
        header: SecretString,
    },
    /// A machine outside of Azure that is enrolled with Azure Arc.
    Arc {
        /// The agent's.
        endpoint: Url,
    },
    /// A VM, or what behaves like one.
    Imds {
        /// The metadata service's.
        endpoint: Url,
    },
}

impl Host {
    /// What this is.
    ///
    /// # Errors
    /// When it is a kind of host that is not supported, or its variables lead elsewhere.
    pub(super) fn find(around: &Surroundings) -> Result<Self, NoProof> {
        match (&around.identity_endpoint, &around.identity_header) {
            (Some(_), Some(_)) if around.identity_server_thumbprint => Err(unsupported(
                "Service Fabric (IDENTITY_SERVER_THUMBPRINT is set), which wants a certificate that no authority vouches \
                 for to be trusted",
            )),
            (Some(endpoint), Some(header)) => Ok(Self::AppService {
                endpoint: local("IDENTITY_ENDPOINT", endpoint, Reach::Private)?,
                header: header.clone(),
            }),
            _ if around.msi_endpoint => Err(unsupported(
                "Cloud Shell or Azure Machine Learning (MSI_ENDPOINT is set), where no daemon belongs",
            )),
            (Some(endpoint), None) if around.imds_endpoint => {
                Ok(Self::Arc { endpoint: local("IDENTITY_ENDPOINT", endpoint, Reach::Link)? })
            }
            _ if around.program.exists() => Ok(Self::Arc { endpoint: ours(AGENT) }),
            _ => {
                let root = around.pod_identity_host.as_deref();
                let mut endpoint = match root {
                    Some(root) => local("AZURE_POD_IDENTITY_AUTHORITY_HOST", root, Reach::Link)?,
                    None => ours(IMDS),
                };
                endpoint.set_path(PATH);
                Ok(Self::Imds { endpoint })
            }
        }
    }

    /// The same, if it has identities of this kind.
    ///
    /// # Errors
    /// When it has not.
    pub(super) fn fit_for(self, identity: Identity) -> Result<Self, NoProof> {
        match (&self, identity) {
            (Self::Arc { .. }, Identity::UserAssigned(_)) => Err(NoProof {
                class: Class::Fix,
                meaning: "an Arc machine has one managed identity, its own".to_owned(),
                advice: "write managed_identity = true".to_owned(),
            }),
            _ => Ok(self),
        }
    }

    /// Where its tokens are.
    pub(super) const fn endpoint(&self) -> &Url {
        let (Self::AppService { endpoint, .. } | Self::Arc { endpoint } | Self::Imds { endpoint }) = self;
        endpoint
    }

    pub(super) const fn api_version(&self) -> &'static str {
        match self {
            Self::AppService { .. } => "2019-08-01",
            Self::Arc { .. } => "2020-06-01",
            Self::Imds { .. } => "2018-02-01",
        }
    }

    /// What people call the service that answers here.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::AppService { .. } => "App Service's identity endpoint",
            Self::Arc { .. } => "the Azure Arc agent",
            Self::Imds { .. } => "the VM's metadata service",
        }
    }

    /// What no text may hold.
    pub(super) fn secret(&self) -> &str {
        match self {
            Self::AppService { header, .. } => header.expose_secret(),
            Self::Arc { .. } | Self::Imds { .. } => "",
        }
    }
}

fn ours(url: &str) -> Url {
    Url::parse(url).expect("the addresses above are URLs")
}

/// How far an endpoint may be that a variable names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// On this machine or its link.
    Link,
    /// In its private network, too: App Service's sandboxes have the endpoint on a bridge or a host beside them.
    Private,
}

/// An endpoint that a variable names: over http, and never at a name or a public address. Whoever sets a variable is not
/// to choose who gets to vouch for an app, and nothing on the way is encrypted.
fn local(variable: &str, text: &str, reach: Reach) -> Result<Url, NoProof> {
    let url = Url::parse(text).ok().filter(|url| {
        url.scheme() == "http" && url.username().is_empty() && url.password().is_none() && is_near(url, reach)
    });
    let (where_to, where_from) = match reach {
        Reach::Link => ("this machine", "on loopback or link-local (169.254.0.0/16)"),
        Reach::Private => (
            "this machine or its private network",
            "on loopback, link-local (169.254.0.0/16) or private (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16)",
        ),
    };
    let mut url = url.ok_or_else(|| NoProof {
        class: Class::Fix,
        meaning: format!("{variable} does not lead to {where_to}"),
        advice: format!(
            "an Azure host sets it to an http address {where_from}; take out what sets it to another"
        ),
    })?;
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn is_near(url: &Url, reach: Reach) -> bool {
    let private = reach == Reach::Private;
    is_loopback(url)
        || match url.host() {
            Some(Name::Ipv4(address)) => address.is_link_local() || private && address.is_private(),
            Some(Name::Ipv6(address)) => {
                address.is_unicast_link_local() || private && address.is_unique_local()
            }
            Some(Name::Domain(_)) | None => false,
        }
}

fn unsupported(what: &str) -> NoProof {
    NoProof {
        class: Class::Fix,
        meaning: format!("this is {what}: its managed identity is not supported"),
        advice: "use certificate_file, or federated_token_file, in the app's credential".to_owned(),
    }
}
