//! Why no answer came, in words that say what to do.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustls::{CertificateError, Error as TlsError};

use super::Way;

/// Why no answer came, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::daemon) struct Cause {
    /// What happened.
    pub(in crate::daemon) what: String,
    /// What to do.
    pub(in crate::daemon) advice: String,
}

/// Both, for one line.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.advice)
    }
}

/// What a chain of errors is about.
enum Trouble<'a> {
    /// The proxy answered, and would not.
    ProxyWants,
    ProxyRefuses,
    Name,
    Tls(&'a TlsError),
    Io(&'a io::Error),
    ConnectTime,
    Other,
}

impl Way {
    /// Why a request brought no answer.
    pub(in crate::daemon) fn explain(&self, error: &reqwest::Error) -> Cause {
        let before_tunnel = links(error).any(|link| link.to_string() == TUNNEL_NOT_BEGUN);
        // Whatever happens before the tunnel stands happens between us and the proxy.
        let proxy = self.via.as_ref().filter(|_| before_tunnel);
        let peer = proxy.map_or_else(|| self.target.clone(), |via| format!("the proxy {via}"));
        match trouble(error) {
            Trouble::ProxyWants => self.proxy_says(
                "wants a user and a password",
                "write them into its URL in [network] proxy: http://USER:PASSWORD@HOST:PORT",
            ),
            Trouble::ProxyRefuses => self.proxy_says(
                &format!("made no connection to {}", self.target),
                &format!("let the proxy allow CONNECT to {}, or see its log", self.target),
            ),
            Trouble::Name => self.direct(
                format!("the name of {peer} cannot be resolved"),
                "check the name and this machine's DNS",
            ),
            Trouble::Tls(error) => self.tls(&peer, error),
            Trouble::Io(error) => self.io(&peer, error),
            Trouble::ConnectTime => self.direct(
                format!("no connection to {} within {} s", self.route(), super::CONNECT_TIME.as_secs()),
                "check the firewall and the network",
            ),
            Trouble::Other => Cause {
                what: format!("the connection to {peer} broke: {}", root(error)),
                advice: "usually it passes by itself; if not, see what lies between".to_owned(),
            },
        }
    }

    /// Why a request that had `time` brought no answer.
    pub(in crate::daemon) fn silence(&self, time: Duration) -> Cause {
        self.direct(
            format!("no answer from {} within {:.1} s", self.route(), time.as_secs_f64()),
            "check the network, and the service's health page",
        )
    }

    /// The target, and the proxy that leads there.
    fn route(&self) -> String {
        match &self.via {
            Some(via) => format!("{} through the proxy {via}", self.target),
            None => self.target.clone(),
        }
    }

    fn proxy_says(&self, what: &str, advice: &str) -> Cause {
        let via = self.via.as_ref().map(ToString::to_string).unwrap_or_default();
        Cause { what: format!("the proxy {via} {what}"), advice: advice.to_owned() }
    }

    /// A trouble that a proxy may be the way round, where none is used.
    fn direct(&self, what: String, advice: &str) -> Cause {
        let advice = match (&self.via, self.ignored) {
            (Some(_), _) => advice.to_owned(),
            (None, _) if self.loopback => advice.to_owned(),
            (None, Some(variable)) => {
                format!("{advice}; {variable} is set but not used: [network] proxy = \"env\" uses it")
            }
            (None, None) => format!("{advice}; if only a proxy leads outside, set [network] proxy"),
        };
        Cause { what, advice }
    }

    fn io(&self, peer: &str, error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => self.direct(
                format!("{peer} refused the connection"),
                "check the address, and that something listens there",
            ),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::TimedOut => {
                self.direct(format!("no way to {peer}: {error}"), "check the network")
            }
            _ if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) => Cause {
                what: format!("no connection to {peer}: {error}"),
                advice: "raise the limit of open files (LimitNOFILE= in the unit)".to_owned(),
            },
            _ => Cause {
                what: format!("the connection to {peer} broke: {error}"),
                advice: "usually it passes by itself; if not, see what lies between".to_owned(),
            },
        }
    }

    /// How a CA comes to be trusted.
    fn trust(&self) -> String {
        match &self.ca_file {
            None => "if your network inspects TLS, or a private CA signs for this host, set [network] ca_file to that \
                     CA's certificate (PEM)"
                .to_owned(),
            Some(file) => format!(
                "its CA is neither among the system's nor in [network] ca_file {}: add it there",
                file.display()
            ),
        }
    }

    fn tls(&self, peer: &str, error: &TlsError) -> Cause {
        use CertificateError as C;
        let (what, advice) = match error {
            TlsError::InvalidCertificate(C::UnknownIssuer) => {
                (format!("certificate of {peer} not trusted: unknown issuer"), self.trust())
            }
            // What a CA that was made anew under its old name looks like.
            TlsError::InvalidCertificate(C::BadSignature) => (
                format!(
                    "certificate of {peer} not trusted: its issuer has the name of a known CA, and another key"
                ),
                self.trust(),
            ),
            TlsError::InvalidCertificate(C::NotValidForName) => (
                format!("the certificate that {peer} shows is for another name"),
                "check the address in the app's cloud, and what answers in its place".to_owned(),
            ),
            TlsError::InvalidCertificate(C::NotValidForNameContext { presented, .. }) => (
                format!("the certificate that {peer} shows is for {}", names(presented)),
                "check the address in the app's cloud, and what answers in its place".to_owned(),
            ),
            TlsError::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => (
                format!("certificate of {peer} expired"),
                "check this machine's clock; if it is right, the certificate must be renewed there"
                    .to_owned(),
            ),
            TlsError::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
                (format!("certificate of {peer} not valid yet"), "check this machine's clock".to_owned())
            }
            TlsError::InvalidMessage(_) => (
                format!("what answers as {peer} does not speak TLS"),
                "check the address and the port, and what answers in its place".to_owned(),
            ),
            other => (
                format!("no TLS with {peer}: {other}"),
                "check what answers there, and what inspects TLS on the way".to_owned(),
            ),
        };
        Cause { what, advice }
    }
}

// The type of these errors is private to hyper-util, so that only their texts tell them apart; the tests of this
// module hold it to them.
const TUNNEL: &str = "tunnel error: ";
const TUNNEL_NOT_BEGUN: &str = "tunnel error: failed to create underlying connection";
const TUNNEL_NEEDS_LOGIN: &str = "tunnel error: proxy authorization required";

fn trouble(error: &reqwest::Error) -> Trouble<'_> {
    for link in links(error) {
        let text = link.to_string();
        if text == TUNNEL_NEEDS_LOGIN {
            return Trouble::ProxyWants;
        }
        if text.starts_with(TUNNEL) && text != TUNNEL_NOT_BEGUN {
            return Trouble::ProxyRefuses;
        }
    }
    if error.is_dns() {
        return Trouble::Name;
    }
    let mut found = None;
    for link in links(error) {
        if let Some(error) = link.downcast_ref::<TlsError>() {
            return Trouble::Tls(error);
        }
        if let Some(error) = link.downcast_ref::<io::Error>() {
            // The innermost says most; a TLS error may be inside of it.
            found = Some(error);
        }
    }
    match found {
        Some(error) => Trouble::Io(error),
        None if error.is_connect() && error.is_timeout() => Trouble::ConnectTime,
        None => Trouble::Other,
    }
}

/// An error and what it came from, outermost first. What an [`io::Error`] wraps is a link of its own: `source` alone
/// skips it.
fn links<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let link = next?;
        next = match link.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => link.source(),
        };
        Some(link)
    })
}

/// The innermost error: what the others say is that they came from it.
fn root(error: &reqwest::Error) -> String {
    links(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The first names of a certificate, which rustls gives as `DnsName("graph.example")`.
fn names(presented: &[String]) -> String {
    let name = |at: usize| presented[at].split('"').nth(1).unwrap_or(&presented[at]);
    match presented.len() {
        0 => "no name at all".to_owned(),
        1 => name(0).to_owned(),
        2 => format!("{} and {}", name(0), name(1)),
        _ => format!("{}, {} and others", name(0), name(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::network::testing::direct;

    #[test]
    fn a_certificate_is_told_by_its_first_names() {
        let presented =
            ["DnsName(\"a.test\")", "IpAddress(127.0.0.1)", "DnsName(\"c.test\")"].map(str::to_owned);
        let told = [0, 1, 2, 3].map(|count| names(&presented[..count]));
        let expected = [
            "no name at all",
            "a.test",
            "a.test and IpAddress(127.0.0.1)",
            "a.test, IpAddress(127.0.0.1) and others",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_shortage_of_this_machine_is_not_blamed_on_the_network() {
        let way = Way::to(&"https://graph.test".parse().unwrap(), &direct()).unwrap();
        let cause = way.io("graph.test:443", &Errno::MFILE.into()).to_string();
        assert!(cause.contains("open files") && cause.contains("LimitNOFILE="), "{cause}");
        let cause = way.io("graph.test:443", &Errno::NETUNREACH.into()).to_string();
        assert!(cause.contains("no way to graph.test:443: Network"), "{cause}");
    }
}
