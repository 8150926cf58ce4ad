//! The objects of the directory that a test has defined: groups with their members, users with their names.
//!
//! A user that was not defined exists all the same, as everywhere in the sandbox; it is in no group.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::route::object_id;

/// The domain of the user principal names of users that were given none.
const DOMAIN: &str = "@sandbox.example";

/// A tenant, or all of them; and an object id.
type Key = (Option<Uuid>, Uuid);

/// What an object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A user.
    #[default]
    User,
    /// A group; its members are members of the groups that it is in.
    Group,
    /// A device.
    Device,
    /// An organizational contact.
    OrgContact,
    /// A service principal.
    ServicePrincipal,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its display name.
    pub display_name: Option<String>,
    /// Of a user: the user principal name, where one was given.
    pub user_principal_name: Option<String>,
    /// Of a user: whether the account may sign in.
    pub account_enabled: bool,
    /// Whether it was deleted: it is found no more, and is a member of nothing.
    pub deleted: bool,
    /// Of a group: its direct members.
    pub members: BTreeSet<Uuid>,
}

impl Default for Object {
    fn default() -> Self {
        Self {
            kind: Kind::User,
            display_name: None,
            user_principal_name: None,
            account_enabled: true,
            deleted: false,
            members: BTreeSet::new(),
        }
    }
}

/// What is said of an object. What is not named stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Said {
    /// Which one; a path may name it instead.
    pub id: Option<Uuid>,
    /// What it is.
    pub kind: Option<Kind>,
    /// Its display name.
    pub display_name: Option<String>,
    /// The user principal name.
    pub user_principal_name: Option<String>,
    /// Whether the account may sign in.
    pub account_enabled: Option<bool>,
}

/// A new group, or a change of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaidOfGroup {
    /// The tenant it is in; absent: it is in every one.
    pub tenant: Option<Uuid>,
    /// Its display name.
    pub display_name: Option<String>,
    /// All of its members.
    pub members: Option<Vec<Value>>,
    /// Members more.
    #[serde(default)]
    pub add: Vec<Value>,
    /// Members less.
    #[serde(default)]
    pub remove: Vec<Uuid>,
}

/// All objects.
#[derive(Debug, Default)]
pub struct Objects {
    all: BTreeMap<Key, Object>,
    /// User principal names in lower case.
    names: BTreeMap<(Option<Uuid>, String), Uuid>,
}

impl Objects {
    /// An object that was defined, in a tenant.
    #[must_use]
    pub fn get(&self, tenant: Uuid, id: Uuid) -> Option<&Object> {
        self.all.get(&(Some(tenant), id)).or_else(|| self.all.get(&(None, id)))
    }

    /// A group that there is.
    #[must_use]
    pub fn group(&self, tenant: Uuid, id: Uuid) -> Option<&Object> {
        self.get(tenant, id).filter(|object| object.kind == Kind::Group && !object.deleted)
    }

    /// A user, be it that it was not defined. `None` where the id is that of something else, or was deleted.
    #[must_use]
    pub fn user(&self, tenant: Uuid, id: Uuid) -> Option<Cow<'_, Object>> {
        match self.get(tenant, id) {
            None => Some(Cow::Owned(Object::default())),
            Some(object) if object.kind == Kind::User && !object.deleted => Some(Cow::Borrowed(object)),
            Some(_) => None,
        }
    }

    /// The object id that goes with an object id or a user principal name, which is compared without case.
    #[must_use]
    pub fn resolve(&self, tenant: Uuid, name: &str) -> Option<Uuid> {
        let lower = name.to_lowercase();
        let given = |tenant| self.names.get(&(tenant, lower.clone())).copied();
        let unnamed = || {
            let id = object_id(lower.strip_suffix(DOMAIN)?)?;
            self.get(tenant, id).is_none_or(|object| object.user_principal_name.is_none()).then_some(id)
        };
        object_id(name).or_else(|| given(Some(tenant))).or_else(|| given(None)).or_else(unnamed)
    }

    /// The users among the members of a group and of the groups in it, each once, in the order of their ids.
    #[must_use]
    pub fn transitive_users(&self, tenant: Uuid, group: &Object) -> BTreeMap<Uuid, &Object> {
        let mut users = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut groups = vec![group];
        while let Some(group) = groups.pop() {
            for id in &group.members {
                match self.get(tenant, *id).filter(|object| !object.deleted) {
                    Some(object) if object.kind == Kind::User => {
                        users.insert(*id, object);
                    }
                    Some(object) if object.kind == Kind::Group && seen.insert(*id) => groups.push(object),
                    _ => {}
                }
            }
        }
        users
    }

    /// Defines a group anew, or changes what is said of one.
    ///
    /// # Errors
    /// Says in a sentence what is wrong; nothing has changed then.
    pub fn put_group(&mut self, id: Uuid, said: SaidOfGroup, anew: bool) -> Result<&Object, String> {
        let SaidOfGroup { tenant, display_name, members, add, remove } = said;
        let here =
            |key: &Key| self.all.get(key).filter(|object| object.kind == Kind::Group && !object.deleted);
        if !anew && here(&(tenant, id)).is_none() {
            return Err("there is no such group; name the tenant where it was defined with one".to_owned());
        }
        let read = |members: Vec<Value>| members.into_iter().map(read_member).collect::<Result<Vec<_>, _>>();
        let (members, add) = (members.map(read).transpose()?, read(add)?);
        let said = members.iter().flatten().chain(&add);
        self.check_names(tenant, said.clone().map(|member| (member.0, &member.1)))?;
        let entered: Vec<_> = said.cloned().collect();
        for (id, said) in entered {
            self.say(tenant, id, said);
        }
        let group = self.all.entry((tenant, id)).or_default();
        let kept = if anew { BTreeSet::new() } else { std::mem::take(&mut group.members) };
        let mut kept = members.map_or(kept, |members| members.into_iter().map(|(id, _)| id).collect());
        kept.extend(add.into_iter().map(|(id, _)| id));
        remove.iter().for_each(|id| {
            kept.remove(id);
        });
        let display_name = display_name.or_else(|| group.display_name.take().filter(|_| !anew));
        *group = Object { kind: Kind::Group, display_name, members: kept, ..Object::default() };
        Ok(group)
    }

    /// Defines a user, or changes what is said of one.
    ///
    /// # Errors
    /// Says in a sentence what is wrong; nothing has changed then.
    pub fn put_user(&mut self, tenant: Option<Uuid>, id: Uuid, said: Said) -> Result<&Object, String> {
        self.check_names(tenant, std::iter::once((id, &said)))?;
        self.say(tenant, id, said);
        Ok(&self.all[&(tenant, id)])
    }

    /// Deletes a group or a user.
    pub fn delete(&mut self, tenant: Option<Uuid>, id: Uuid) {
        let object = self.all.entry((tenant, id)).or_default();
        object.deleted = true;
        object.members.clear();
        let name = object.user_principal_name.take();
        name.and_then(|name| self.names.remove(&(tenant, name.to_lowercase())));
    }

    /// A user principal name belongs to one user.
    fn check_names<'a>(
        &self,
        tenant: Option<Uuid>,
        said: impl Iterator<Item = (Uuid, &'a Said)>,
    ) -> Result<(), String> {
        let mut new = BTreeMap::new();
        for (id, said) in said {
            let Some(name) = &said.user_principal_name else { continue };
            let key = (tenant, name.to_lowercase());
            let other = self.names.get(&key).or_else(|| new.get(&key));
            if other.is_some_and(|other| *other != id) {
                return Err(format!("{name} is another user's name"));
            }
            new.insert(key, id);
        }
        Ok(())
    }

    fn say(&mut self, tenant: Option<Uuid>, id: Uuid, said: Said) {
        let Said { id: _, kind, display_name, user_principal_name, account_enabled } = said;
        let object = self.all.entry((tenant, id)).or_default();
        object.deleted = false;
        object.kind = kind.unwrap_or(object.kind);
        object.account_enabled = account_enabled.unwrap_or(object.account_enabled);
        object.display_name = display_name.or_else(|| object.display_name.take());
        if let Some(name) = user_principal_name {
            if let Some(old) = object.user_principal_name.replace(name.clone()) {
                self.names.remove(&(tenant, old.to_lowercase()));
            }
            self.names.insert((tenant, name.to_lowercase()), id);
        }
    }
}

/// The user principal name of a user.
#[must_use]
pub fn name_of(id: Uuid, user: &Object) -> String {
    user.user_principal_name.clone().unwrap_or_else(|| format!("{id}{DOMAIN}"))
}

/// A member: an object id, or an object that has it in `id`.
fn read_member(member: Value) -> Result<(Uuid, Said), String> {
    let said = match member {
        Value::String(id) => {
            let id = object_id(&id).ok_or_else(|| format!("{id:?} is no object id"))?;
            Said { id: Some(id), ..Said::default() }
        }
        member @ Value::Object(_) => {
            serde_json::from_value(member).map_err(|error| format!("a member: {error}"))?
        }
        _ => return Err("a member is an object id, or an object with an id".to_owned()),
    };
    let id = said.id.ok_or("a member has an id")?;
    Ok((id, said))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TENANT: Uuid = Uuid::from_u128(1);
    const GROUP: Uuid = Uuid::from_u128(100);

    fn put(objects: &mut Objects, id: Uuid, said: Value) -> Result<(), String> {
        objects.put_group(id, serde_json::from_value(said).unwrap(), true).map(|_| ())
    }

    fn change(objects: &mut Objects, said: Value) -> Result<(), String> {
        objects.put_group(GROUP, serde_json::from_value(said).unwrap(), false).map(|_| ())
    }

    fn user(objects: &mut Objects, id: Uuid, said: Value) -> Result<(), String> {
        objects.put_user(None, id, serde_json::from_value(said).unwrap()).map(|_| ())
    }

    fn users(objects: &Objects) -> Vec<u128> {
        let group = objects.group(TENANT, GROUP).unwrap();
        objects.transitive_users(TENANT, group).keys().map(Uuid::as_u128).collect()
    }

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn the_users_of_groups_in_a_group_are_its_members_each_once() {
        let mut objects = Objects::default();
        let device = json!({"id": id(9), "kind": "device"});
        let nested = |n| json!({"id": id(n), "kind": "group"});
        put(&mut objects, GROUP, json!({"members": [id(2), id(1), device, nested(101), nested(103)]}))
            .unwrap();
        assert_eq!(users(&objects), [1, 2], "a group that was named as a member has none");
        put(&mut objects, id(101), json!({"members": [id(3), id(1), nested(102)]})).unwrap();
        put(&mut objects, id(102), json!({"members": [id(4), nested(100)]})).unwrap();
        assert_eq!(users(&objects), [1, 2, 3, 4], "also in a circle");
        objects.delete(None, id(101));
        objects.delete(None, id(2));
        assert_eq!(users(&objects), [1]);
        assert!(objects.group(TENANT, id(101)).is_none() && objects.user(TENANT, id(2)).is_none());
    }

    #[test]
    fn members_are_added_and_removed_and_what_was_said_of_them_stays() {
        let mut objects = Objects::default();
        let disabled = json!({"id": id(1), "displayName": "Reception", "accountEnabled": false});
        put(&mut objects, GROUP, json!({"displayName": "Phones", "members": [disabled, id(2)]})).unwrap();
        change(&mut objects, json!({"add": [id(3), id(1)], "remove": [id(2), id(7)]})).unwrap();
        assert_eq!(users(&objects), [1, 3]);
        let reception = objects.user(TENANT, id(1)).unwrap();
        assert_eq!(
            (reception.display_name.as_deref(), reception.account_enabled),
            (Some("Reception"), false)
        );
        assert_eq!(objects.group(TENANT, GROUP).unwrap().display_name.as_deref(), Some("Phones"));
        put(&mut objects, GROUP, json!({"members": [id(5)]})).unwrap();
        assert_eq!(users(&objects), [5]);
        assert_eq!(objects.group(TENANT, GROUP).unwrap().display_name, None, "it was defined anew");
        objects.delete(None, GROUP);
        assert!(change(&mut objects, json!({"add": [id(1)]})).unwrap_err().contains("no such group"));
    }

    #[test]
    fn what_is_wrong_with_a_group_is_told_and_changes_nothing() {
        let mut objects = Objects::default();
        put(&mut objects, GROUP, json!({"members": [id(1)]})).unwrap();
        let mut refused =
            |members: Value| put(&mut objects, GROUP, json!({ "members": members })).unwrap_err();
        assert!(refused(json!([id(2), "reception"])).contains("\"reception\" is no object id"));
        assert!(refused(json!([id(2), {"displayName": "x"}])).contains("has an id"));
        assert!(refused(json!([id(2), {"id": id(3), "upn": "x"}])).contains("upn"));
        assert!(refused(json!([[id(2)]])).contains("an object with an id"));
        let twice = |n| json!({"id": id(n), "userPrincipalName": "desk@contoso.com"});
        assert!(refused(json!([twice(2), twice(3)])).contains("another user's"));
        assert_eq!(users(&objects), [1]);
        assert!(objects.get(TENANT, id(2)).is_none());
    }

    #[test]
    fn a_user_is_found_by_a_name_that_is_its_own() {
        let mut objects = Objects::default();
        let named = |name: &str| json!({"userPrincipalName": name});
        user(&mut objects, id(1), named("Desk@contoso.com")).unwrap();
        assert_eq!(objects.resolve(TENANT, "desk@CONTOSO.com"), Some(id(1)));
        assert!(user(&mut objects, id(2), named("DESK@contoso.com")).is_err());
        user(&mut objects, id(1), named("front@contoso.com")).unwrap();
        assert_eq!(objects.resolve(TENANT, "desk@contoso.com"), None, "it has another name now");
        user(&mut objects, id(2), named("desk@contoso.com")).unwrap();
        objects.delete(None, id(1));
        assert_eq!(objects.resolve(TENANT, "front@contoso.com"), None);
        assert_eq!(objects.resolve(TENANT, &id(1).to_string()), Some(id(1)), "an id is an id");
        let unnamed = name_of(id(3), &objects.user(TENANT, id(3)).unwrap());
        assert_eq!(objects.resolve(TENANT, &unnamed), Some(id(3)), "{unnamed}");
    }

    #[test]
    fn what_is_said_of_a_tenant_counts_there_alone() {
        let mut objects = Objects::default();
        put(&mut objects, GROUP, json!({"members": [id(1)]})).unwrap();
        put(&mut objects, GROUP, json!({"tenant": id(2), "members": [id(1), id(3)]})).unwrap();
        let size = |tenant| objects.group(tenant, GROUP).unwrap().members.len();
        assert_eq!((size(TENANT), size(id(2))), (1, 2));
    }
}
