//! The driver of simulated clusters: one thread, a virtual clock, faulty network and disks.
