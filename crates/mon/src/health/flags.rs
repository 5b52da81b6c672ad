//! `OSDMAP_FLAGS`: flags of the map that keep the cluster from doing its work; `OSD_FLAGS` on single OSDs;
//! `POOL_SCRUB_FLAGS`: pools that are not scrubbed.

use mgr::Severity;
use node::Now;
use osdmap::{flag, state};

use super::{Checks, report};
use crate::core::Mon;

const SCRUB_FLAGS: [(u64, &str); 2] =
    [(types::pool::flag::NOSCRUB, "noscrub"), (types::pool::flag::NODEEP_SCRUB, "nodeep-scrub")];

fn names(bits: u32) -> String {
    let mut names: Vec<_> = state::names(bits).collect();
    names.sort_unstable();
    names.join(",")
}

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    let set = map.flags & flag::WARN;
    if set != 0 {
        let names = flag::string(set);
        let count = names.len() as u64; // as Ceph counts: the length of the text
        report(checks, "OSDMAP_FLAGS", Severity::Warn, format!("{names} flag(s) set"), count, vec![]);
    }
    pools_not_scrubbed(mon, checks);
    let bits = state::NOUP | state::NODOWN | state::NOIN | state::NOOUT;
    let mut lines: Vec<String> = map
        .osds()
        .filter(|osd| map.state(*osd) & bits != 0)
        .map(|osd| format!("osd.{osd} has flags {}", names(map.state(osd) & bits)))
        .collect();
    for (id, flags) in map.crush_node_flags.iter().filter(|(_, flags)| **flags != 0) {
        let Some(name) = map.crush.item_name(*id) else { continue };
        let kind = map.crush.type_names.get(&map.crush.item_type(*id)).map_or("node", |kind| kind.as_str());
        lines.push(format!("{kind} {name} has flags {}", names(*flags)));
    }
    for (class, flags) in map.device_class_flags.iter().filter(|(_, flags)| **flags != 0) {
        let Some(name) = map.crush.class_name(*class) else { continue };
        lines.push(format!("device class '{name}' has flags {}", names(*flags)));
    }
    if !lines.is_empty() {
        let n = lines.len();
        let summary = format!("{n} OSDs or CRUSH {{nodes, device-classes}} have {{NOUP,NODOWN,NOIN,NOOUT}} flags set");
        report(checks, "OSD_FLAGS", Severity::Warn, summary, n as u64, lines);
    }
}

/// (Ceph: the same, `HEALTH_OK` and a count of 0 included.)
fn pools_not_scrubbed(mon: &Mon, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    let (mut lines, mut set) = (Vec::new(), [false; 2]);
    for (id, pool) in &map.pools {
        for (n, (_, name)) in SCRUB_FLAGS.iter().enumerate().filter(|(_, (flag, _))| pool.has_flag(*flag)) {
            lines.push(format!("Pool {} has {name} flag", map.pool_name(*id).unwrap_or_default()));
            set[n] = true;
        }
    }
    let names: Vec<&str> =
        SCRUB_FLAGS.into_iter().zip(set).filter(|(_, set)| *set).map(|((_, name), _)| name).collect();
    if !names.is_empty() {
        let summary = format!("Some pool(s) have the {} flag(s) set", names.join(", "));
        report(checks, "POOL_SCRUB_FLAGS", Severity::Ok, summary, 0, lines);
    }
}
