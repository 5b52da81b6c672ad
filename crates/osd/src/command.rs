//! Commands to this OSD: `ceph tell osd.N …`, `ceph pg ID …`, and the admin socket. They share a table.

use bytes::Bytes;
use messages::{MCommand, MCommandReply};
use node::{Now, Output};
use os::ObjectRead;
use types::command::{Args, Command, FLAG_NOFORWARD};
use types::dump::{Dump, Format};
use types::errno::{EINVAL, ENOENT};
use types::options::told::{self, Told};
use types::{HObject, PgId, SpgId};

use crate::{Osd, State, inspect};

const fn read(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "osd", perm: "r", flags: 0 }
}

const fn write(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "osd", perm: "rw", flags: 0 }
}

/// What this OSD answers.
static COMMANDS: &[Command] = &[
    read("get_command_descriptions", "list the commands that this daemon answers"),
    read("help", "list the commands that this daemon answers, with a line on each"),
    Command {
        sig: "pg name=pgid,type=CephPgid name=cmd,type=CephChoices,strings=query",
        help: "everything about one placement group",
        module: "osd",
        perm: "r",
        flags: 0,
    },
    Command {
        sig: "pg name=pgid,type=CephPgid name=cmd,type=CephChoices,strings=mark_unfound_lost \
              name=mulcmd,type=CephChoices,strings=revert|delete",
        help: "give up the objects that nobody has",
        module: "osd",
        perm: "rw",
        flags: 0,
    },
    Command {
        sig: "pg name=pgid,type=CephPgid name=cmd,type=CephChoices,strings=list_unfound \
              name=offset,type=CephString,req=false",
        help: "the objects that nobody has",
        module: "osd",
        perm: "r",
        flags: 0,
    },
    write(
        "mark_unfound_lost name=pgid,type=CephPgid,req=false name=mulcmd,type=CephChoices,strings=revert|delete",
        "give up the objects of a placement group that nobody has: what is left of them counts again, or they are \
         deleted",
    ),
    read(
        "list_unfound name=pgid,type=CephPgid,req=false name=offset,type=CephString,req=false",
        "the objects of a placement group that nobody has",
    ),
    write(
        "keep_copy name=object,type=CephString name=osd,type=CephInt name=pgid,type=CephPgid,req=false",
        "of an object whose copies differ without proof, keep this OSD's copy and write the others anew",
    ),
    write(
        "scrub name=pgid,type=CephPgid,req=false name=time,type=CephInt,req=false",
        "count the last scrub as long ago, so that a routine one is due",
    ),
    write(
        "deep_scrub name=pgid,type=CephPgid,req=false name=time,type=CephInt,req=false",
        "count the last deep scrub as long ago, so that a routine one is due",
    ),
    write(
        "rebuild_snapset name=object,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false \
         name=pgid,type=CephPgid,req=false",
        "of an object whose snapset is wrong on all copies, make it anew from the clones that are there",
    ),
    read("dump_scrubs", "when each PG that is led here was scrubbed, and what is being scrubbed"),
    read("query name=pgid,type=CephPgid,req=false", "everything about one placement group"),
    read("version", "the version of this daemon"),
    read("status", "where this OSD stands: epochs, state, PGs"),
    read("perf dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false", "counters"),
    write(
        "bench name=count,type=CephInt,req=false name=size,type=CephInt,req=false \
         name=object_size,type=CephInt,req=false name=object_num,type=CephInt,req=false",
        "write count bytes (1 GiB) in blocks of size (4 MiB) into this OSD's store, and say how fast it was",
    ),
    read("git_version", "the commit that this daemon was built from"),
    read("dump_watchers", "the clients that watch objects of PGs that are led here"),
    read("dump_blocklist", "the clients that may do nothing, and until when"),
    read("dump_scrub_reservations", "how many PGs are being scrubbed, led here and elsewhere"),
    read("flush_pg_stats", "tell the manager now how the PGs are"),
    read("get_latest_osdmap", "ask the monitors whether there is a newer map"),
    read("list_devices", "the disks of this OSD"),
    read("get_mapped_pools", "the pools that have PGs here"),
    read("send_beacon", "tell the monitors that this OSD lives"),
    write(
        "cluster_log name=level,type=CephChoices,strings=error name=message,type=CephString,n=N",
        "write a line into the cluster's log",
    ),
    read("perf schema", "what the counters are"),
    read(
        "perf histogram dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false",
        "operations of clients by how long they took and how large they were",
    ),
    read("perf histogram schema", "what kind of histograms there are"),
    write("perf reset name=var,type=CephString", "count from 0 again"),
    read("log dump", "write the log lines that are kept in memory into the log"),
    read("log flush", "write what waits to be written to the log, which is nothing"),
    read("log reopen", "open the log file again, after it was moved"),
    read("dump_pg_recovery_stats", "how often PGs entered each state, and how long they were in it"),
    write("reset_pg_recovery_stats", "count the states of PGs from 0 again"),
    read("dump_pgstate_history", "the last states of each PG, and when it entered and left them"),
    read("dump_mempools", "what the logs of PGs and the maps of the cluster take in memory"),
    read("dump_op_pq_state", "the PGs that have something to do"),
    read("objecter_requests", "copies between objects that are under way"),
    read("cache status", "objects whose metadata is in hand"),
    write("cache drop", "(the system caches what is on the disk)"),
    write("compact", "(the store compacts itself)"),
    read("smart name=devid,type=CephString,req=false", "(smartctl asks a disk for its health)"),
    read("dump_recovery_reservations", "who holds and who waits for a slot to recover or backfill"),
    read(
        "dump_osd_network name=value,type=CephInt,req=false",
        "heartbeats that took at least so many milliseconds on average; without a number, those that are too slow",
    ),
    read("dump_ops_in_flight name=filterstr,type=CephString,n=N,req=false", "operations that are under way"),
    read("ops name=filterstr,type=CephString,n=N,req=false", "operations that are under way"),
    read(
        "dump_blocked_ops name=filterstr,type=CephString,n=N,req=false",
        "operations that have been under way for longer than osd_op_complaint_time",
    ),
    read(
        "dump_historic_ops name=filterstr,type=CephString,n=N,req=false",
        "the slowest operations of the last osd_op_history_duration, by arrival",
    ),
    read(
        "dump_historic_ops_by_duration name=filterstr,type=CephString,n=N,req=false",
        "the slowest operations of the last osd_op_history_duration, slowest first",
    ),
    read(
        "dump_historic_slow_ops name=filterstr,type=CephString,n=N,req=false",
        "the last operations that took longer than osd_op_history_slow_op_threshold",
    ),
    read("explain_slow_ops", "where the time of slow operations goes, in a sentence each"),
    Command {
        sig: "heap name=heapcmd,type=CephChoices,strings=dump|start_profiler|stop_profiler|release|get_release_rate|set_release_rate|stats name=value,type=CephString,req=false",
        help: "memory of the process",
        module: "osd",
        perm: "rw",
        flags: FLAG_NOFORWARD,
    },
];

fn commands() -> impl Iterator<Item = &'static Command> + Clone {
    COMMANDS.iter().chain(told::COMMANDS)
}

/// How many objects `list_unfound` names at once (Ceph: the default of `osd_command_max_records`).
const LIST_MAX: usize = 256;

/// The last object of an earlier answer, as it stood there.
fn offset(json: &str) -> Result<HObject, (i32, String)> {
    let bad = || (EINVAL, format!("error parsing offset: {json}"));
    let o = Args::parse(&[json.to_owned()]).ok().filter(|o| o.get("oid").is_some()).ok_or_else(bad)?;
    let text = |name| o.str(name).unwrap_or_default().into();
    let number = |name| o.i64(name).ok_or_else(bad);
    Ok(HObject {
        oid: text("oid"),
        key: text("key"),
        nspace: text("namespace"),
        // Heads and directories have the highest numbers, which are shown as negative.
        snap: number("snapid")?.cast_unsigned(),
        hash: number("hash")? as u32,
        max: number("max")? != 0,
        pool: number("pool")?,
    })
}

/// What a command came to: text for people or a tree, or an errno and a sentence.
type Answer = Result<Reply, (i32, String)>;

enum Reply {
    Text(String),
    Tree(Dump),
    /// Only a sentence about what was done.
    Said(String),
}

impl Osd {
    pub(crate) fn command(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        m: &MCommand,
        out: &mut Vec<Output>,
    ) -> MCommandReply {
        let (r, rs, data) = self.run_command(now, store, &m.cmd, out);
        MCommandReply { r, rs, data: Bytes::from(data) }
    }

    /// The admin socket: the same commands; errors come as text.
    pub(crate) fn admin(&mut self, now: Now, store: &dyn ObjectRead, command: &str, out: &mut Vec<Output>) -> String {
        let text = if command.trim_start().starts_with('{') {
            command.to_owned()
        } else {
            Dump::obj().with("prefix", command.trim()).to_json()
        };
        match self.run_command(now, store, &[text], out) {
            (0, ..) if self.drop_bench() => "ERROR: (22) a benchmark is asked for with `ceph tell`\n".to_owned(),
            (0, _, data) => data,
            (r, rs, _) => format!("ERROR: ({}) {rs}\n", -r),
        }
    }

    fn run_command(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        cmd: &[String],
        out: &mut Vec<Output>,
    ) -> (i32, String, String) {
        let args = match Args::parse(cmd) {
            Ok(args) => args,
            Err(_) => return (-EINVAL, "invalid json".to_owned(), String::new()),
        };
        let prefix = args.prefix().to_owned();
        if prefix == "assert" {
            // For those who try what becomes of a crash (Ceph: `debug_asok_assert_abort`).
            assert!(!self.cfg.bool("debug_asok_assert_abort"), "a command at the admin socket asked for it");
        }
        // `pg ID` has several forms.
        let mut forms = commands().filter(|c| c.is_named(&prefix)).map(|c| c.check(&args)).peekable();
        if forms.peek().is_none() {
            return (-EINVAL, format!("unrecognized command! [{}]", cmd.join(" ")), String::new());
        }
        let tried: Result<Vec<()>, _> = match forms.clone().find(Result::is_ok) {
            Some(_) => Ok(Vec::new()),
            None => forms.collect(),
        };
        if let Err((errno, why)) = tried {
            return (-errno, why, String::new());
        }
        let format = Format::parse(args.format());
        if told::is_ours(&prefix) {
            return self.option_command(now, &prefix, &args);
        }
        match self.answer(now, store, &prefix, &args, out) {
            Ok(Reply::Text(text)) => (0, String::new(), text),
            Ok(Reply::Said(text)) => (0, text, String::new()),
            Ok(Reply::Tree(tree)) => {
                let root = types::command::told_root(&prefix);
                (0, String::new(), tree.render(format.unwrap_or(Format::JsonPretty), &root))
            }
            Err((errno, why)) => (-errno, why, String::new()),
        }
    }

    fn option_command(&mut self, now: Now, prefix: &str, args: &Args) -> (i32, String, String) {
        let who = format!("osd.{}", self.setup.whoami);
        match told::answer(&mut self.cfg, &who, prefix, args) {
            Ok(Told { tree, rs, changed }) => {
                if changed {
                    self.configure(now);
                }
                let format = Format::parse(args.format()).unwrap_or(Format::JsonPretty);
                (0, rs, tree.render(format, &types::command::told_root(prefix)))
            }
            Err((errno, why)) => (-errno, why, String::new()),
        }
    }

    fn answer(&mut self, now: Now, store: &dyn ObjectRead, prefix: &str, args: &Args, out: &mut Vec<Output>) -> Answer {
        let var = || args.str("var").unwrap_or_default();
        Ok(match prefix {
            "get_command_descriptions" => Reply::Tree(types::command::own_descriptions(commands())),
            "help" => Reply::Tree(types::command::help(commands())),
            "version" => Reply::Tree(types::version::dump()),
            "status" => Reply::Tree(self.status()),
            "pg" | "query" | "list_unfound" | "mark_unfound_lost" => {
                match if prefix == "pg" { args.str("cmd").unwrap_or_default() } else { prefix } {
                    "mark_unfound_lost" => Reply::Said(self.mark_unfound_lost(now, store, args, out)?),
                    "list_unfound" => {
                        let after = args.str("offset").map(offset).transpose()?;
                        Reply::Tree(self.asked_pg(args)?.list_unfound(after.as_ref(), LIST_MAX))
                    }
                    _ => Reply::Tree(self.asked_pg(args)?.query(now)),
                }
            }
            "keep_copy" => {
                let object = args.str("object").unwrap_or_default().to_owned();
                let osd = args.i64("osd").and_then(|o| i32::try_from(o).ok()).unwrap_or(-1);
                let id = self.asked_pg(args)?.id();
                let mut said = Ok(String::new());
                self.with_pg(now, store, id, out, |pg, env| said = pg.keep_copy(env, &object, osd));
                Reply::Said(said?)
            }
            "scrub" | "deep_scrub" => {
                let ago = args.i64("time").unwrap_or(0).clamp(0, u32::MAX.into()) as u32;
                let id = self.asked_pg(args)?.id();
                let deep = prefix == "deep_scrub";
                let mut said = Ok(Dump::obj());
                self.with_pg(now, store, id, out, |pg, env| said = pg.age_scrub(env, deep, ago));
                Reply::Tree(said?)
            }
            "rebuild_snapset" => {
                let object = args.str("object").unwrap_or_default().to_owned();
                let sure = args.flag("yes_i_really_mean_it");
                let id = self.asked_pg(args)?.id();
                let mut said = Ok(String::new());
                self.with_pg(now, store, id, out, |pg, env| said = pg.rebuild_snapset(env, &object, sure));
                Reply::Said(said?)
            }
            "dump_scrubs" => {
                let led = self.pgs.values().filter(|pg| pg.is_primary());
                Reply::Tree(Dump::arr("scrub", led.map(pg::Pg::scrub_schedule).collect::<Vec<_>>()))
            }
            "perf dump" => Reply::Tree(self.perf(store).picked(args.str("logger"), args.str("counter"))),
            "log dump" | "log flush" | "log reopen" => {
                self.logging = self.logging.asked(prefix);
                Reply::Tree(Dump::obj())
            }
            "dump_recovery_reservations" => Reply::Tree(
                Dump::obj()
                    .with("local_reservations", self.local_slots.dump())
                    .with("remote_reservations", self.remote_slots.dump()),
            ),
            "dump_osd_network" => {
                let times = self.heartbeats.ping_times();
                let entries = types::network::entries([(self.setup.whoami, &times)].into_iter());
                Reply::Tree(types::network::dump(entries, &self.cfg, args.i64("value"), now.wall.sec))
            }
            "explain_slow_ops" => Reply::Text(self.explain_slow_ops(now)),
            "bench" => {
                self.want_bench(store, args)?;
                Reply::Text(String::new())
            }
            "git_version" => Reply::Tree(Dump::obj().with("git_version", types::version::SHA)),
            "dump_watchers" => Reply::Tree(self.dump_watchers()),
            "dump_blocklist" => Reply::Tree(self.dump_blocklist()),
            "dump_scrub_reservations" => Reply::Tree(self.dump_scrub_reservations()),
            "flush_pg_stats" => Reply::Text(self.flush_pg_stats(now, store, out)),
            "get_latest_osdmap" => {
                self.mon.subscribe("osdmap", u64::from(self.epoch()) + 1, false);
                self.mon.renew(out);
                Reply::Text(String::new())
            }
            "get_mapped_pools" => {
                let pools: std::collections::BTreeSet<i64> = self.pgs.keys().map(|id| id.pgid.pool).collect();
                Reply::Tree(Dump::arr("pool", pools))
            }
            "send_beacon" => {
                self.send_beacon(now, out);
                Reply::Text(String::new())
            }
            "list_devices" => Reply::Tree(inspect::devices(&self.setup.metadata)),
            "cluster_log" => {
                self.log_by_command(now, args, out);
                Reply::Text(String::new())
            }
            "perf schema" => Reply::Tree(self.perf_schema(store)),
            "perf histogram dump" => {
                Reply::Tree(self.histograms(store).picked(args.str("logger"), args.str("counter")))
            }
            "perf histogram schema" => Reply::Tree(self.histogram_schema(store)),
            "perf reset" => Reply::Tree(self.reset_counters(var())),
            "dump_pg_recovery_stats" => Reply::Tree(self.state_times()),
            "reset_pg_recovery_stats" => {
                self.pgs.values_mut().for_each(pg::Pg::forget_state_times);
                Reply::Text(String::new())
            }
            "dump_pgstate_history" => {
                let pgs = self.pgs.values().map(pg::Pg::state_history);
                Reply::Tree(Dump::obj().with("pgs", Dump::arr("pg", pgs)))
            }
            "dump_mempools" => Reply::Tree(self.mempools()),
            "dump_op_pq_state" => Reply::Tree(self.queue()),
            "objecter_requests" => Reply::Tree(self.copies.dump(now)),
            "cache status" => Reply::Tree(self.cache_status()),
            "cache drop" => {
                return Err(inspect::refused(
                    "the system caches what is on this disk, not the OSD: echo 3 > /proc/sys/vm/drop_caches drops it",
                ));
            }
            "compact" => {
                return Err(inspect::refused("the store needs no compaction: what a checkpoint frees is used again"));
            }
            "smart" => return Err(inspect::refused("an OSD does not ask its disk for its health: smartctl -a does")),
            "dump_ops_in_flight"
            | "ops"
            | "dump_blocked_ops"
            | "dump_historic_ops"
            | "dump_historic_ops_by_duration"
            | "dump_historic_slow_ops" => Reply::Tree(self.dump_ops(now, prefix, &args.list("filterstr"))?),
            "heap" => {
                return Err((
                    types::errno::EOPNOTSUPP,
                    "could not issue heap profiler command -- not using tcmalloc!".into(),
                ));
            }
            _ => return Err(inspect::unanswered(prefix)),
        })
    }

    fn asked_id(args: &Args) -> Result<SpgId, (i32, String)> {
        let text = args.str("pgid").unwrap_or_default();
        let id: PgId = text.parse().map_err(|e| (EINVAL, format!("'{text}': {e}")))?;
        Ok(SpgId::from(id))
    }

    fn asked_pg(&mut self, args: &Args) -> Result<&mut pg::Pg, (i32, String)> {
        let id = Self::asked_id(args)?;
        self.pgs.get_mut(&id).ok_or_else(|| (ENOENT, format!("i don't have pgid {}", id.pgid)))
    }

    fn mark_unfound_lost(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        args: &Args,
        out: &mut Vec<Output>,
    ) -> Result<String, (i32, String)> {
        let how = if args.str("mulcmd") == Some("revert") { pg::Lost::Revert } else { pg::Lost::Delete };
        let id = self.asked_pg(args)?.id();
        let mut said = Ok(String::new());
        self.with_pg(now, store, id, out, |pg, env| said = pg.mark_unfound_lost(env, how));
        said
    }

    fn status(&self) -> Dump {
        let (oldest, newest) =
            self.maps.as_ref().map_or((0, 0), |m| (m.superblock.oldest_map, m.superblock.newest_map));
        let state = match self.state {
            State::PreBoot => "preboot",
            State::Waiting => "waiting_for_healthy",
            State::Booting { .. } => "booting",
            State::Active => "active",
            State::Stopping { .. } => "stopping",
        };
        Dump::obj()
            .with("cluster_fsid", self.setup.fsid)
            .with("osd_fsid", self.setup.osd_fsid)
            .with("whoami", self.setup.whoami)
            .with("state", state)
            .with("oldest_map", oldest)
            .with("cluster_osdmap_trim_lower_bound", self.waiting.oldest_cluster_map)
            .with("newest_map", newest)
            .with("num_pgs", self.pgs.len())
    }

    /// What `osd metadata` shows: the machine's part comes from the driver.
    pub(crate) fn metadata(&self) -> std::collections::BTreeMap<String, String> {
        let l = &self.setup.listening;
        let mut m = self.setup.metadata.clone();
        let mut put = |k: &str, v: String| {
            m.insert(k.to_owned(), v);
        };
        put("back_addr", format!("[{}]", l.cluster));
        put("front_addr", format!("[{}]", l.public));
        put("hb_back_addr", format!("[{}]", l.hb_back));
        put("hb_front_addr", format!("[{}]", l.hb_front));
        put("hostname", self.setup.hostname.clone());
        put("ceph_version", types::version::full());
        put("ceph_version_short", types::version::short());
        put("ceph_release", types::version::RELEASE.to_owned());
        put("osd_objectstore", "spirula".to_owned());
        m
    }
}
