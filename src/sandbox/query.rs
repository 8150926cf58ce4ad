//! What is asked of the directory: the objects, the query options, and the tokens of pages.
//!
//! Sources: Microsoft's pages "List group transitive members", "Get group", "Get a user", "Use query parameters to
//! customize responses" and "Paging Microsoft Graph data in your app".

use serde::Serialize;
use uuid::Uuid;

use super::counts::CallKind;
use super::problem::Problem;
use super::seal;

/// How many members a page has unless `$top` says how many. Source: "List group transitive members".
pub const USUAL_PAGE: u32 = 100;
/// The most that `$top` may say. Source: the same page.
pub const LARGEST_PAGE: u32 = 999;

/// The properties of a user, those first that come without `$select`. Source: "Get a user". The sandbox knows what a
/// test has said of them; the others are null.
pub const OF_USERS: [&str; 14] = [
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "accountEnabled",
    "userType",
    "securityIdentifier",
];
/// How many of [`OF_USERS`] come without `$select`.
const USUAL_OF_USERS: usize = 11;
/// Some properties of a group.
const OF_GROUPS: [&str; 7] =
    ["id", "displayName", "description", "groupTypes", "mail", "mailEnabled", "securityEnabled"];

/// What of the directory is read, as a path names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Place {
    /// `/groups/{id}`.
    Group(String),
    /// `/groups/{id}/transitiveMembers/microsoft.graph.user`.
    Members(String),
    /// `/users/{id | userPrincipalName}`.
    User(String),
}

/// One read of the directory. What is wrong with the query is carried along, because the token is looked at first.
#[derive(Clone, Debug)]
pub struct Read {
    /// What is read.
    pub place: Place,
    /// How.
    pub query: Result<Query, Problem>,
    /// Whether it is one for a page after the first.
    pub goes_on: bool,
    /// The cost in resource units.
    pub units: u32,
}

/// The query options that the sandbox serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The properties, in the spelling of the service.
    pub select: Vec<&'static str>,
    /// `$select` was there.
    pub selects: bool,
    /// `$top`, or what counts without it.
    pub top: u32,
    /// `$top` was there.
    pub tops: bool,
    /// `$count=true` that counts: it does with `ConsistencyLevel: eventual` only. Source: "Advanced query capabilities on
    /// Microsoft Entra ID objects".
    pub count: bool,
    /// `$skiptoken`.
    pub page: Option<String>,
}

impl Read {
    /// Reads the query of a request for `place`; `eventual` is what its `ConsistencyLevel` says.
    ///
    /// The cast to users is served without that header and `$count`, too: the page asks for both, users have seen that
    /// it takes neither.
    #[must_use]
    pub fn new(place: Place, query: Option<&str>, eventual: bool) -> Self {
        let query = query.unwrap_or_default();
        let has = |name: &str| options(query).iter().any(|(given, _)| given == name);
        let small = options(query)
            .iter()
            .any(|(name, value)| name == "top" && value.parse::<u32>().is_ok_and(|top| top < 20));
        let base: u32 = if matches!(place, Place::Members(_)) { 5 } else { 1 };
        // Source: "Microsoft Graph service-specific throttling limits", identity and access.
        let units = base.saturating_sub(u32::from(has("select")) + u32::from(small)).max(1);
        Self { goes_on: has("skiptoken"), units, query: Query::read(&place, query, eventual), place }
    }

    /// Which call it is.
    #[must_use]
    pub const fn kind(&self) -> CallKind {
        match self.place {
            Place::Group(_) => CallKind::GetGroup,
            Place::Members(_) => CallKind::GetMembers,
            Place::User(_) => CallKind::GetUser,
        }
    }
}

impl Query {
    fn read(place: &Place, text: &str, eventual: bool) -> Result<Self, Problem> {
        let known: &[&'static str] = if matches!(place, Place::Group(_)) { &OF_GROUPS } else { &OF_USERS };
        let usual = if known.len() == OF_USERS.len() { &known[..USUAL_OF_USERS] } else { known };
        let mut query = Self {
            select: usual.to_vec(),
            selects: false,
            top: USUAL_PAGE,
            tops: false,
            count: false,
            page: None,
        };
        for (name, value) in options(text) {
            match name.as_str() {
                "select" => {
                    let find = |name: &str| known.iter().find(|known| known.eq_ignore_ascii_case(name));
                    let select = value.split(',').map(str::trim).map(|name| {
                        find(name).copied().ok_or_else(|| Problem::no_such_property(name, place))
                    });
                    query.select = select.collect::<Result<_, _>>()?;
                    query.selects = true;
                }
                "top" if matches!(place, Place::Members(_)) => {
                    let top = value.parse().ok().filter(|top| (1..=LARGEST_PAGE).contains(top));
                    query.top = top.ok_or_else(|| Problem::bad_page_size(&value))?;
                    query.tops = true;
                }
                "count" if matches!(place, Place::Members(_)) && matches!(&*value, "true" | "false") => {
                    query.count = eventual && value == "true";
                }
                "skiptoken" if matches!(place, Place::Members(_)) => query.page = Some(value),
                other => return Err(Problem::unsupported_option(other)),
            }
        }
        Ok(query)
    }

    /// `users(id,displayName)` or `users`, of which contexts are made.
    #[must_use]
    pub fn selection(&self, of: &str) -> String {
        if self.selects { format!("{of}({})", self.select.join(",")) } else { of.to_owned() }
    }

    /// The path and query of the page that begins after `last`, with what the request had.
    #[must_use]
    pub fn next(&self, seed: u64, issued_s: u64, group: Uuid, last: Uuid) -> String {
        let mut query = Vec::new();
        if self.selects {
            query.push(format!("$select={}", self.select.join(",")));
        }
        if self.tops {
            query.push(format!("$top={}", self.top));
        }
        if self.count {
            query.push("$count=true".to_owned());
        }
        let last = last.simple().to_string();
        let seal = seal::seal(seed, issued_s, &self.sealed(group, &last));
        query.push(format!("$skiptoken={last}{seal}"));
        format!("/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user?{}", query.join("&"))
    }

    /// After whom the page of the token begins, and in which second of the service's clock the token was issued.
    ///
    /// # Errors
    /// 400 for a token that the service did not give for this group and this query.
    pub fn after(&self, seed: u64, group: Uuid) -> Result<Option<(Uuid, u64)>, Problem> {
        let Some(token) = &self.page else { return Ok(None) };
        let opened = || {
            let (last, seal) = token.split_at_checked(32)?;
            let issued_s = seal::opened(seed, &self.sealed(group, last), seal)?;
            Some((Uuid::try_parse(last).ok()?, issued_s))
        };
        opened().map(Some).ok_or_else(Problem::bad_page_token)
    }

    /// What a token of a page is good for. Whether the members are counted as well makes no other pages.
    fn sealed(&self, group: Uuid, last: &str) -> String {
        format!("page/{group}/{last}/{}/{}", self.top, self.select.join(","))
    }
}

/// The options of a query; `$` before a name may be left out. Others than Graph's own are passed over, as it does.
fn options(query: &str) -> Vec<(String, String)> {
    const OWN: [&str; 10] =
        ["select", "top", "count", "skiptoken", "filter", "search", "orderby", "expand", "skip", "format"];
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let named = pairs.map(|(name, value)| {
        (
            name.strip_prefix('$').unwrap_or(&name).to_ascii_lowercase(),
            value.into_owned(),
            name.starts_with('$'),
        )
    });
    named
        .filter(|(name, _, dollar)| *dollar || OWN.contains(&name.as_str()))
        .map(|(name, value, _)| (name, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::service::tests::USER;

    const GROUP: Uuid = Uuid::from_u128(100);

    fn members(query: &str) -> Read {
        Read::new(Place::Members(GROUP.to_string()), Some(query), true)
    }

    fn refused(read: Read) -> (u16, String, String) {
        let problem = read.query.unwrap_err();
        assert!(problem.invalid);
        (problem.status, problem.code.into_owned(), problem.message.into_owned())
    }

    #[test]
    fn the_options_are_read_with_and_without_their_dollars() {
        let query =
            members("$select=id,displayname%2CaccountEnabled&$top=999&$count=true&x=y").query.unwrap();
        assert_eq!(query.select, ["id", "displayName", "accountEnabled"]);
        assert_eq!((query.top, query.count, query.page.as_deref()), (999, true, None));
        assert_eq!(query.selection("users"), "users(id,displayName,accountEnabled)");
        let bare = members("select=id&top=5&count=true&filter=").query;
        assert!(bare.unwrap_err().message.contains("$filter"));
        let usual = members("").query.unwrap();
        assert_eq!((usual.top, usual.select.len(), usual.selection("users")), (100, 11, "users".to_owned()));
        let strong = Read::new(Place::Members(GROUP.to_string()), Some("$count=true"), false);
        assert!(!strong.query.unwrap().count, "a count without ConsistencyLevel is none");
    }

    #[test]
    fn options_that_cannot_be_are_refused_in_the_words_of_the_service() {
        for top in ["0", "1000", "-1", "many", ""] {
            let (status, code, message) = refused(members(&format!("$top={top}")));
            assert_eq!((status, &*code), (400, "Request_UnsupportedQuery"), "{top}");
            assert_eq!(
                message,
                format!("Invalid page size specified: '{top}'. Must be between 1 and 999 inclusive.")
            );
        }
        let (status, _, message) = refused(members("$select=id,upn"));
        assert_eq!(status, 400);
        assert!(message.ends_with("property named 'upn' on type 'microsoft.graph.user'."), "{message}");
        assert!(refused(members("$count=maybe")).2.contains("$count"));
        let user = |query| Read::new(Place::User(USER.to_string()), Some(query), false);
        assert!(refused(user("$top=5")).2.contains("$top"));
        let group = Read::new(Place::Group(GROUP.to_string()), Some("$select=accountEnabled"), false);
        assert!(refused(group).2.contains("microsoft.graph.group"));
    }

    #[test]
    fn a_read_costs_what_the_table_says() {
        let cost = |query| members(query).units;
        assert_eq!((cost(""), cost("$select=id"), cost("$select=id&$top=19"), cost("$top=20")), (5, 4, 3, 5));
        let user = Read::new(Place::User(USER.to_string()), Some("$select=id"), false);
        assert_eq!(user.units, 1, "never less than one");
    }

    #[test]
    fn a_token_is_good_for_the_group_and_the_query_that_it_was_given_for() {
        let query = members("$select=id&$top=7").query.unwrap();
        let next = query.next(1, 30, GROUP, USER);
        let (path, options) = next.split_once('?').unwrap();
        assert_eq!(path, format!("/v1.0/groups/{GROUP}/transitiveMembers/microsoft.graph.user"));
        assert!(options.starts_with("$select=id&$top=7&$skiptoken="), "{options}");
        let after =
            |options: &str, group: Uuid, seed: u64| members(options).query.unwrap().after(seed, group);
        assert!(members(options).goes_on);
        assert_eq!(after(options, GROUP, 1), Ok(Some((USER, 30))));
        assert_eq!(after("$select=id&$top=7", GROUP, 1), Ok(None));
        for (options, group, seed) in [
            (options.replace("top=7", "top=8"), GROUP, 1),
            (options.replace("select=id", "select=id,displayName"), GROUP, 1),
            (options.replacen("skiptoken=f", "skiptoken=e", 1), GROUP, 1),
            (options.to_owned(), USER, 1),
            (options.to_owned(), GROUP, 2),
            ("$skiptoken=".to_owned(), GROUP, 1),
            (format!("$skiptoken={}", "é".repeat(40)), GROUP, 1),
        ] {
            let problem = after(&options, group, seed).unwrap_err();
            assert_eq!((problem.status, &*problem.code), (400, "Request_BadRequest"), "{options}");
        }
    }
}
