//! Object classes: code that runs where the object is, called by clients by name (`CALL`).
//!
//! A class is a row of a static table: its methods are plain functions over a [`ClsContext`], which
//! the OSD implements. What a method changes becomes part of the op vector's transaction.
//!
//! Start at [`find`]. Each class is a file of its own.
//!
//! Invariants:
//! - A method is a function of its input and the context: no clock, no randomness, no state of its own.
//! - As in Ceph, a method reads data, attributes and omap as they were before the op vector; existence
//!   and size as earlier ops of the vector left them.
//! - A method which is not marked as reading (writing) and reads (writes) fails with EIO.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Decode, Decoder, Encoder};
use types::errno::EINVAL;
use types::{EntityInst, UTime};

mod hello;
mod lock;
mod numops;
mod refcount;
mod version;

/// A positive number of `types::errno`.
pub type Errno = i32;
pub type Result<T> = std::result::Result<T, Errno>;

/// The object that a method works on, and who calls. Names of attributes are the client's own.
pub trait ClsContext {
    /// The wall clock of this op.
    fn now(&self) -> UTime;
    /// Who asked (Ceph: `cls_get_request_origin`).
    fn origin(&self) -> EntityInst;
    /// The caller's feature bits.
    fn features(&self) -> u64;
    /// Bytes that no other op gets, for tags.
    fn unique(&self) -> [u8; 18];

    /// Size and modification time; ENOENT if the object is not there.
    fn stat(&mut self) -> Result<(u64, UTime)>;
    /// Up to `len` bytes (all if 0); nothing of an object that is not there.
    fn read(&mut self, off: u64, len: u64) -> Result<Bytes>;
    /// ENODATA without the attribute, ENOENT without the object.
    fn xattr(&mut self, name: &[u8]) -> Result<Bytes>;
    fn xattrs(&mut self) -> Result<BTreeMap<ByteStr, Bytes>>;
    /// ENOENT without the key.
    fn omap_value(&mut self, key: &[u8]) -> Result<Bytes>;
    /// Pairs with keys greater than `after` that start with `prefix`, at most `max`, and whether more follow.
    fn omap_values(&mut self, after: &[u8], prefix: &[u8], max: u64) -> Result<(Vec<(ByteStr, Bytes)>, bool)>;
    fn omap_header(&mut self) -> Result<Bytes>;

    /// EEXIST if `exclusive` and the object is there.
    fn create(&mut self, exclusive: bool) -> Result<()>;
    fn remove(&mut self) -> Result<()>;
    fn write(&mut self, off: u64, data: Bytes) -> Result<()>;
    fn write_full(&mut self, data: Bytes) -> Result<()>;
    fn truncate(&mut self, size: u64) -> Result<()>;
    fn set_xattr(&mut self, name: &[u8], value: Bytes) -> Result<()>;
    fn rm_xattr(&mut self, name: &[u8]) -> Result<()>;
    fn omap_set(&mut self, pairs: BTreeMap<ByteStr, Bytes>) -> Result<()>;
    fn omap_rm(&mut self, keys: Vec<ByteStr>) -> Result<()>;
    fn omap_clear(&mut self) -> Result<()>;
    fn omap_set_header(&mut self, header: Bytes) -> Result<()>;
}

/// `CLS_METHOD_RD`, `CLS_METHOD_WR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flags {
    Rd,
    Wr,
    RdWr,
}

impl Flags {
    pub fn reads(self) -> bool {
        self != Self::Wr
    }

    pub fn writes(self) -> bool {
        self != Self::Rd
    }
}

/// Runs a method. What it leaves in the encoder goes to the client even if it fails. The value is the op's
/// result, 0 or positive.
pub type MethodFn = fn(&mut dyn ClsContext, Bytes, &mut Encoder) -> Result<i32>;

pub struct Method {
    pub name: &'static str,
    pub flags: Flags,
    pub call: MethodFn,
}

/// A filter for listings (`PGNLS_FILTER`): chooses objects by the value of one attribute.
pub struct Filter {
    pub name: &'static str,
    /// Reads the filter's parameters: the attribute's name as it is stored, and the value it must have.
    pub init: fn(&mut Decoder) -> Result<XattrEquals>,
}

/// Matches objects whose attribute has exactly this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XattrEquals {
    pub xattr: ByteStr,
    pub value: ByteStr,
}

pub struct Class {
    pub name: &'static str,
    pub methods: &'static [Method],
    pub filters: &'static [Filter],
}

impl Class {
    pub fn method(&self, name: &[u8]) -> Option<&'static Method> {
        self.methods.iter().find(|m| m.name.as_bytes() == name)
    }

    pub fn filter(&self, name: &[u8]) -> Option<&'static Filter> {
        self.filters.iter().find(|f| f.name.as_bytes() == name)
    }
}

const CLASSES: &[&Class] = &[&hello::CLASS, &lock::CLASS, &numops::CLASS, &refcount::CLASS, &version::CLASS];

/// The class of that name, if we offer it.
pub fn find(name: &[u8]) -> Option<&'static Class> {
    CLASSES.iter().find(|c| c.name.as_bytes() == name).copied()
}

/// Reads a method's input; what follows it is ignored, as in Ceph.
fn input<T: Decode>(bytes: Bytes) -> Result<T> {
    Decoder::new(bytes).get().map_err(|_| EINVAL)
}

#[cfg(test)]
mod testing;
