//! A string as Ceph means it: any bytes, compared as bytes, cheap to clone.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Ceph's `std::string` where a client chooses the content: object names, keys, namespaces,
/// attribute names. Not necessarily UTF-8. A clone shares the bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteStr(Arc<[u8]>);

impl ByteStr {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The text for people, with what is not UTF-8 replaced.
    pub fn to_string_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for ByteStr {
    fn from(s: &str) -> Self {
        Self(s.as_bytes().into())
    }
}

impl From<String> for ByteStr {
    fn from(s: String) -> Self {
        Self(s.into_bytes().into())
    }
}

impl From<&[u8]> for ByteStr {
    fn from(s: &[u8]) -> Self {
        // Most keys and namespaces are empty; the default shares one empty slice.
        if s.is_empty() {
            return Self::default();
        }
        Self(s.into())
    }
}

impl From<Vec<u8>> for ByteStr {
    fn from(s: Vec<u8>) -> Self {
        Self(s.into())
    }
}

impl PartialEq<str> for ByteStr {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for ByteStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

/// So that maps keyed by `ByteStr` can be asked with a `&[u8]`.
impl Borrow<[u8]> for ByteStr {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ByteStr {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

impl fmt::Debug for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}
