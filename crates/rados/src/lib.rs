//! The client: targets, resends, watches, pools and object operations.
