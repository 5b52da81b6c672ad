//! The encodings against bytes that real Ceph wrote.

mod corpus;
mod reference;
mod samples;
