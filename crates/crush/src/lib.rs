//! CRUSH: the map, its hash and its rules, bit for bit as in Ceph.
