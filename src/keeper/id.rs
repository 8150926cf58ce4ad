//! Who is meant: users, applications, tenants, lanes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A GUID, as Entra ID names objects: 16 bytes, written `8-4-4-4-12` in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid([u8; 16]);

/// The text is no GUID of the form `8-4-4-4-12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID: 32 hexadecimal digits as 8-4-4-4-12 are needed")]
pub struct NotAGuid;

impl Guid {
    /// The GUID with these bytes, in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The GUID whose digits are those of `value`.
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        Self(value.to_be_bytes())
    }

    /// Its bytes, in the order in which they are written.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Guid {
    type Err = NotAGuid;

    fn from_str(text: &str) -> Result<Self, NotAGuid> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(NotAGuid);
        }
        let mut value = 0_u128;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(NotAGuid);
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or(NotAGuid)?;
            value = value << 4 | u128::from(digit);
        }
        Ok(Self::from_u128(value))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = u128::from_be_bytes(self.0);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            v >> 80 & 0xffff,
            v >> 64 & 0xffff,
            v >> 48 & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A user's object id in Entra ID.
pub type UserId = Guid;
/// An app registration's application (client) id, which is also the `sessionId` of its presence sessions.
pub type ClientId = Guid;
/// A directory (tenant) id.
pub type TenantId = Guid;

/// What makes a lane the same lane: one app registration in one tenant of one cloud.
///
/// A presence session belongs to (cloud, tenant, client id, user); what else an app has (its name, its credential,
/// its quota) may change without its sessions becoming others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LaneKey {
    /// Root of the Graph service, without `/v1.0`, such as `https://graph.microsoft.com`.
    pub graph: Arc<str>,
    /// The tenant whose users are shown.
    pub tenant: TenantId,
    /// The app registration.
    pub client: ClientId,
}

/// A lane's place among the keeper's lanes, given out when it opens and used again after it is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LaneIx(pub u32);

/// A session's place in its lane, given out when it is added and used again after it is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u32);

/// A session: which lane, and where in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionIx {
    /// Its lane.
    pub lane: LaneIx,
    /// Its place there.
    pub slot: Slot,
}

/// Counts the tokens of a lane: each fetch makes the next generation, whether it succeeds or not. 0 is none yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Generation(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_reads_back_as_it_was_written() {
        let text = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";
        let guid: Guid = text.parse().unwrap();
        assert_eq!(guid.to_string(), text);
        assert_eq!("FA8BF3DC-ECA7-46B7-BAD1-DB199B62AFC3".parse(), Ok(guid), "case does not count");
    }

    #[test]
    fn what_is_no_guid_is_refused() {
        for text in [
            "",
            "fa8bf3dc",
            "fa8bf3dceca746b7bad1db199b62afc3",
            "fa8bf3dc-eca7-46b7-bad1-db199b62afcg",
            "{fa8bf3dc-eca7-46b7-bad1-db199b62afc}",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(NotAGuid), "{text}");
        }
    }
}
