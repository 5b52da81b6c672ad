//! Scenarios: whole clusters of the real cores and stores, on one thread.

mod backfill;
mod damage;
mod explained;
mod isolated;
mod marked_down;
mod mons;
mod pg_num;
mod planted;
mod scenarios;
mod seeds;
mod snapshots;
