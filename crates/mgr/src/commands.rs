//! The manager's commands, as data. The monitors serve their descriptions together with their own.

use types::command::{Command, FLAG_MGR, FLAG_POLL};

use crate::modules;

const fn pg(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "pg", perm: "r", flags: FLAG_MGR }
}

const fn osd(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "osd", perm: "r", flags: FLAG_MGR }
}

const fn pg_rw(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "pg", perm: "rw", flags: FLAG_MGR }
}

const fn osd_rw(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "osd", perm: "rw", flags: FLAG_MGR }
}

const fn mgr(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "mgr", perm: "r", flags: FLAG_MGR }
}

const fn mgr_change(sig: &'static str, perm: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "mgr", perm, flags: FLAG_MGR }
}

static COMMANDS: &[Command] = &[
    mgr("service dump", "the daemons that registered with the manager"),
    mgr("service status", "when each registered daemon was last heard of"),
    pg("pg stat", "how many placement groups are in which state"),
    pg(
        "pg dump name=dumpcontents,type=CephChoices,strings=all|summary|sum|delta|pools|osds|pgs|pgs_brief,n=N,req=false",
        "the statistics of all placement groups (plain shows one part at a time)",
    ),
    pg(
        "pg dump_json name=dumpcontents,type=CephChoices,strings=all|summary|sum|pools|osds|pgs,n=N,req=false",
        "the statistics of all placement groups, always as JSON",
    ),
    pg("pg getmap", "the statistics of all placement groups and OSDs, in binary"),
    pg("pg dump_pools_json", "each pool's statistics as JSON"),
    pg("pg ls-by-pool name=poolstr,type=CephString name=states,type=CephString,n=N,req=false", "a pool's PGs"),
    pg(
        "pg ls-by-primary name=osd,type=CephOsdName name=pool,type=CephInt,req=false name=states,type=CephString,n=N,req=false",
        "the PGs of which an OSD is the primary",
    ),
    pg(
        "pg ls-by-osd name=osd,type=CephOsdName name=pool,type=CephInt,req=false name=states,type=CephString,n=N,req=false",
        "the PGs that an OSD holds",
    ),
    pg("pg ls name=pool,type=CephInt,req=false name=states,type=CephString,n=N,req=false", "PGs, by pool and state"),
    pg(
        "pg dump_stuck name=stuckops,type=CephChoices,strings=inactive|unclean|stale|undersized|degraded,n=N,req=false \
         name=threshold,type=CephInt,req=false",
        "PGs that have been in a bad state for long",
    ),
    pg(
        "pg debug name=debugop,type=CephChoices,strings=unfound_objects_exist|degraded_pgs_exist",
        "whether any object is unfound, or any PG degraded",
    ),
    pg_rw("pg force-recovery name=pgid,type=CephPgid,n=N", "recover these PGs before all others"),
    pg_rw("pg force-backfill name=pgid,type=CephPgid,n=N", "backfill these PGs before all others"),
    pg_rw("pg cancel-force-recovery name=pgid,type=CephPgid,n=N", "recover these PGs as urgently as they are"),
    pg_rw("pg cancel-force-backfill name=pgid,type=CephPgid,n=N", "backfill these PGs as urgently as they are"),
    pg_rw("pg scrub name=pgid,type=CephPgid", "compare the sizes and attributes of a PG's copies now"),
    pg_rw("pg deep-scrub name=pgid,type=CephPgid", "compare all that a PG's copies hold now"),
    pg_rw("pg repair name=pgid,type=CephPgid", "compare all that a PG's copies hold now, and mend what is proven bad"),
    osd_rw("osd scrub name=who,type=CephString", "scrub the PGs that an OSD leads, or <all|any> lead"),
    osd_rw("osd deep-scrub name=who,type=CephString", "deep-scrub the PGs that an OSD leads, or <all|any> lead"),
    osd_rw("osd repair name=who,type=CephString", "repair the PGs that an OSD leads, or <all|any> lead"),
    osd_rw("osd pool scrub name=who,type=CephPoolname,n=N", "scrub the PGs of these pools"),
    osd_rw("osd pool deep-scrub name=who,type=CephPoolname,n=N", "deep-scrub the PGs of these pools"),
    osd_rw("osd pool repair name=who,type=CephPoolname,n=N", "repair the PGs of these pools"),
    osd_rw(
        "osd pool force-recovery name=who,type=CephPoolname,n=N",
        "recover the PGs of these pools before all others",
    ),
    osd_rw(
        "osd pool force-backfill name=who,type=CephPoolname,n=N",
        "backfill the PGs of these pools before all others",
    ),
    osd_rw(
        "osd pool cancel-force-recovery name=who,type=CephPoolname,n=N",
        "recover the PGs of these pools as urgently as they are",
    ),
    osd_rw(
        "osd pool cancel-force-backfill name=who,type=CephPoolname,n=N",
        "backfill the PGs of these pools as urgently as they are",
    ),
    osd("osd perf", "latencies of the OSDs' stores"),
    osd(
        "osd df name=output_method,type=CephChoices,strings=plain|tree,req=false \
         name=filter_by,type=CephChoices,strings=class|name,req=false name=filter,type=CephString,req=false",
        "how full each OSD is",
    ),
    osd("osd status name=bucket,type=CephString,req=false", "each OSD with its host, space and work for clients"),
    osd("osd pool autoscale-status", "how many PGs each pool has and should have"),
    mgr(
        "dump_osd_network name=value,type=CephInt,req=false",
        "heartbeats between OSDs that took at least so many milliseconds on average; without a number, the slow ones",
    ),
    osd("osd blocked-by", "which OSDs others wait for"),
    osd("osd pool stats name=pool_name,type=CephPoolname,req=false", "what clients and recovery do in each pool"),
    osd(
        "osd ok-to-stop name=ids,type=CephString,n=N name=max,type=CephInt,req=false",
        "whether all data stays available if these OSDs stop",
    ),
    osd("osd safe-to-destroy name=ids,type=CephString,n=N", "whether these OSDs can be destroyed without losing data"),
    osd_rw(
        "osd destroy name=id,type=CephOsdName name=force,type=CephBool,req=false \
         name=yes_i_really_mean_it,type=CephBool,req=false",
        "mark an OSD destroyed, if that is safe; its id stays",
    ),
    osd_rw(
        "osd purge name=id,type=CephOsdName name=force,type=CephBool,req=false \
         name=yes_i_really_mean_it,type=CephBool,req=false",
        "remove an OSD with all that belongs to it, if that is safe",
    ),
    osd_rw(
        "osd reweight-by-utilization name=oload,type=CephInt,req=false name=max_change,type=CephFloat,req=false \
         name=max_osds,type=CephInt,req=false name=no_increasing,type=CephChoices,strings=--no-increasing,req=false",
        "lower the reweight of OSDs that are fuller than the rest, by at most max_change (0.05) each",
    ),
    osd(
        "osd test-reweight-by-utilization name=oload,type=CephInt,req=false name=max_change,type=CephFloat,req=false \
         name=max_osds,type=CephInt,req=false name=no_increasing,type=CephBool,req=false",
        "what reweight-by-utilization would do",
    ),
    osd_rw(
        "osd reweight-by-pg name=oload,type=CephInt,req=false name=max_change,type=CephFloat,req=false \
         name=max_osds,type=CephInt,req=false name=pools,type=CephPoolname,n=N,req=false",
        "lower the reweight of OSDs that have more PGs than the rest",
    ),
    osd(
        "osd test-reweight-by-pg name=oload,type=CephInt,req=false name=max_change,type=CephFloat,req=false \
         name=max_osds,type=CephInt,req=false name=pools,type=CephPoolname,n=N,req=false",
        "what reweight-by-pg would do",
    ),
    mgr("config show name=who,type=CephString name=key,type=CephString,req=false", "the options in force for a daemon"),
    mgr("config show-with-defaults name=who,type=CephString", "all options of a daemon"),
    Command {
        sig: "iostat name=width,type=CephInt,req=false name=print_header,type=CephBool,req=false",
        help: "what clients read and write, a line a second",
        module: "mgr",
        perm: "r",
        flags: FLAG_MGR | FLAG_POLL,
    },
    mgr("progress", "long-running work"),
    mgr("progress json", "long-running work, as JSON"),
    mgr("balancer status", "whether placement is being evened out"),
    mgr("device ls", "devices that daemons told of"),
    mgr("crash ls", "reports of daemons' crashes, new and archived"),
    mgr("crash ls-new", "reports of daemons' crashes that were not archived"),
    mgr("crash stat", "how many crashes were reported, by age"),
    mgr("crash info name=id,type=CephString", "all of one report"),
    mgr("crash json_report name=hours,type=CephString", "how many crashes were reported, by program"),
    mgr_change("crash post", "rw", "add a report (-i FILE)"),
    mgr_change("crash rm name=id,type=CephString", "rw", "remove a report"),
    mgr_change("crash prune name=keep,type=CephString", "rw", "remove reports older than so many days"),
    mgr_change("crash archive name=id,type=CephString", "w", "take note of a report: it raises RECENT_CRASH no more"),
    mgr_change("crash archive-all", "w", "take note of all reports"),
];

/// All that the manager answers.
pub fn commands() -> impl Iterator<Item = &'static Command> + Clone {
    COMMANDS.iter().chain(modules::COMMANDS)
}
