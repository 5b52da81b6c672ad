//! The monitors' replicated log; it knows bytes, not maps.
