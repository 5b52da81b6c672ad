//! `report`: everything that a developer asks for, in one tree.

use types::dump::Dump;

use super::{Cmd, CmdResult};
use crate::change::Space;
use crate::fsmap;

/// So that whoever gets it by mail can tell whether it is whole; Ceph's seed is the monitors' old port.
const SEED: u32 = 6789;

pub fn report(c: &mut Cmd) -> CmdResult {
    let now = c.now();
    let mon = &*c.mon;
    let map = &mon.state.osdmap;
    let osds = map.osds().map(|osd| {
        let mut d = Dump::obj().with("id", osd);
        mon.osd_metadata(osd).into_iter().for_each(|(k, v)| d.put(k, v));
        d
    });
    let applied = mon.state.applied;
    let auth = Dump::obj()
        .with("first_committed", 1u8)
        .with("last_committed", applied)
        .with("num_secrets", mon.state.space(Space::Auth).count());
    // Ours is a log: the first entry kept, and the last.
    let paxos = Dump::obj()
        .with("first_committed", mon.log.first_index())
        .with("last_committed", applied)
        .with("last_pn", mon.log.term())
        .with("accepted_pn", mon.log.term());
    let mut d = Dump::obj()
        .with("cluster_fingerprint", mon.setup.fsid)
        .with("version", types::version::SHORT)
        .with("commit", types::version::full().split(['(', ')']).nth(1).unwrap_or_default())
        .with("timestamp", now.wall)
        .with("tag", c.args.list("tags").join(" "))
        .with("health", mon.health_dump(now, true))
        .with("monmap_first_committed", mon.monmap().epoch)
        .with("monmap_last_committed", mon.monmap().epoch)
        .with("monmap", mon.monmap().dump())
        .with("quorum", Dump::arr("rank", mon.quorum_ranks()))
        .with("osdmap", map.dump())
        .with("osd_metadata", Dump::arr("osd", osds))
        .with("osdmap_clean_epochs", mon.clean_epochs_dump())
        .with("osdmap_first_committed", mon.state.first_map)
        .with("osdmap_last_committed", map.epoch)
        .with("crushmap", osdmap::dump_crush(&map.crush))
        .with("fsmap", fsmap::dump())
        .with("mdsmap_first_committed", 1u8)
        .with("mdsmap_last_committed", 1u8)
        .with("auth", auth);
    d.extend(mgr::digest_dump(&mon.mgr.stats, map));
    d.put("servicemap", mon.mgr.services().dump());
    d.put("paxos", paxos);
    let reply = c.dump("report", &d);
    let crc = types::crc32c(SEED, &reply.data);
    Ok(reply.and_says(format!("report {crc}")))
}
