//! Ceph's messages, one file each, and the table of their type numbers.
//!
//! A message on the wire is a type, a few header fields and three byte strings: front, middle, data.
//! [`Message`] is that, decoded.

#![forbid(unsafe_code)]

use bytes::Bytes;

/// `CEPH_MSG_PRIO_DEFAULT`; and the others that Ceph uses.
pub const PRIO_LOW: u16 = 64;
pub const PRIO_DEFAULT: u16 = 127;
pub const PRIO_HIGH: u16 = 196;
pub const PRIO_HIGHEST: u16 = 255;

/// A message: the header's fields that cores see, and the body.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The sender's transaction number; a reply repeats it.
    pub tid: u64,
    pub priority: u16,
    pub body: Body,
}

/// What a message says, by type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// A type that we do not know; kept as it came.
    Unknown { kind: u16, version: u16, front: Bytes, middle: Bytes, data: Bytes },
}

/// A message as msgr carries it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wire {
    pub kind: u16,
    pub tid: u64,
    pub priority: u16,
    /// The encoding's version and the oldest reader it allows (header fields, not in `front`).
    pub version: u16,
    pub compat_version: u16,
    /// Where the data wants to be aligned (Ceph: `data_off`).
    pub data_off: u16,
    pub front: Bytes,
    pub middle: Bytes,
    pub data: Bytes,
}
