//! Reading groups and users of the directory, page by page.
//!
//! Sources: the pages "List group transitive members", "Get a user" and "Paging Microsoft Graph data in your app" of
//! Microsoft Graph v1.0.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use url::Url;

use super::read::{limits, read};
use super::wire::Wire;
use super::{Answer, GraphClient};
use crate::config::directory::Member;
use crate::daemon::token::AccessToken;
use crate::keeper::id::{Guid, UserId};
use crate::keeper::{Loss, Outcome};

/// What is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirectoryRead {
    /// The first page of a group's members.
    Members(Guid),
    /// A page that follows.
    Next(NextPage),
    /// The user with this principal name.
    User(Box<str>),
}

/// Where the next page is: below the same root, which is all that a token is sent to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NextPage(Url);

/// Some of what was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryPage {
    /// Users whose account is not disabled, as far as the app may know that; or the one user that was asked for.
    pub members: Vec<Member>,
    /// What follows; `None`: nothing.
    pub next: Option<NextPage>,
}

/// A user as far as it is read. What the app may not know is null. Source: "Limited information returned for inaccessible
/// member objects" in the overview of Graph's permissions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    display_name: Option<String>,
    account_enabled: Option<bool>,
}

#[derive(Deserialize)]
struct List {
    value: Vec<Listed>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

impl Listed {
    fn member(&self, token: &AccessToken) -> Option<Member> {
        let id: UserId = self.id.parse().ok()?;
        let name = self.display_name.as_deref().filter(|name| !name.contains(token.text()));
        Some(Member::new(id, name))
    }
}

impl GraphClient {
    /// Reads a page of the directory, and returns within `timeout` of real time. `wall` is the wall time now; see
    /// [`GraphClient::call`].
    ///
    /// # Errors
    /// What came instead; 404 where there is no such group or user.
    pub async fn directory(
        &self,
        what: &DirectoryRead,
        token: &AccessToken,
        timeout: Duration,
        wall: SystemTime,
    ) -> Result<DirectoryPage, Answer> {
        let asked = self.asked(token, wall);
        let url = match what {
            DirectoryRead::Members(group) => self.wire().members_url(*group),
            DirectoryRead::Next(NextPage(url)) => Some(url.clone()),
            DirectoryRead::User(name) => self.wire().user_url(name),
        };
        let heard = self.exchange(url, None, &asked, limits(timeout)).await?;
        let unusable = |why: &str| {
            let loss = Outcome::Lost { loss: Loss::Server(heard.status), retry_after: None };
            let mut answer = asked.refused(loss, &heard);
            if let Some(detail) = &mut answer.detail {
                detail.cause = Some(why.to_owned());
            }
            answer
        };
        if let DirectoryRead::User(_) = what {
            let user: Listed = read(&heard, &asked)?;
            let member = user.member(token).ok_or_else(|| unusable("the answer has no object id"))?;
            return Ok(DirectoryPage { members: vec![member], next: None });
        }
        let List { value, next } = read(&heard, &asked)?;
        let next = match next.as_deref().map(|link| self.wire().next_page(link)) {
            Some(None) => {
                return Err(unusable("the link to the next page leads elsewhere: it is not followed"));
            }
            Some(next) => next,
            None => None,
        };
        let enabled = value.iter().filter(|listed| listed.account_enabled != Some(false));
        Ok(DirectoryPage { members: enabled.filter_map(|listed| listed.member(token)).collect(), next })
    }
}

impl Wire {
    /// Where the first page of a group's users is, those of groups in it among them. 999 is the most that a page has.
    fn members_url(&self, group: Guid) -> Option<Url> {
        let path = "transitiveMembers/microsoft.graph.user?$select=id,displayName,accountEnabled&$top=999";
        Url::parse(&format!("{}/groups/{group}/{path}", self.root())).ok()
    }

    /// Where the user with a principal name is.
    fn user_url(&self, name: &str) -> Option<Url> {
        let mut url = Url::parse(&format!("{}/users/x?$select=id,displayName", self.root())).ok()?;
        url.path_segments_mut().ok()?.pop().push(name);
        Some(url)
    }

    /// The page that a link leads to; `None`: it leads elsewhere than to this Graph.
    fn next_page(&self, link: &str) -> Option<NextPage> {
        let (root, url) = (Url::parse(self.root()).ok()?, Url::parse(link).ok()?);
        let below = url.path().strip_prefix(root.path()).is_some_and(|rest| rest.starts_with('/'));
        let here = url.origin() == root.origin() && url.username().is_empty() && url.password().is_none();
        (here && below).then_some(NextPage(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Credential;
    use crate::daemon::network::testing::{LONG, Script, Server, app, direct};

    const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";

    fn wire() -> Wire {
        Wire::new(&Url::parse("https://graph.microsoft.com").unwrap(), Guid::default())
    }

    #[test]
    fn a_link_is_followed_below_the_same_root_alone() {
        for good in [
            "https://graph.microsoft.com/v1.0/groups/x?$skiptoken=y",
            "https://GRAPH.microsoft.com:443/v1.0/a",
        ] {
            assert!(wire().next_page(good).is_some(), "{good}");
        }
        for bad in [
            "http://graph.microsoft.com/v1.0/groups",
            "https://graph.microsoft.com:444/v1.0/groups",
            "https://graph.microsoft.com.evil.test/v1.0/groups",
            "https://evil@graph.microsoft.com/v1.0/groups",
            "https://graph.microsoft.com@evil.test/v1.0/groups",
            "https://graph.microsoft.com/v1.0",
            "https://graph.microsoft.com/v1.01/groups",
            "https://graph.microsoft.com/beta/groups",
            "https://graph.microsoft.com/v1.0/../beta/groups",
            "/v1.0/groups?$skiptoken=y",
            "",
        ] {
            assert!(wire().next_page(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_principal_name_is_one_segment_of_the_path_whatever_is_in_it() {
        let url = wire().user_url("a_b.com#EXT#@c.com").unwrap();
        assert_eq!(
            url.as_str(),
            "https://graph.microsoft.com/v1.0/users/a_b.com%23EXT%23@c.com?$select=id,displayName"
        );
        assert!(wire().user_url("x?y/z@c.com").unwrap().path().ends_with("/users/x%3Fy%2Fz@c.com"));
    }

    #[tokio::test]
    async fn a_page_has_users_who_are_not_disabled_and_its_link_is_looked_at() {
        let page = |link: &str| {
            let body = format!(
                "{{\"value\":[{{\"id\":\"{USER}\",\"displayName\":\"Anna\",\"accountEnabled\":true}},\
                 {{\"id\":\"{}\",\"displayName\":null,\"accountEnabled\":null}},\
                 {{\"id\":\"{}\",\"accountEnabled\":false}}]{link}}}",
                USER.replace("c3", "c4"),
                USER.replace("c3", "c5"),
            );
            Script::answer(200, "", &body)
        };
        let token = AccessToken::bearer("ey.canary-token.sig").unwrap();
        let elsewhere = page(",\"@odata.nextLink\":\"https://graph.example/v1.0/groups/x\"");
        let mut server = Server::plain(vec![page(""), elsewhere]).await;
        let app = app(&server.url("http"), Credential::SecretEnv("UNUSED".to_owned()));
        let client = GraphClient::new(&app, &direct()).unwrap();
        let what = DirectoryRead::Members(USER.parse().unwrap());
        let read = client.directory(&what, &token, LONG, SystemTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(read.next, None);
        let names: Vec<_> = read.members.iter().map(|member| member.name.as_deref()).collect();
        assert_eq!(names, [Some("Anna"), None], "of whom nothing is known is taken for enabled");
        let request = server.request().await;
        let line = format!("GET /v1.0/groups/{USER}/transitiveMembers/microsoft.graph.user?$select=");
        assert!(request.starts_with(&line), "{request}");
        let refused = client.directory(&what, &token, LONG, SystemTime::UNIX_EPOCH).await.unwrap_err();
        assert!(refused.detail.unwrap().cause.unwrap().contains("leads elsewhere"));
    }
}
