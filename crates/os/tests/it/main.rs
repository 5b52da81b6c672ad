//! Transactions against real Ceph's bytes, and the model against its own rules.

mod model;
mod wire;
