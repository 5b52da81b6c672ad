//! PGs as files: export, import, removal.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::Path;

use anyhow::{Context, Result, bail};
use cli::args::StoreArg;
use osd::offline::Offline;
use pg::carry;
use store::Store;

use super::{commit, open, pg_in};

pub fn export(store: &Store, pgid: &str, file: &Path, skip_unreadable: bool) -> Result<i32> {
    let id = pg_in(store, pgid)?;
    if file.exists() {
        bail!("{} exists already", file.display());
    }
    let origin = Offline::open(store)?.origin(id)?;
    let unfinished = file.with_extension("unfinished");
    let result = write(store, origin, &unfinished, skip_unreadable);
    match &result {
        Ok(_) => fs::rename(&unfinished, file).with_context(|| format!("cannot name {}", file.display()))?,
        Err(_) => drop(fs::remove_file(&unfinished)),
    }
    let totals = result?;
    cli::say!("pg {pgid} is in {}: {totals}", file.display());
    Ok(0)
}

fn write(store: &Store, origin: carry::Head, file: &Path, skip_unreadable: bool) -> Result<carry::Totals> {
    let out = File::create_new(file).with_context(|| format!("cannot make {}", file.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let done = carry::export(store, origin, &mut out)?;
    for (oid, why) in &done.unreadable {
        cli::complain!("unreadable: {oid}: {why}");
    }
    if !done.unreadable.is_empty() && !skip_unreadable {
        bail!(
            "{} of {} objects cannot be read; with --skip-unreadable the rest is exported, and the imported copy \
             knows that it lacks them (they are then unfound, unless another OSD has them)",
            done.unreadable.len(),
            done.totals.objects + done.totals.left_out
        );
    }
    let out = out.into_inner().map_err(|e| e.into_error())?;
    out.sync_all()?;
    Ok(done.totals)
}

pub fn import(at: &StoreArg, file: &Path, dry_run: bool, force: bool) -> Result<i32> {
    let read = || File::open(file).map(|f| BufReader::with_capacity(1 << 20, f));
    let read = || read().with_context(|| format!("cannot read {}", file.display()));
    // The whole file is proved before anything is written.
    let (head, totals) = carry::check(read()?).with_context(|| format!("{} is not taken", file.display()))?;
    let pgid = head.pgid.pgid;
    let store = open(at)?;
    let offline = Offline::open(&store)?;
    let whoami = offline.superblock.whoami;
    let admitted = offline.admit(&head, force).with_context(|| format!("pg {pgid} is not imported"))?;
    if dry_run {
        cli::say!("pg {pgid} of osd.{} could come into osd.{whoami}: {totals}", head.whoami);
        return Ok(0);
    }
    let submit = &mut |txn| commit(&store, &txn);
    if admitted.leftover {
        carry::remove_pg(head.pgid, &store, submit)?;
    }
    carry::import(read()?, &store, admitted.bits, admitted.extra, submit)?;
    store.close()?;
    cli::say!("pg {pgid} of osd.{} is in osd.{whoami}: {totals}. Start osd.{whoami}: the PG peers anew.", head.whoami);
    cli::say!(
        "If the PG then still waits (`ceph pg {pgid} query`, blocked_by) for OSDs that will not come back: `ceph osd lost`."
    );
    Ok(0)
}

pub fn remove_pg(at: &StoreArg, pgid: &str, yes: bool) -> Result<i32> {
    let store = open(at)?;
    let id = pg_in(&store, pgid)?;
    let offline = Offline::open(&store)?;
    let mut objects = 0_u64;
    carry::for_each_object::<os::ReadError>(&store, os::Coll::Pg(id), |_| {
        objects += 1;
        Ok(())
    })?;
    let whoami = offline.superblock.whoami;
    let stands = match carry::summary(id, &store) {
        Ok(s) => format!("at {}, epoch {}", s.info.last_update, s.epoch),
        Err(e) => format!("whose record cannot be read ({e})"),
    };
    let others: Vec<_> = offline.acting(id.pgid).into_iter().filter(|o| *o != whoami).map(|o| o.to_string()).collect();
    let others = match others.is_empty() {
        true => "no other OSD served it: this may be the last copy; export it first".to_owned(),
        false => format!("osd.{} served it too", others.join(", osd.")),
    };
    cli::say!("osd.{whoami} holds {objects} objects of pg {pgid}, {stands}; at epoch {} {others}", offline.map.epoch);
    if !yes {
        cli::say!("nothing was removed: --yes removes this copy");
        return Ok(0);
    }
    let removed = carry::remove_pg(id, &store, &mut |txn| commit(&store, &txn))?;
    store.close()?;
    cli::say!("removed pg {pgid} with {removed} objects from osd.{whoami}");
    Ok(0)
}
