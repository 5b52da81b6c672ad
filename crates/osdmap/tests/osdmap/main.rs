//! Maps against those that Ceph 16.2.15 wrote, mapped and printed.

mod apply;
mod encoding;
mod mapping;
mod printing;
mod support;
