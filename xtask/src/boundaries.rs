//! Which crate may know which: the architecture's edges, one line each.

use anyhow::Result;

use crate::run::output;

/// (crate, what must not be among its dependencies, why).
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("osd", "tokio", "cores know no driver"),
    ("mon", "tokio", "cores know no driver"),
    ("mgr", "tokio", "cores know no driver"),
    ("rados", "tokio", "cores know no driver"),
    ("pg", "tokio", "cores know no driver"),
    ("msgr", "tokio", "cores know no driver"),
    ("quorum", "tokio", "cores know no driver"),
    ("sim", "tokio", "the simulator has its own time"),
    ("sim", "runtime", "the drivers do not know each other"),
    ("pg", "store", "a PG speaks to any store"),
    ("osd", "store", "an OSD speaks to any store"),
    ("mon", "store", "a monitor speaks to any store"),
    ("pg", "osd", "a PG does not know what holds it"),
    ("pg", "mon", "a PG does not know the monitors"),
    ("osd", "mon", "daemons meet on the wire"),
    ("rados", "mon", "daemons and clients meet on the wire"),
    ("rados", "osd", "daemons and clients meet on the wire"),
    ("msgr", "messages", "a connection carries bytes"),
    ("messages", "osdmap", "maps travel as bytes"),
    ("messages", "msgr", "a message does not know how it travels"),
    ("quorum", "osdmap", "the log does not know what it replicates"),
    ("quorum", "messages", "the log does not know what it replicates"),
    ("quorum", "mon", "the log does not know what it replicates"),
    ("crush", "types", "placement knows numbers only"),
    ("os", "store", "the contract does not know its engine"),
    ("explain", "messages", "reasons from what any Ceph answers"),
    ("explain", "osdmap", "reasons from what any Ceph answers"),
    ("cli", "mon", "the command line keeps no list of monitor commands"),
];

/// Checks every edge; prints those that should not be.
pub fn check() -> Result<bool> {
    let mut good = true;
    for (from, to, why) in FORBIDDEN {
        let tree = output("cargo", &["tree", "-q", "-p", from, "-e", "normal", "--prefix", "none", "-f", "{lib}"])?;
        if tree.lines().any(|line| line.trim() == *to) {
            println!("{from} depends on {to}: {why}");
            good = false;
        }
    }
    Ok(good)
}
