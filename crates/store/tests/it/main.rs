//! The store against its model, with disks that fail and lose what was not synced.

mod crash;
mod damage;
mod files;
mod gen_txn;
mod model;
