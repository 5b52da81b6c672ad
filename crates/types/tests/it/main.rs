//! The encodings against bytes that real Ceph wrote.

mod corpus;
mod recorded;
mod reference;
mod samples;
