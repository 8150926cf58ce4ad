//! Access tokens: what one allows, how long it lives, and what it looks like.
//!
//! To clients a token is a JSON web token that they do not look into. Here it is a number, which its signature carries.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::chance::{self, Purpose};
use super::seal;
use crate::keeper::time::MonoTime;

/// The shortest and the longest life of a token, unless it is set: chance picks. Source: Microsoft's page on
/// configurable token lifetimes.
pub const LIFE: (Duration, Duration) = (Duration::from_secs(60 * 60), Duration::from_secs(90 * 60));
/// The same for a token of an app that takes claims challenges. Source: Microsoft's page on continuous access
/// evaluation for workload identities, which says up to 24 hours.
pub const LONG_LIFE: (Duration, Duration) =
    (Duration::from_secs(20 * 60 * 60), Duration::from_secs(24 * 60 * 60));

/// The permissions by which groups and their members are read, without those on the whole directory.
const OF_GROUPS: [&str; 4] =
    ["GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All"];
/// How many tokens are remembered; the oldest are forgotten, and are then as good as expired.
const MOST_TOKENS: usize = 100_000;
/// About the length of a real one, so that what cannot carry a real one shows.
const TEXT_LENGTH: usize = 1_600;

/// A token, as the in-process door names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(u64);

/// Whose presence a token reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody's.
    Nobody,
    /// That of the user who signed in.
    Only(Uuid),
    /// That of everyone in the tenant.
    Everyone,
}

/// How much of the users a token lets read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing but the ids of those that are members of a group.
    Nothing,
    /// The basic profile.
    Basic,
    /// All.
    Full,
}

impl Profile {
    /// Whether a property of a user is in it. Source: what Microsoft's permissions reference says of User.ReadBasic.All.
    #[must_use]
    pub fn has(self, property: &str) -> bool {
        const BASIC: [&str; 7] =
            ["displayName", "givenName", "id", "mail", "securityIdentifier", "surname", "userPrincipalName"];
        match self {
            Self::Nothing => property == "id",
            Self::Basic => BASIC.contains(&property),
            Self::Full => true,
        }
    }
}

/// What the holder of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Whose presence may be set and cleared.
    pub writes: Reach,
    /// Whose presence may be read.
    pub reads: Reach,
    /// Whether groups and their members may be read.
    pub groups: bool,
    /// What may be read of users.
    pub profile: Profile,
}

/// What of claims a request for a token had. Source: Microsoft's page "Claims challenges, claims requests, and client
/// capabilities".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `cp1`: the client takes claims challenges.
    pub cp1: bool,
    /// `nbf`, in seconds since 1970: the answer to a challenge.
    pub nbf: Option<u64>,
}

/// A token that was given out.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// For which lane.
    pub lane: u32,
    /// When it is over.
    pub expires_at: MonoTime,
    /// Whether it was revoked.
    pub revoked: bool,
    /// What it allows.
    pub rights: Rights,
    /// What was asked for with it.
    pub claims: Claims,
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The app itself, with these roles.
    App(Vec<String>),
    /// A user who signed in, with these permissions.
    User(Uuid, Vec<String>),
}

/// What a token is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The tenant.
    pub tenant: Uuid,
    /// The app.
    pub client: Uuid,
    /// Whom it is for.
    pub subject: Subject,
    /// The service it is good for: Graph's root.
    pub audience: String,
    /// What was asked for with it.
    pub claims: Claims,
    /// Now, in seconds since 1970.
    pub issued_at: u64,
}

impl Subject {
    /// The same without some of its permissions.
    #[must_use]
    pub fn without(mut self, withheld: &[String]) -> Self {
        let (Self::App(names) | Self::User(_, names)) = &mut self;
        names.retain(|name| !withheld.contains(name));
        self
    }

    /// What it may do. Source: the permission tables of Microsoft's pages "presence: setPresence", "Get presence",
    /// "getPresencesByUserId", "List group transitive members", "Get group" and "Get a user".
    #[must_use]
    pub fn rights(&self) -> Rights {
        let (names, own) = match self {
            Self::App(roles) => (roles, None),
            Self::User(user, scopes) => (scopes, Some(*user)),
        };
        let has = |name: &str| names.iter().any(|given| given == name);
        let own_if = |allowed: bool| match own {
            Some(user) if allowed => Reach::Only(user),
            _ => Reach::Nobody,
        };
        let any = |given: &[&str]| given.iter().any(|name| has(name));
        let directory = any(&["Directory.Read.All", "Directory.ReadWrite.All"]);
        let app_writes = own.is_none() && has("Presence.ReadWrite.All");
        Rights {
            writes: if app_writes { Reach::Everyone } else { own_if(has("Presence.ReadWrite")) },
            reads: if app_writes || has("Presence.Read.All") {
                Reach::Everyone
            } else {
                own_if(has("Presence.Read"))
            },
            groups: directory || any(&OF_GROUPS),
            profile: match directory || any(&["User.Read.All", "User.ReadWrite.All"]) {
                true => Profile::Full,
                false if has("User.ReadBasic.All") => Profile::Basic,
                false => Profile::Nothing,
            },
        }
    }
}

/// All tokens that were given out.
#[derive(Debug, Default)]
pub struct Tokens {
    grants: BTreeMap<TokenId, Grant>,
    given: u64,
}

impl Tokens {
    /// Gives one out, for `life` or for a life that chance picks. Returns it with its life.
    pub fn give(
        &mut self,
        seed: u64,
        lane: u32,
        now: MonoTime,
        life: Option<Duration>,
        (rights, claims): (Rights, Claims),
    ) -> (TokenId, Duration) {
        self.given += 1;
        let (min, max) = if claims.cp1 { LONG_LIFE } else { LIFE };
        let chosen = || chance::between(seed, Purpose::TokenLife, self.given, min, max);
        // On the wire a life is a number of whole seconds.
        let life = Duration::from_secs(life.unwrap_or_else(chosen).as_secs());
        let id = TokenId(self.given);
        let grant = Grant { lane, expires_at: now + life, revoked: false, rights, claims };
        self.grants.insert(id, grant);
        if self.grants.len() > MOST_TOKENS {
            self.grants.pop_first();
        }
        (id, life)
    }

    /// The grant of a token, also when it is over.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<Grant> {
        self.grants.get(&id).copied()
    }

    /// Revokes all that are out.
    pub fn revoke_all(&mut self) {
        self.grants.values_mut().for_each(|grant| grant.revoked = true);
    }
}

impl TokenId {
    /// The bearer token's text: a JSON web token with the claims of Entra's, filled up to the length of one.
    #[must_use]
    pub fn text(self, seed: u64, statement: &Statement, life: Duration) -> String {
        let mut claims = self.claims(statement, life);
        let rest = TEXT_LENGTH - seal::LENGTH - 2 - encoded(seal::JWT_HEADER.len());
        let payload = claims.to_string();
        // The claim for it takes 21 bytes.
        if let Some(filler) = (rest * 3 / 4).checked_sub(payload.len() + 21) {
            claims["sandbox_filler"] = "0".repeat(filler).into();
        }
        seal::jwt(seed, self.0, claims.to_string().as_bytes())
    }

    /// The token of a text, if it was written by [`Self::text`] with this seed.
    #[must_use]
    pub fn from_text(text: &str, seed: u64) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        seal::opened(seed, signed, signature).map(Self)
    }

    /// The claims of a version 1.0 token, which is what Graph is given. Source: Microsoft's page "Access token claims
    /// reference".
    fn claims(self, statement: &Statement, life: Duration) -> Value {
        let Statement { tenant, client, subject, audience, claims, issued_at } = statement;
        let mut payload = json!({
            "aud": audience,
            "iss": format!("https://sts.windows.net/{tenant}/"),
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + life.as_secs(),
            "appid": client,
            "tid": tenant,
            "uti": format!("{:016x}", self.0),
            "ver": "1.0",
        });
        match subject {
            Subject::App(roles) => {
                // An app's object is its service principal, which is no user.
                let principal =
                    chance::id(client.as_u64_pair().1, Purpose::Principal, client.as_u64_pair().0);
                payload["idtyp"] = "app".into();
                payload["oid"] = principal.to_string().into();
                payload["sub"] = principal.to_string().into();
                if !roles.is_empty() {
                    payload["roles"] = roles.as_slice().into();
                }
            }
            Subject::User(user, scopes) => {
                payload["idtyp"] = "user".into();
                payload["oid"] = user.to_string().into();
                payload["sub"] = user.simple().to_string().into();
                payload["scp"] = scopes.join(" ").into();
            }
        }
        if claims.cp1 {
            payload["xms_cc"] = json!(["cp1"]);
        }
        payload
    }
}

/// How many characters so many bytes are in base64url.
const fn encoded(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;
    use crate::sandbox::service::tests::{CLIENT, TENANT, USER};

    const HOUR: Duration = Duration::from_secs(3_600);

    fn statement(subject: Subject) -> Statement {
        let audience = "https://graph.microsoft.com".to_owned();
        let claims = Claims { cp1: true, nbf: None };
        Statement { tenant: TENANT, client: CLIENT, subject, audience, claims, issued_at: 1_763_892_842 }
    }

    fn app() -> Statement {
        statement(Subject::App(vec!["Presence.ReadWrite.All".to_owned()]))
    }

    fn payload(text: &str) -> Value {
        let part = text.split('.').nth(1).unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_known_by_its_text_and_by_no_other() {
        let rights = app().subject.rights();
        let mut tokens = Tokens::default();
        let (id, life) = tokens.give(1, 0, MonoTime::ZERO, None, (rights, Claims::default()));
        assert!((LIFE.0..=LIFE.1).contains(&life));
        let text = id.text(1, &app(), HOUR);
        assert!(text.len().abs_diff(TEXT_LENGTH) <= 2, "{}", text.len());
        assert_eq!(TokenId::from_text(&text, 1), Some(id));
        assert_eq!(TokenId::from_text(&text, 2), None);
        assert_eq!(TokenId::from_text(&text[..text.len() - 1], 1), None);
        assert_eq!(TokenId::from_text("", 1), None);
        let parts: Vec<&str> = text.split('.').collect();
        let other = TokenId(2).text(1, &app(), HOUR);
        let forged = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
        assert_eq!(TokenId::from_text(&forged, 1), None, "another's claims");
    }

    #[test]
    fn the_claims_are_those_of_an_app_or_of_a_user() {
        let claims = payload(&TokenId(1).text(1, &app(), HOUR));
        assert_eq!(
            (&claims["aud"], &claims["tid"], &claims["appid"]),
            (&json!("https://graph.microsoft.com"), &json!(TENANT), &json!(CLIENT))
        );
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(), 3_600);
        assert_eq!(
            (&claims["roles"], &claims["xms_cc"]),
            (&json!(["Presence.ReadWrite.All"]), &json!(["cp1"]))
        );
        assert!(claims.get("scp").is_none() && claims["oid"] != json!(USER));
        let user = statement(Subject::User(USER, vec!["Presence.ReadWrite".to_owned()]));
        let claims = payload(&TokenId(1).text(1, &user, HOUR));
        assert_eq!((&claims["scp"], &claims["oid"]), (&json!("Presence.ReadWrite"), &json!(USER)));
        assert!(claims.get("roles").is_none());
        let none = payload(&TokenId(1).text(1, &statement(Subject::App(Vec::new())), HOUR));
        assert!(none.get("roles").is_none(), "a token without roles says nothing of them");
    }

    #[test]
    fn rights_are_those_of_the_permission_tables() {
        let of = |subject: fn(Vec<String>) -> Subject, name: &str| {
            let Rights { writes, reads, .. } = subject(vec![name.to_owned()]).rights();
            (writes, reads)
        };
        let user = |scopes| Subject::User(USER, scopes);
        assert_eq!(of(Subject::App, "Presence.ReadWrite.All"), (Reach::Everyone, Reach::Everyone));
        assert_eq!(of(Subject::App, "Presence.Read.All"), (Reach::Nobody, Reach::Everyone));
        assert_eq!(of(Subject::App, "Presence.ReadWrite"), (Reach::Nobody, Reach::Nobody));
        assert_eq!(of(user, "Presence.ReadWrite"), (Reach::Only(USER), Reach::Nobody));
        assert_eq!(of(user, "Presence.Read"), (Reach::Nobody, Reach::Only(USER)));
        assert_eq!(of(user, "Presence.Read.All"), (Reach::Nobody, Reach::Everyone));
        assert_eq!(
            of(user, "Presence.ReadWrite.All"),
            (Reach::Nobody, Reach::Nobody),
            "no such delegated one"
        );
    }
}
