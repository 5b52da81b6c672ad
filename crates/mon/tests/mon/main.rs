//! The monitor as a value: inputs in, outputs looked at.

mod commands;
mod crashes;
mod failures;
mod fuzz;
mod harness;
mod health;
mod osds;
mod placement;
mod restart;
mod sessions;
mod shapes;
