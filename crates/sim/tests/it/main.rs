//! Scenarios: whole clusters of the real cores and stores, on one thread.

mod scenarios;
mod seeds;
