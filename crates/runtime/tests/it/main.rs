//! Nodes on real sockets. Each node runs on a thread of its own; what it saw comes over a channel, and
//! tests wait for that, not for time.

mod ceph;
mod durable;
mod scripted;
mod sockets;
