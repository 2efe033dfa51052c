use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::ProgressError;

/// Unique id of a job, safe to show in a URL.
///
/// [`ProgressId::new`] creates a random UUID (version 4, 122 random bits), because the id is part
/// of the address that a page polls and is sometimes the only protection against strangers. A
/// caller may use its own UUID ([`from_uuid`](Self::from_uuid)); use a random one unless every poll
/// is authorised.
///
/// An id has exactly one spelling: 36 characters, lower case, hyphenated. Other forms that RFC 9562
/// or the `uuid` crate accept (upper case, braces, `urn:uuid:`) are rejected, so two addresses
/// never name the same record.
///
/// ```
/// use progress_core::ProgressId;
///
/// let id: ProgressId = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse()?;
/// assert_eq!(id.to_string(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
/// assert!("67E55044-10B1-426F-9247-BB680E5FE0C8".parse::<ProgressId>().is_err());
/// # Ok::<(), progress_core::ProgressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgressId(Uuid);

impl ProgressId {
    /// Creates a random id.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "every call returns another value, which callers do not expect of a default"
    )]
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }

    /// Uses the caller's own UUID, of any version.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the UUID itself.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for ProgressId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for ProgressId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProgressId({self})")
    }
}

impl FromStr for ProgressId {
    type Err = ProgressError;

    /// # Errors
    ///
    /// [`ProgressError::Invalid`] unless the text is the one spelling of an id.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed =
            || ProgressError::invalid("an id must be a UUID in lower case with hyphens");
        // The length is checked first, so that `try_parse` never scans kilobytes.
        if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(malformed());
        }
        Uuid::try_parse(text).map(Self).map_err(|_| malformed())
    }
}

impl Serialize for ProgressId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProgressId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ProgressId::new();
        let text = id.to_string();
        assert_eq!(text.parse::<ProgressId>().unwrap(), id);
        for other in [
            text.to_uppercase(),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            text.replace('-', ""),
            format!(" {text}"),
            format!("{text}\0"),
            text.replacen('-', "0", 1),
            String::new(),
            "..".to_owned(),
            "é".repeat(18),
            "a".repeat(4096),
        ] {
            assert!(other.parse::<ProgressId>().is_err(), "{other:?} was accepted as an id");
        }
    }

    #[test]
    fn serde_uses_the_one_spelling() {
        let id = ProgressId::new();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<ProgressId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<ProgressId>(&json.to_uppercase()).is_err());
    }
}
