//! Object classes as plain functions in a static table.
