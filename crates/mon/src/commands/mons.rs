//! Commands about monitors and managers.

use std::collections::BTreeMap;

use denc::to_bytes;
use types::dump::{Dump, Format};
use types::{errno, features};

use super::{Cmd, CmdResult, Handler, Reply, cluster, fail, osd};
use crate::change::Space;
use crate::core::Mon;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "mon dump" => mon_dump,
        "mon stat" => mon_stat,
        "mon getmap" => mon_getmap,
        "mon metadata" => mon_metadata,
        "mon count-metadata" => mon_count_metadata,
        "mon versions" => mon_versions,
        "mon feature ls" => mon_features,
        "mon enable-msgr2" => nothing,
        "quorum_status" => quorum_status,
        "mgr dump" => mgr_dump,
        "mgr stat" => mgr_stat,
        "mgr services" => mgr_services,
        "mgr metadata" => mgr_metadata,
        "mgr count-metadata" => mgr_count_metadata,
        "mgr versions" => mgr_versions,
        "mgr module ls" => mgr_module_ls,
        "mgr module enable" => mgr_module_enable,
        "mgr module disable" => mgr_module_disable,
        "mgr fail" => mgr_fail,
        _ => return None,
    })
}

fn nothing(_: &mut Cmd) -> CmdResult {
    Ok(Reply::default())
}

/// Only the present map is kept.
fn epoch_is_known(c: &Cmd) -> Result<(), super::Fail> {
    let epoch = c.mon.monmap().epoch;
    match c.args.i64("epoch").filter(|e| *e > 0 && *e != i64::from(epoch)) {
        Some(other) => fail(errno::ENOENT, format!("there is no map for epoch {other}")),
        None => Ok(()),
    }
}

fn mon_dump(c: &mut Cmd) -> CmdResult {
    epoch_is_known(c)?;
    let map = c.mon.monmap();
    let ranks = c.mon.quorum_ranks();
    let tree = || map.dump().with("quorum", Dump::arr("mon", ranks));
    let reply = c.dump_or("monmap", tree, || map.text());
    Ok(reply.and_says(format!("dumped monmap epoch {}", map.epoch)))
}

fn mon_stat(c: &mut Cmd) -> CmdResult {
    let (map, quorum, ranks) = (c.mon.monmap(), c.mon.quorum(), c.mon.quorum_ranks());
    let tree = || {
        let of = |(rank, name): (&u32, &String)| Dump::obj().with("rank", *rank).with("name", name);
        Dump::obj()
            .with("epoch", map.epoch)
            .with("min_mon_release_name", "pacific")
            .with("num_mons", map.ranks.len())
            .with("leader", &quorum.leader)
            .with("quorum", Dump::arr("mon", ranks.iter().zip(&quorum.names).map(of)))
    };
    let mons: Vec<_> = map.by_rank().map(|(_, m)| format!("{}={}", m.name, m.public_addrs)).collect();
    let text = || {
        format!(
            "e{}: {} mons at {{{}}} removed_ranks: {{}}, election epoch {}, leader {} {}, quorum {} {}",
            map.epoch,
            map.ranks.len(),
            mons.join(","),
            quorum.epoch,
            map.rank_of(&quorum.leader).unwrap_or(0),
            quorum.leader,
            ranks.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
            quorum.names.join(","),
        )
    };
    Ok(c.dump_or("monmap", tree, text))
}

fn mon_getmap(c: &mut Cmd) -> CmdResult {
    epoch_is_known(c)?;
    let map = c.mon.monmap();
    Ok(Reply::data(to_bytes(&map, features::ALL)).and_says(format!("got monmap epoch {}", map.epoch)))
}

/// What daemons of one kind say of their hosts: of one, or of all.
fn metadata(c: &Cmd, space: Space, arg: &str, root: &str) -> CmdResult {
    let one = c.args.text(arg).map(|n| n.split_once('.').map_or(n.clone(), |(_, id)| id.to_owned()));
    let dump = |name: &str| {
        let fields = c.mon.state.value::<BTreeMap<String, String>>(space, name)?;
        // Who asks for one knows its name.
        let mut d = if one.is_some() { Dump::obj() } else { Dump::obj().with("name", name) };
        fields.into_iter().for_each(|(k, v)| d.put(k, v));
        Some(d)
    };
    match &one {
        Some(name) => match dump(name) {
            Some(d) => Ok(c.dump(root, &d)),
            None if space == Space::MonMetadata => fail(errno::ENOENT, "requested mon not found"),
            None => fail(errno::ENOENT, format!("mgr.{name} does not exist")),
        },
        None => {
            let all = c.mon.state.space(space).filter_map(|(name, _)| dump(name));
            Ok(c.dump(root, &Dump::arr("metadata", all)))
        }
    }
}

fn count_metadata(c: &Cmd, space: Space) -> CmdResult {
    let field = c.arg("property")?;
    let values = c.mon.state.space(space).map(|(name, _)| {
        let fields = c.mon.state.value::<BTreeMap<String, String>>(space, name).unwrap_or_default();
        fields.get(&field).cloned().unwrap_or_else(|| "unknown".to_owned())
    });
    Ok(c.dump(&field, &osd::count(values)))
}

fn mon_metadata(c: &mut Cmd) -> CmdResult {
    metadata(c, Space::MonMetadata, "id", "mon_metadata")
}

fn mon_count_metadata(c: &mut Cmd) -> CmdResult {
    count_metadata(c, Space::MonMetadata)
}

fn mon_versions(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("ceph_version", &osd::count(cluster::mon_versions(c.mon).into_iter())))
}

fn mon_features(c: &mut Cmd) -> CmdResult {
    let map = c.mon.monmap();
    let all = types::MonFeatures::PACIFIC;
    let list = |f: types::MonFeatures| Dump::arr("bit_flag", f.names());
    let with_value = c.args.has("with_value");
    let shown = |(bit, name): (u64, &str)| if with_value { format!("{name}({bit})") } else { name.to_owned() };
    let text_of = |f: types::MonFeatures| format!("[{}]", f.bits().map(shown).collect::<Vec<_>>().join(","));
    let tree = || {
        Dump::obj().with("all", Dump::obj().with("supported", list(all)).with("persistent", list(all))).with(
            "monmap",
            Dump::obj()
                .with("persistent", list(map.persistent_features))
                .with("optional", list(map.optional_features))
                .with("required", list(map.persistent_features)),
        )
    };
    let text = || {
        format!(
            "all features\n\tsupported: {}\n\tpersistent: {}\non current monmap (epoch {})\n\tpersistent: {}\n\trequired: {}\n",
            text_of(all),
            text_of(all),
            map.epoch,
            text_of(map.persistent_features),
            text_of(map.persistent_features)
        )
    };
    Ok(c.dump_or("features", tree, text))
}

impl Mon {
    fn features_dump(&self) -> Dump {
        Dump::obj()
            .with("quorum_con", Dump::text(features::ALL))
            .with("quorum_mon", Dump::arr("feature", self.monmap().persistent_features.names()))
    }

    /// `tell mon.X mon_status`, and part of a ping's answer.
    pub(crate) fn mon_status(&self, now: node::Now) -> Dump {
        let map = self.monmap();
        let names = || Dump::arr("feature", map.persistent_features.names());
        let none = |item: &'static str| Dump::arr(item, Vec::<Dump>::new());
        let state = match (self.log.is_leading(), self.in_quorum()) {
            (true, _) => "leader",
            (_, true) => "peon",
            _ if !self.log.members().contains(self.log.me()) => "synchronizing",
            _ => "electing",
        };
        // One that agrees with nobody knows of no quorum.
        let is_in = self.in_quorum();
        let quorum = if is_in { self.quorum_ranks() } else { Vec::new() };
        let outside = if is_in { self.out_of_quorum() } else { Vec::new() };
        // Odd while there is no quorum.
        let epoch = if is_in { self.quorum().epoch } else { self.quorum().epoch | 1 };
        let features = Dump::obj()
            .with("required_con", Dump::text(REQUIRED_FEATURES))
            .with("required_mon", names())
            .with("quorum_con", Dump::text(features::ALL))
            .with("quorum_mon", names());
        Dump::obj()
            .with("name", self.setup.name.as_str())
            .with("rank", map.rank_of(&self.setup.name).map_or(-1, |rank| rank as i64))
            .with("state", state)
            .with("election_epoch", epoch)
            .with("quorum", Dump::arr("mon", quorum))
            .with("quorum_age", self.quorum_age(now).as_secs())
            .with("features", features)
            .with("outside_quorum", Dump::arr("mon", outside))
            .with("extra_probe_peers", none("peer"))
            .with("sync_provider", none("sync_provider"))
            .with("monmap", map.dump())
            .with("feature_map", self.own_features_dump())
            .with("stretch_mode", false)
    }
}

/// What Ceph 16 demands of a monitor (recorded).
const REQUIRED_FEATURES: u64 = 2_449_958_747_317_026_820;

fn quorum_status(c: &mut Cmd) -> CmdResult {
    let mon: &Mon = c.mon;
    let quorum = mon.quorum();
    let d = Dump::obj()
        .with("election_epoch", quorum.epoch)
        .with("quorum", Dump::arr("mon", mon.quorum_ranks()))
        .with("quorum_names", Dump::arr("mon", &quorum.names))
        .with("quorum_leader_name", &quorum.leader)
        .with("quorum_age", mon.quorum_age(c.cx.now).as_secs())
        .with("features", mon.features_dump())
        .with("monmap", mon.monmap().dump());
    // As in Ceph, plain is compact JSON here.
    Ok(Reply::data(d.render(c.format().unwrap_or(Format::Json), "quorum_status")))
}

fn mgr_dump(c: &mut Cmd) -> CmdResult {
    let map = c.mon.mgrmap();
    if let Some(other) = c.args.i64("epoch").filter(|e| *e > 0 && *e != i64::from(map.epoch)) {
        return fail(errno::ENOENT, format!("there is no map for epoch {other}"));
    }
    Ok(c.dump("mgrmap", &map.dump()))
}

fn mgr_stat(c: &mut Cmd) -> CmdResult {
    let map = c.mon.mgrmap();
    let d = Dump::obj()
        .with("epoch", map.epoch)
        .with("available", map.available)
        .with("active_name", &map.active_name)
        .with("num_standby", map.standbys.len());
    Ok(c.dump("stat", &d))
}

fn mgr_services(c: &mut Cmd) -> CmdResult {
    let mut d = Dump::obj();
    c.mon.mgrmap().services.into_iter().for_each(|(name, uri)| d.put(name, uri));
    Ok(c.dump("services", &d))
}

fn mgr_metadata(c: &mut Cmd) -> CmdResult {
    metadata(c, Space::MgrMetadata, "who", "mgr_metadata")
}

fn mgr_count_metadata(c: &mut Cmd) -> CmdResult {
    count_metadata(c, Space::MgrMetadata)
}

fn mgr_versions(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("ceph_version", &osd::count(cluster::mgr_versions(c.mon).into_iter())))
}

/// Those of Ceph's modules whose commands the manager answers; they cannot be taken out of it.
const MODULES: &[&str] = &["crash", "pg_autoscaler", "progress", "status"];

fn mgr_module_enable(c: &mut Cmd) -> CmdResult {
    let name = c.arg("module")?;
    if MODULES.contains(&name.as_str()) {
        return Ok(Reply::says(format!("module '{name}' is already enabled (always-on)")));
    }
    // Ceph would take it with --force, and complain of it afterwards.
    fail(errno::ENOENT, format!("all mgr daemons do not support module '{name}', pass --force to force enablement"))
}

fn mgr_module_disable(c: &mut Cmd) -> CmdResult {
    let name = c.arg("module")?;
    if MODULES.contains(&name.as_str()) {
        return fail(errno::EINVAL, format!("module '{name}' cannot be disabled (always-on)"));
    }
    Ok(Reply::says(format!("module '{name}' is already disabled")))
}

fn mgr_module_ls(c: &mut Cmd) -> CmdResult {
    let none = |item: &'static str| Dump::arr(item, Vec::<Dump>::new());
    let d = Dump::obj()
        .with("always_on_modules", Dump::arr("module", MODULES.iter().copied()))
        .with("enabled_modules", Dump::arr("module", &c.mon.mgrmap().modules))
        .with("disabled_modules", none("module"));
    Ok(c.dump("modules", &d))
}

fn mgr_fail(c: &mut Cmd) -> CmdResult {
    let map = c.mon.mgrmap();
    match c.args.text("who") {
        Some(who) if who != map.active_name => Ok(Reply::says(format!("Daemon not found '{who}', already failed?"))),
        _ => {
            c.mon.announce_mgr(c.cx);
            Ok(Reply::default())
        }
    }
}
