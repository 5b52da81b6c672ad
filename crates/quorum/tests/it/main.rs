//! The monitors' log: crashes at every step, seeded networks and disks, and every interleaving of a
//! small scope.

mod crash;
mod elections;
mod model;
mod net;
mod sweep;
