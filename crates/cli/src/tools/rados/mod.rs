//! `rados`: objects of a pool, from the command line.

mod archive;
mod bench;
mod df;
mod lock;
mod object;
mod snap;
mod watch;

use ::explain::scrub_list;
use ::rados::{ObjectOp, Page, Reply, Request};
use anyhow::{Context, Result, bail};
use types::dump::{Dump, Format};
use types::osd_op::osd_flag;
use types::{HObject, ListObject, PgId, PoolId, SNAP_HEAD, SnapId};

use super::{Connect, Session, Words, print_bytes, strerror};

const USAGE: &str = "usage: rados [options] [commands]
POOL COMMANDS
   lspools                          list pools
   mkpool <pool-name>               create pool <pool-name>
   df                               show per-pool and total usage
   ls [--all]                       list objects in pool
   purge <pool-name> --yes-i-really-really-mean-it
                                    remove all objects from pool <pool-name>
   lssnap                           list snaps
   mksnap <snap-name>               create snap <snap-name>
   rmsnap <snap-name>               remove snap <snap-name>
   export [filename]                serialize pool contents to a file or standard out
   import [--dry-run] [--no-overwrite] < filename | - >
                                    load pool contents from a file or standard in
   cppool <pool-name> <dest-pool>   copy content of a pool
   list-inconsistent-pg <pool>      list inconsistent PGs in given pool
   list-inconsistent-obj <pgid>     list inconsistent objects in given PG
   list-inconsistent-snapset <pgid> list inconsistent snapsets in the given PG

OBJECT COMMANDS
   get <obj-name> <outfile>         fetch object
   put <obj-name> <infile> [--offset offset]
   append <obj-name> <infile>       append object
   truncate <obj-name> length       truncate object
   create <obj-name>                create object
   touch <obj-name> [timestamp]     change the object's modification time
   rm <obj-name> ... [--force-full] remove object(s)
   stat | stat2 <obj-name>          stat the named object
   cp <obj-name> [target-obj]       copy object
   listxattr <obj-name>
   getxattr <obj-name> attr
   setxattr <obj-name> attr val
   rmxattr <obj-name> attr
   listomapkeys <obj-name>
   listomapvals <obj-name>
   getomapval <obj-name> <key> [file]
   setomapval <obj-name> <key> <val | --input-file file>
   rmomapkey <obj-name> <key>
   clearomap <obj-name> ...
   getomapheader <obj-name> [file]
   setomapheader <obj-name> <val>
   rollback <obj-name> <snap-name>  roll back object to snap <snap-name>
   listsnaps <obj-name>             list the snapshots of this object
   mapext <obj-name>
   set-alloc-hint <obj-name> <expected-object-size> <expected-write-size>
   watch <obj-name>                 show what others notify of this object, until enter is pressed
   notify <obj-name> <message>      tell the watchers of this object, and wait for their answers
   listwatchers <obj-name>          list the watchers of this object
   lock list <obj-name>
   lock get <obj-name> <lock-name> [--lock-cookie C] [--lock-tag T] [--lock-description D]
                                    [--lock-duration SECONDS] [--lock-type shared|exclusive]
   lock info <obj-name> <lock-name>
   lock break <obj-name> <lock-name> <locker-name> [--lock-cookie C]
   bench <seconds> write|seq|rand [-t concurrent_operations] [--no-cleanup] [--run-name run_name]
   cleanup [--run-name run_name] [--prefix prefix]

OPTIONS
   -p POOL, --pool=POOL   -N NAMESPACE, --namespace=NAMESPACE   --object-locator KEY
   -s SNAP, --snap=SNAP   read objects as they were at this snapshot
   --pgid PGID            list the objects of this PG alone
   --target-pool POOL, --target-locator KEY, --target-nspace NAMESPACE   where cp copies to
   --obj-name-file FILE, --omap-key-file FILE   the object's name, or the key, is what this file holds
   -b op_size   -O object_size   -t N   --max-objects N   -f|--format plain|json|json-pretty|xml
   -c CONF, --conf=CONF   --id ID   -n NAME
";

/// The bytes of an op unless `-b` says otherwise.
const DEFAULT_OP_SIZE: u64 = 4 << 20;

/// The command line, apart.
#[derive(Debug, Default)]
pub(super) struct Options {
    connect: Connect,
    pool: Option<String>,
    nspace: Vec<u8>,
    locator: String,
    all: bool,
    format: Option<Format>,
    op_size: Option<u64>,
    object_size: Option<u64>,
    concurrent: usize,
    max_objects: u64,
    offset: u64,
    input_file: Option<String>,
    run_name: Option<String>,
    prefix: Option<String>,
    no_cleanup: bool,
    no_verify: bool,
    force_full: bool,
    show_time: bool,
    really: bool,
    target_pool: Option<String>,
    target_locator: Option<String>,
    target_nspace: Option<String>,
    pgid: Option<String>,
    /// The same, read.
    pg: Option<PgId>,
    obj_name_file: Option<String>,
    omap_key_file: Option<String>,
    snap: Option<String>,
    lock: lock::LockOptions,
    dry_run: bool,
    no_overwrite: bool,
    words: Vec<String>,
}

fn number(option: &str, text: &str) -> Result<u64> {
    types::options::parse_size(text).with_context(|| format!("Invalid value for {option}: '{text}' is no number"))
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut o = Self { concurrent: 16, ..Self::default() };
        let mut words = Words::new(args);
        while let Some(word) = words.next() {
            let is_option = word.strip_prefix('-').is_some_and(|rest| !rest.is_empty() && rest.parse::<u64>().is_err());
            if !is_option {
                o.words.push(word);
            } else if !o.valued(&word, &mut words)? {
                o.flag(&word)?;
            }
        }
        Ok(o)
    }

    fn valued(&mut self, word: &str, words: &mut Words) -> Result<bool> {
        if let Some(v) = words.value(word, &["-p", "--pool"])? {
            self.pool = Some(v);
        } else if let Some(v) = words.value(word, &["-N", "--namespace"])? {
            self.nspace = v.into_bytes();
        } else if let Some(v) = words.value(word, &["--object-locator", "--object_locator"])? {
            self.locator = v;
        } else if let Some(v) = words.value(word, &["-c", "--conf"])? {
            self.connect.conf = Some(v.into());
        } else if let Some(v) = words.value(word, &["--dir"])? {
            self.connect.conf = Some(super::conf_in(v));
        } else if let Some(v) = words.value(word, &["-n", "--name"])? {
            self.connect.name = Some(v);
        } else if let Some(v) = words.value(word, &["--id", "--user"])? {
            self.connect.name = Some(format!("client.{v}"));
        } else if let Some(v) = words.value(word, &["-f", "--format"])? {
            self.format = match v.as_str() {
                "plain" => None,
                name => Some(Format::parse(name).with_context(|| format!("unrecognized format: {name}"))?),
            };
        } else if let Some(v) = words.value(word, &["-b", "--block-size"])? {
            self.op_size = Some(number("-b", &v)?);
        } else if let Some(v) = words.value(word, &["-O", "--object-size"])? {
            self.object_size = Some(number("-O", &v)?);
        } else if let Some(v) = words.value(word, &["-t", "--concurrent-ios"])? {
            self.concurrent = usize::try_from(number("-t", &v)?)?.clamp(1, 4096);
        } else if let Some(v) = words.value(word, &["--max-objects"])? {
            self.max_objects = number("--max-objects", &v)?;
        } else if let Some(v) = words.value(word, &["--offset"])? {
            self.offset = number("--offset", &v)?;
        } else if let Some(v) = words.value(word, &["--input-file"])? {
            self.input_file = Some(v);
        } else if let Some(v) = words.value(word, &["--run-name"])? {
            self.run_name = Some(v);
        } else if let Some(v) = words.value(word, &["--prefix"])? {
            self.prefix = Some(v);
        } else if let Some(v) = words.value(word, &["--target-pool"])? {
            self.target_pool = Some(v);
        } else if let Some(v) = words.value(word, &["--target-locator"])? {
            self.target_locator = Some(v);
        } else if let Some(v) = words.value(word, &["--target-nspace"])? {
            self.target_nspace = Some(v);
        } else if let Some(v) = words.value(word, &["--pgid"])? {
            self.pgid = Some(v);
        } else if let Some(v) = words.value(word, &["--obj-name-file"])? {
            self.obj_name_file = Some(v);
        } else if let Some(v) = words.value(word, &["--omap-key-file"])? {
            self.omap_key_file = Some(v);
        } else if let Some(v) = words.value(word, &["-s", "--snap"])? {
            self.snap = Some(v);
        } else if let Some(v) = words.value(word, &["--lock-tag"])? {
            self.lock.tag = v;
        } else if let Some(v) = words.value(word, &["--lock-cookie"])? {
            self.lock.cookie = v;
        } else if let Some(v) = words.value(word, &["--lock-description"])? {
            self.lock.description = v;
        } else if let Some(v) = words.value(word, &["--lock-duration"])? {
            self.lock.duration = number("--lock-duration", &v)?;
        } else if let Some(v) = words.value(word, &["--lock-type"])? {
            self.lock.kind = Some(v);
        } else {
            return Ok(words.value(word, &["--keyring", "-k", "--cluster", "--workers"])?.is_some());
        }
        Ok(true)
    }

    fn flag(&mut self, word: &str) -> Result<()> {
        match word {
            "--all" => self.all = true,
            "--default" => self.all = false,
            "--no-cleanup" => self.no_cleanup = true,
            "--no-verify" => self.no_verify = true,
            "--no-hints" => {}
            "--force-full" => self.force_full = true,
            "--dry-run" => self.dry_run = true,
            "--no-overwrite" => self.no_overwrite = true,
            "--show-time" => self.show_time = true,
            "--yes-i-really-really-mean-it" => self.really = true,
            "--striper" => {
                bail!("objects that libradosstriper spread over several are for Debian's rados: it works here")
            }
            "-h" | "--help" => self.words = vec!["--help".to_owned()],
            "-v" | "--version" => self.words = vec!["--version".to_owned()],
            _ => bail!("unrecognized command {word}; -h or --help for usage\nerror 22: (22) Invalid argument"),
        }
        Ok(())
    }
}

/// A command's end that is not success: what to print on standard error, and the exit code.
#[derive(Debug)]
pub(super) struct Failure(pub String, pub i32);

/// What commands of this tool give.
type Outcome = std::result::Result<(), Failure>;

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        Self(format!("{e:#}"), 1)
    }
}

/// A failed operation: `what: (2) No such file or directory`, exit code 1.
fn failed(what: impl std::fmt::Display, errno: i32) -> Failure {
    Failure(format!("{what}: {}", strerror(errno)), 1)
}

/// A command with an open pool.
pub(super) struct Ctx {
    session: Session,
    o: Options,
    pool: PoolId,
    pool_name: String,
    /// What reads look at (`-s`).
    snap: SnapId,
}

impl Ctx {
    fn open(mut o: Options) -> std::result::Result<Self, Failure> {
        let invalid = || Failure("invalid pgid".to_owned(), 1);
        o.pg = o.pgid.as_ref().map(|text| text.parse().map_err(|_| invalid())).transpose()?;
        let mut session = o.connect.open()?;
        let of_pg = |session: &mut Session| -> Result<Option<String>> {
            let Some(pg) = o.pg else { return Ok(None) };
            Ok(session.latest_map()?.pool_names.get(&pg.pool).cloned())
        };
        let name = match o.pool.clone() {
            Some(name) => Some(name),
            None => of_pg(&mut session)?,
        };
        let none = || Failure("either pool name or pg id needs to be specified: -p POOL".to_owned(), 1);
        let name = name.ok_or_else(none)?;
        let pool = match (session.pool(&name)?, name.parse::<PoolId>()) {
            (Ok(pool), _) => pool,
            (Err(_), Ok(id)) if session.latest_map()?.pool(id).is_some() => id,
            (Err(errno), _) => return Err(failed(format!("error opening pool {name}"), errno)),
        };
        let mut ctx = Self { session, o, pool, pool_name: name, snap: SNAP_HEAD };
        if let Some(snap) = ctx.o.snap.clone() {
            ctx.snap = snap::find(&mut ctx, &snap)?
                .map_err(|errno| failed(format!("error looking up snap '{snap}'"), errno))?;
            outln!("selected snap {} '{snap}'", ctx.snap);
        }
        Ok(ctx)
    }

    fn object(&self, name: &str) -> ObjectOp {
        let op = ObjectOp::new(self.pool, name).in_namespace(&self.o.nspace[..]).with_key(&self.o.locator[..]);
        ObjectOp { snap: self.snap, ..op }
    }

    /// The `n`th word after the command.
    fn word(&self, n: usize, what: &str) -> std::result::Result<String, Failure> {
        let missing = || Failure(format!("{} needs {what}; -h or --help for usage", self.o.words[0]), 1);
        self.o.words.get(n + 1).cloned().ok_or_else(missing)
    }

    /// Runs an operation; its errno has `what` before it.
    fn run(&mut self, op: ObjectOp, what: &str) -> std::result::Result<::rados::OpReply, Failure> {
        self.session.op(op)?.ok().map_err(|errno| failed(what, errno))
    }

    /// Hands every object of the pool to `each`.
    fn each_object(&mut self, nspace: &[u8], mut each: impl FnMut(&ListObject) -> Result<()>) -> Outcome {
        let mut from = Some(HObject::min());
        while let Some(at) = from {
            let request = Request::List { pool: self.pool, nspace: nspace.to_vec(), from: at, max: 1000 };
            match self.session.call(request)? {
                Reply::Page(Page { entries, next }) => {
                    entries.iter().try_for_each(&mut each)?;
                    from = next;
                }
                Reply::Failed(errno) => return Err(failed(format!("error listing pool {}", self.pool_name), errno)),
                _ => return Err(Failure("the client answered something else".to_owned(), 1)),
            }
        }
        Ok(())
    }
}

/// Lists the objects of every namespace.
const ALL_NAMESPACES: &[u8] = b"\x01";

/// Runs `rados` with these arguments; gives its exit code.
///
/// # Errors
/// What keeps a command from being begun.
pub fn run(args: &[String]) -> Result<i32> {
    let o = Options::parse(args)?;
    let Some(command) = o.words.first().cloned() else {
        bail!("you must give an action. Try --help");
    };
    let result = match command.as_str() {
        "--help" => {
            out!("{USAGE}");
            Ok(())
        }
        "--version" => {
            outln!("{}", types::version::full());
            Ok(())
        }
        "lspools" => lspools(&o),
        "df" => df::df(&o),
        "list-inconsistent-pg" => list_inconsistent(&o),
        "list-inconsistent-obj" => scrub_findings(&o, false),
        "list-inconsistent-snapset" => scrub_findings(&o, true),
        "cppool" => cppool(o),
        "mkpool" | "rmpool" => pool_command(&o, &command),
        _ => with_pool(o, &command),
    };
    match result {
        Ok(()) => Ok(0),
        Err(Failure(text, code)) => {
            if !text.is_empty() {
                crate::complain!("{text}");
            }
            Ok(code)
        }
    }
}

fn with_pool(o: Options, command: &str) -> Outcome {
    let of_pool = ["ls", "purge", "bench", "cleanup", "watch", "notify", "lock", "export", "import"];
    if !(object::knows(command) || snap::knows(command) || of_pool.contains(&command)) {
        let text = format!("unrecognized command {command}; -h or --help for usage\nerror 22: (22) Invalid argument");
        return Err(Failure(text, 1));
    }
    let mut o = o;
    let bare = |file: &String| std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    for (n, file) in [(1, &o.obj_name_file), (2, &o.omap_key_file)] {
        if let Some(file) = file {
            let name = bare(file)?;
            o.words.insert(n.min(o.words.len()), name);
        }
    }
    if command == "purge" && o.pool.is_none() {
        o.pool = o.words.get(1).cloned();
    }
    let mut ctx = Ctx::open(o)?;
    match command {
        "ls" => ls(&mut ctx),
        "purge" => purge(&mut ctx),
        "bench" => bench::bench(&mut ctx),
        "cleanup" => bench::cleanup(&mut ctx),
        "watch" => watch::watch(&mut ctx),
        "notify" => watch::notify(&mut ctx),
        "lock" => lock::run(&mut ctx),
        "export" => archive::export(&mut ctx),
        "import" => archive::import(&mut ctx),
        _ if snap::knows(command) => snap::run(&mut ctx, command),
        _ => object::run(&mut ctx, command),
    }
}

fn lspools(o: &Options) -> Outcome {
    let map = o.connect.open()?.latest_map()?;
    for name in map.pool_names.values() {
        outln!("{name}");
    }
    Ok(())
}

/// The PGs of a pool whose copies differ, as the manager knows them.
fn list_inconsistent(o: &Options) -> Outcome {
    let pool = o.words.get(1).ok_or_else(|| Failure("list-inconsistent-pg needs a pool's name".to_owned(), 1))?;
    let cmd =
        serde_json::json!({"prefix": "pg ls-by-pool", "poolstr": pool, "states": ["inconsistent"], "format": "json"});
    let request = Request::MgrCommand { cmd: cmd.to_string(), data: bytes::Bytes::new() };
    let reply = o.connect.open()?.command(request)?;
    if reply.r < 0 {
        return Err(failed(format!("error listing inconsistent PGs of {pool}"), -reply.r));
    }
    let found: serde_json::Value = serde_json::from_slice(&reply.data).context("the manager's answer is no JSON")?;
    let pgs = found["pg_stats"].as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> = pgs.iter().filter_map(|pg| pg["pgid"].as_str()).collect();
    outln!("{}", serde_json::json!(ids));
    Ok(())
}

/// What the last scrub of a PG found, asked of its primary.
fn scrub_findings(o: &Options, snapsets: bool) -> Outcome {
    let text = o.words.get(1).ok_or_else(|| Failure(format!("{} needs a PG's id", o.words[0]), 1))?;
    let pg: PgId = text.parse().map_err(|_| Failure(format!("bad pg: {text}"), 1))?;
    let mut session = o.connect.open()?;
    let none = |errno: i32| {
        let why = strerror(errno);
        Failure(format!("No scrub information available for pg {pg}\nerror {}: {why}", errno.abs()), 1)
    };
    // Nobody would answer for a PG that there is not.
    if session.latest_map()?.pool(pg.pool).is_none_or(|pool| pg.seed >= pool.pg_num) {
        return Err(none(types::errno::ENOENT));
    }
    let ask = ObjectOp::on_pg(pg.pool, Vec::new(), pg.seed).push(scrub_list::question(snapsets));
    let reply = session.op(ask)?.ok().map_err(none)?;
    let found = scrub_list::answer(reply.data(0), snapsets).map_err(|why| Failure(format!("pg {pg}: {why}"), 1))?;
    match o.format {
        Some(Format::JsonPretty) => outln!("{found:#}"),
        _ => out!("{found}"),
    }
    Ok(())
}

/// Copies every object of a pool, in its namespace, under its locator, into another pool.
fn cppool(mut o: Options) -> Outcome {
    let (Some(from), Some(to)) = (o.words.get(1).cloned(), o.words.get(2).cloned()) else {
        return Err(Failure("cppool needs the names of two pools; -h or --help for usage".to_owned(), 1));
    };
    if from == to {
        return Err(Failure("cannot copy a pool into itself".to_owned(), 1));
    }
    (o.pool, o.target_pool) = (Some(from.clone()), Some(to));
    let mut ctx = Ctx::open(o)?;
    crate::complain!("WARNING: pool copy does not preserve user_version, which some apps may rely on.");
    let mut found = Vec::new();
    ctx.each_object(ALL_NAMESPACES, |object| {
        found.push(object.clone());
        Ok(())
    })?;
    for object in found {
        let oid = object.oid.to_string_lossy().into_owned();
        ctx.o.nspace = object.nspace.as_bytes().to_vec();
        ctx.o.locator = object.locator.to_string_lossy().into_owned();
        object::copy(&mut ctx, &oid, &oid)?;
    }
    out!("successfully copied pool {from}");
    Ok(())
}

/// `mkpool NAME` and `rmpool NAME NAME --yes-i-really-really-mean-it`, which the monitors do.
fn pool_command(o: &Options, command: &str) -> Outcome {
    let name = o.words.get(1).ok_or_else(|| Failure(format!("{command} needs the pool's name"), 1))?;
    let json = match command {
        "mkpool" => serde_json::json!({"prefix": "osd pool create", "pool": name}),
        _ => {
            serde_json::json!({"prefix": "osd pool rm", "pool": name, "pool2": o.words.get(2).unwrap_or(&String::new()),
            "yes_i_really_really_mean_it": o.really})
        }
    };
    let request = Request::MonCommand { cmd: json.to_string(), data: bytes::Bytes::new() };
    let reply = o.connect.open()?.command(request)?;
    if reply.r < 0 {
        return Err(Failure(format!("error {command} {name}: {}: {}", strerror(reply.r), reply.rs), 1));
    }
    outln!("{}", if command == "mkpool" { format!("successfully created pool {name}") } else { reply.rs });
    Ok(())
}

fn ls(ctx: &mut Ctx) -> Outcome {
    let nspace = if ctx.o.all { ALL_NAMESPACES.to_vec() } else { ctx.o.nspace.clone() };
    let (all, format) = (ctx.o.all, ctx.o.format);
    let mut items = Vec::new();
    let wanted = match ctx.o.pg {
        Some(pg) => Some((pg, ctx.session.latest_map()?)),
        None => None,
    };
    let pool = ctx.pool;
    ctx.each_object(&nspace, |o| {
        if let Some((pg, map)) = &wanted {
            let raw = map.object_to_pg(pool, &o.oid, &o.locator, &o.nspace, None);
            if raw.and_then(|raw| map.raw_pg_to_pg(raw)) != Some(*pg) {
                return Ok(());
            }
        }
        if format.is_some() {
            let mut item = Dump::obj()
                .with("namespace", o.nspace.to_string_lossy().into_owned())
                .with("name", o.oid.to_string_lossy().into_owned());
            if !o.locator.is_empty() {
                item.put("locator", o.locator.to_string_lossy().into_owned());
            }
            items.push(item);
            return Ok(());
        }
        let mut line = Vec::new();
        if all {
            line.extend_from_slice(o.nspace.as_bytes());
            line.push(b'\t');
        }
        line.extend_from_slice(o.oid.as_bytes());
        if !o.locator.is_empty() {
            line.push(b'\t');
            line.extend_from_slice(o.locator.as_bytes());
        }
        line.push(b'\n');
        print_bytes(&line)
    })?;
    if let Some(format) = format {
        out!("{}", Dump::arr("object", items).render(format, "objects"));
    }
    Ok(())
}

fn purge(ctx: &mut Ctx) -> Outcome {
    if !ctx.o.really {
        let name = &ctx.pool_name;
        return Err(Failure(
            format!(
                "WARNING:\nThis will PERMANENTLY DESTROY all objects from a pool with no way back.\n\
                 To confirm, follow pool with --yes-i-really-really-mean-it: rados purge {name} --yes-i-really-really-mean-it"
            ),
            1,
        ));
    }
    let mut found = Vec::new();
    ctx.each_object(ALL_NAMESPACES, |o| {
        found.push(o.clone());
        Ok(())
    })?;
    for o in found {
        let op = ObjectOp::new(ctx.pool, o.oid.clone()).in_namespace(o.nspace).with_key(o.locator);
        let what = format!("error removing {}>{}", ctx.pool_name, o.oid);
        ctx.run(op.remove().with_flags(osd_flag::FULL_FORCE), &what)?;
    }
    outln!("successfully purged pool {}", ctx.pool_name);
    Ok(())
}
