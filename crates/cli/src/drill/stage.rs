//! A throw-away cluster on which a drill is played: what it is told is printed as an operator would type it, and
//! what is expected of it is checked off.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ::rados::{ObjectOp, Reply, Request};
use anyhow::{Context, Result, bail};
use bytes::Bytes;

use super::say;
use super::watcher::{Sample, Watcher};
use crate::dir::{ClusterDir, Daemon};
use crate::tools::Connect;
use crate::up::{self, UpOptions};
use crate::{interrupt, process};

/// The pool that drills use.
pub(super) const POOL: &str = "drill";

/// Timers so short that a drill takes seconds.
const FAST: &[&str] = &[
    "mon_allow_pool_size_one=true",
    "osd_heartbeat_interval=1",
    "osd_heartbeat_grace=6",
    "osd_mon_heartbeat_interval=3",
    "mon_osd_down_out_interval=600",
    "mon_osd_min_down_reporters=1",
    "mon_osd_adjust_heartbeat_grace=false",
    "mon_osd_report_timeout=10",
    "osd_mon_report_interval=1",
    "osd_beacon_report_interval=2",
    "osd_max_markdown_count=1000",
    "mgr_stats_period=1",
    "mgr_tick_period=1",
    "mon_tick_interval=1",
    "mon_pg_stuck_threshold=20",
];

const LONG: Duration = Duration::from_secs(90);
/// How long an answer is waited for that must not come.
const BLOCKED_FOR: Duration = Duration::from_secs(3);
/// Writes under way at once.
const DEPTH: usize = 16;

/// See the file's documentation. Dropped, it takes the cluster away, unless it is to be kept.
pub(super) struct Stage {
    dir: ClusterDir,
    watcher: Option<Watcher>,
    keep: bool,
    pub expected: u32,
    pub met: u32,
}

impl Stage {
    /// Makes the cluster and the pool, and waits until it is healthy.
    pub fn new(folder: &Path, osds: i32, keep: bool, began: Instant) -> Result<Self> {
        let dir = ClusterDir::new(&folder.join("cluster"))?;
        let mut stage = Self { dir, watcher: None, keep, expected: 0, met: 0 };
        say(format_args!("$ spirula up --osds {osds} --dir {}   # with short timers", stage.dir));
        let size = format!("osd_pool_default_size={}", osds.min(3));
        let set = FAST.iter().map(|s| (*s).to_owned()).chain([size]).collect();
        let options = UpOptions { osds, mons: 1, port: None, osd_size: 10 << 30, set };
        up::up_quietly(&stage.dir, &options)?;
        stage.watcher = Some(Watcher::start(stage.conf(), began)?);
        Ok(stage)
    }

    fn conf(&self) -> PathBuf {
        self.dir.conf_file()
    }

    fn watcher(&self) -> &Watcher {
        self.watcher.as_ref().expect("it is there from `new` to `drop`")
    }

    // --- what is typed

    /// A `ceph` command that must succeed.
    pub fn ceph(&self, words: &str) -> Result<()> {
        let (code, text) = self.tool("ceph", words, None)?;
        if code != Some(0) {
            bail!("`ceph {words}` failed: {}", text.trim());
        }
        Ok(())
    }

    /// A `ceph` command whose answer is shown.
    pub fn show(&self, words: &str) -> Result<()> {
        let (_, text) = self.tool("ceph", words, None)?;
        // The manager's stray blank lines add nothing here.
        text.lines().filter(|l| !l.trim().is_empty()).for_each(|line| say(format_args!("    {line}")));
        Ok(())
    }

    /// Runs this program as `ceph` or `rados`; no code: it gave no answer within the limit and was ended.
    fn tool(&self, program: &str, words: &str, limit: Option<Duration>) -> Result<(Option<i32>, String)> {
        interrupt::check()?;
        say(format_args!("$ {program} {words}"));
        let mut child = Command::new(std::env::current_exe()?)
            .arg(program)
            .args(words.split_whitespace())
            .env("CEPH_CONF", self.conf())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let give_up = Instant::now() + limit.unwrap_or(LONG);
        while child.try_wait()?.is_none() {
            if Instant::now() > give_up || interrupt::hit() {
                child.kill()?;
                child.wait()?;
                interrupt::check()?;
                return Ok((None, String::new()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let done = child.wait_with_output()?;
        let text = [done.stdout, done.stderr].concat();
        Ok((done.status.code(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// SIGKILL: a power cut of one host.
    pub fn kill(&self, osd: i32) -> Result<()> {
        say(format_args!("$ spirula kill osd.{osd}"));
        process::end(&self.dir, &Daemon::Osd(osd), libc::SIGKILL, LONG).map(drop)
    }

    /// Politely: it tells the monitors that it leaves.
    pub fn stop(&self, osd: i32) -> Result<()> {
        say(format_args!("$ spirula stop osd.{osd}"));
        process::end(&self.dir, &Daemon::Osd(osd), libc::SIGTERM, LONG).map(drop)
    }

    /// Other bytes for an object in a stopped OSD's store, with nothing wrong about their checksums.
    pub fn corrupt(&self, osd: i32, pgid: &str, object: &str) -> Result<()> {
        let dir = self.dir.root().join(format!("osd.{osd}"));
        say(format_args!("$ spirula store corrupt-object --dir {} {pgid} {object}", dir.display()));
        let mut command = Command::new(std::env::current_exe()?);
        let done = command.args(["store", "corrupt-object", "--dir"]).arg(dir).args([pgid, object]).output()?;
        if !done.status.success() {
            bail!("{}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(())
    }

    pub fn start(&self, osd: i32) -> Result<()> {
        say(format_args!("$ spirula start osd.{osd}"));
        let daemon = Daemon::Osd(osd);
        let mut child = process::spawn(&self.dir, &daemon)?;
        process::wait_ready(&self.dir, &daemon, &mut child, LONG)
    }

    pub fn pool(&mut self, size: u32, min_size: u32, pgs: u32) -> Result<()> {
        self.ceph(&format!("osd pool create {POOL} {pgs} {pgs}"))?;
        let sure = if size == 1 { " --yes-i-really-mean-it" } else { "" };
        self.ceph(&format!("osd pool set {POOL} size {size}{sure}"))?;
        self.ceph(&format!("osd pool set {POOL} min_size {min_size}"))?;
        self.ceph(&format!("osd pool application enable {POOL} rados"))?;
        self.clean()
    }

    /// Writes objects 0 to `count`, each of this size, whole.
    pub fn fill(&self, count: usize, size: usize) -> Result<()> {
        say(format_args!("$ rados -p {POOL} put obj0 … obj{}   # {size} bytes each", count - 1));
        let mut session = Connect { conf: Some(self.conf()), ..Connect::default() }.open()?;
        let pool = session.pool(POOL)?.map_err(|e| anyhow::anyhow!("no pool: {}", types::errno::message(e)))?;
        let (mut begun, mut done) = (0, 0);
        while done < count {
            while begun < count && begun - done < DEPTH {
                let data = Bytes::from(vec![begun as u8; size]);
                let op = ObjectOp::new(pool, format!("obj{begun}").as_str()).write_full(data);
                session.submit(Request::Op(Box::new(op)));
                begun += 1;
            }
            interrupt::check()?;
            match session.next_reply(Duration::from_millis(200)) {
                Some((_, Reply::Op(reply))) if reply.result < 0 => {
                    bail!("a write failed: {}", types::errno::message(reply.result))
                }
                Some(_) => done += 1,
                None => {}
            }
        }
        Ok(())
    }

    // --- what is expected

    fn outcome(&mut self, what: &str, met: bool, note: &str) {
        self.expected += 1;
        self.met += u32::from(met);
        say(format_args!("  {} {what}{note}", if met { "[as written]" } else { "[NOT AS WRITTEN]" }));
    }

    /// Waits until the cluster is so.
    pub fn expect(&mut self, what: &str, holds: impl Fn(&Sample) -> bool) -> Result<()> {
        self.expect_within(LONG, what, holds)
    }

    pub fn expect_within(&mut self, limit: Duration, what: &str, holds: impl Fn(&Sample) -> bool) -> Result<()> {
        let began = Instant::now();
        let met = self.watcher().wait(limit, holds)?;
        let note = match met {
            true => format!(" (after {:.1} s)", began.elapsed().as_secs_f64()),
            false => format!(" (not in {} s)", limit.as_secs()),
        };
        self.outcome(what, met, &note);
        if !met {
            bail!("the cluster did not come to what the drill goes on from");
        }
        Ok(())
    }

    pub fn clean(&mut self) -> Result<()> {
        self.expect("every PG is active+clean, every OSD up and in", Sample::is_clean)
    }

    /// A state that may have been short.
    pub fn expect_seen(&mut self, what: &str, words: &[&str]) {
        let met = self.watcher().was_seen(words);
        self.outcome(what, met, "");
    }

    pub fn expect_never(&mut self, what: &str, words: &[&str]) {
        let met = !self.watcher().was_seen(words);
        self.outcome(what, met, "");
    }

    pub fn expect_that(&mut self, what: &str, met: bool) {
        self.outcome(what, met, "");
    }

    /// A read or a write that is answered.
    pub fn expect_answer(&mut self, words: &str) -> Result<()> {
        let (code, text) = self.tool("rados", &format!("-p {POOL} {words}"), Some(LONG))?;
        let note = if code == Some(0) { String::new() } else { format!(": {}", text.trim()) };
        self.outcome("it is answered", code == Some(0), &note);
        Ok(())
    }

    /// A read or a write that has to wait.
    pub fn expect_blocked(&mut self, words: &str) -> Result<()> {
        let (code, text) = self.tool("rados", &format!("-p {POOL} {words}"), Some(BLOCKED_FOR))?;
        let what = format!("it waits: no answer within {} s", BLOCKED_FOR.as_secs());
        let note = if code.is_none() { String::new() } else { format!(": {}", text.trim()) };
        self.outcome(&what, code.is_none(), &note);
        Ok(())
    }

    /// How many objects the pool holds.
    pub fn objects(&self) -> Result<usize> {
        let (_, text) = self.tool("rados", &format!("-p {POOL} ls"), None)?;
        Ok(text.lines().count())
    }

    pub fn now(&self) -> Sample {
        self.watcher().now()
    }

    pub fn ceph_answer(&self, words: &str) -> Result<(Option<i32>, String)> {
        self.tool("ceph", words, None)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.watcher = None;
        if self.keep && self.dir.holds_cluster() && !interrupt::hit() {
            // The next drill is not to take it for a rest.
            let _ = std::fs::write(self.dir.root().with_file_name("kept"), "");
            say(format_args!("kept: export CEPH_CONF={}; spirula down --dir {}", self.conf().display(), self.dir));
            return;
        }
        take_away(self.dir.root().parent().unwrap_or(self.dir.root()));
    }
}

/// Ends the daemons of a drill's folder and removes it.
pub(super) fn take_away(folder: &Path) {
    if let Ok(dir) = ClusterDir::new(&folder.join("cluster")) {
        for daemon in dir.daemons().unwrap_or_default() {
            if let Err(e) = process::end(&dir, &daemon, libc::SIGKILL, Duration::from_secs(10)) {
                let _ = writeln!(std::io::stderr(), "spirula: {e:#}");
            }
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}
