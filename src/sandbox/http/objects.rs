//! What is said at the sandbox's own door of groups and users of the directory.

use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::Desk;
use super::door::{pretty, read};
use crate::sandbox::call::is_object;
use crate::sandbox::objects::{Object, Said, SaidOfGroup};
use crate::sandbox::route::object_id;

/// A user, with the tenant it is in; absent: it is in every one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SaidOfUser {
    tenant: Option<Uuid>,
    display_name: Option<String>,
    user_principal_name: Option<String>,
    account_enabled: Option<bool>,
}

/// Which tenant is meant.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    tenant: Option<Uuid>,
}

impl Desk {
    /// PUT, PATCH and DELETE of `/sandbox/groups/{id}`.
    pub(super) fn say_of_group(&self, method: &Method, id: &str, body: &[u8]) -> Result<String, String> {
        let id = object_id(id).ok_or("a group is named by object id")?;
        if *method == Method::DELETE {
            return self.delete_object(id, body);
        }
        let said: SaidOfGroup = read_object(body)?;
        let mut service = self.service();
        service.objects_mut().put_group(id, said, *method == Method::PUT).map(|group| shown(id, group))
    }

    /// PUT and DELETE of `/sandbox/users/{id}`.
    pub(super) fn say_of_user(&self, method: &Method, id: &str, body: &[u8]) -> Result<String, String> {
        let id = object_id(id).ok_or("a user is named by object id")?;
        if *method == Method::DELETE {
            return self.delete_object(id, body);
        }
        let SaidOfUser { tenant, display_name, user_principal_name, account_enabled } = read_object(body)?;
        let said = Said { display_name, user_principal_name, account_enabled, ..Said::default() };
        let mut service = self.service();
        service.objects_mut().put_user(tenant, id, said).map(|user| shown(id, user))
    }

    fn delete_object(&self, id: Uuid, body: &[u8]) -> Result<String, String> {
        let Where { tenant } = if body.is_empty() { Where::default() } else { read_object(body)? };
        self.service().objects_mut().delete(tenant, id);
        Ok(pretty(&json!({})))
    }
}

/// Serde would read a list as an object, field by field.
fn read_object<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    if is_object(body) { read(body) } else { Err("the body is an object".to_owned()) }
}

/// An object in short: of its members, how many there are.
fn shown(id: Uuid, object: &Object) -> String {
    let mut shown = json!(object);
    shown["id"] = json!(id);
    shown["members"] = json!(object.members.len());
    pretty(&shown)
}
