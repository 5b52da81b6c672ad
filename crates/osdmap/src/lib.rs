//! The OSD map, its incrementals, and where an object lives.
