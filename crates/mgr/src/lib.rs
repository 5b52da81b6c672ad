//! The manager: PG statistics and the commands that show them.
