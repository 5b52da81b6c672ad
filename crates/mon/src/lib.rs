//! The monitor: its services over the replicated log, and its commands.
