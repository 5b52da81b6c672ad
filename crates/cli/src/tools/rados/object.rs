//! The commands on single objects.

use std::collections::BTreeMap;

use ::rados::{ObjectOp, OpReply};
use bytes::Bytes;
use denc::{ByteStr, Decoder};
use types::osd_op::osd_flag;
use types::{ObjListWatchResponse, UTime};

use super::super::{print_bytes, read_input, write_output};
use super::{Ctx, DEFAULT_OP_SIZE, Failure, Outcome, failed};

const COMMANDS: &[&str] = &[
    "get",
    "put",
    "append",
    "truncate",
    "create",
    "touch",
    "rm",
    "stat",
    "stat2",
    "cp",
    "listxattr",
    "getxattr",
    "setxattr",
    "rmxattr",
    "listomapkeys",
    "listomapvals",
    "getomapval",
    "setomapval",
    "rmomapkey",
    "clearomap",
    "getomapheader",
    "setomapheader",
    "listwatchers",
    "mapext",
    "set-alloc-hint",
];

pub(super) fn knows(command: &str) -> bool {
    COMMANDS.contains(&command)
}

pub(super) fn run(ctx: &mut Ctx, command: &str) -> Outcome {
    let oid = ctx.word(0, "an object's name")?;
    let at = format!("{}/{oid}", ctx.pool_name);
    match command {
        "get" => get(ctx, &oid, &at),
        "put" => put(ctx, &oid, &at),
        "append" => append(ctx, &oid, &at),
        "truncate" => {
            let text = ctx.word(1, "a length")?;
            if text.starts_with('-') {
                return Err(Failure("error, cannot truncate to negative value".to_owned(), 1));
            }
            let size = text.parse().map_err(|_| Failure(format!("Invalid value for size: '{text}'"), 1))?;
            let op = ctx.object(&oid).truncate(size);
            ctx.run(op, &format!("error truncating oid {oid} to {size}")).map(drop)
        }
        "create" => {
            let op = ctx.object(&oid).create(true);
            ctx.run(op, &format!("error creating {at}")).map(drop)
        }
        "touch" => {
            let mut op = ctx.object(&oid).create(false);
            if let Some(text) = ctx.o.words.get(2) {
                let bad = |_| Failure(format!("Invalid value for timestamp: '{text}'"), 1);
                op.mtime = Some(UTime { sec: text.parse().map_err(bad)?, nsec: 0 });
            }
            ctx.run(op, &format!(" error touch-ing {at}")).map(drop)
        }
        "rm" => rm(ctx),
        "stat" | "stat2" => stat(ctx, &oid, &at, command == "stat2"),
        "cp" => cp(ctx, &oid),
        "listxattr" | "getxattr" | "setxattr" | "rmxattr" => xattr(ctx, command, &oid, &at),
        "mapext" => mapext(ctx, &oid, &at),
        "set-alloc-hint" => {
            let size = |ctx: &Ctx, n, what: &str| {
                let text = ctx.word(n, what)?;
                text.parse().map_err(|_| Failure(format!("Invalid value for {what}: '{text}'"), 1))
            };
            let (object, write) = (size(ctx, 1, "expected-object-size")?, size(ctx, 2, "expected-write-size")?);
            let op = ctx.object(&oid).set_alloc_hint(object, write);
            ctx.run(op, &format!("error setting alloc-hint {at}")).map(drop)
        }
        "listwatchers" => listwatchers(ctx, &oid, &at),
        _ => omap(ctx, command, &oid, &at),
    }
}

fn get(ctx: &mut Ctx, oid: &str, at: &str) -> Outcome {
    let file = ctx.word(1, "a file's name, or -")?;
    let step = ctx.o.op_size.unwrap_or(DEFAULT_OP_SIZE);
    let mut all = Vec::new();
    loop {
        let op = ctx.object(oid).read(all.len() as u64, step);
        let data = ctx.run(op, &format!("error getting {at}"))?.data(0);
        all.extend_from_slice(&data);
        if (data.len() as u64) < step {
            break;
        }
    }
    Ok(write_output(&file, &all)?)
}

fn put(ctx: &mut Ctx, oid: &str, at: &str) -> Outcome {
    let file = ctx.word(1, "a file's name, or -")?;
    let data = Bytes::from(read_input(&file)?);
    let step = ctx.o.op_size.unwrap_or(DEFAULT_OP_SIZE) as usize;
    let (what, start) = (format!("error putting {at}"), ctx.o.offset);
    // An object that is put anew is replaced, not mixed with what it held.
    let first = data.slice(..step.min(data.len()));
    let op = match start {
        0 => ctx.object(oid).write_full(first.clone()),
        _ => ctx.object(oid).write(start, first.clone()),
    };
    ctx.run(op, &what)?;
    let mut done = first.len();
    while done < data.len() {
        let chunk = data.slice(done..data.len().min(done + step));
        done += chunk.len();
        let op = ctx.object(oid).write(start + (done - chunk.len()) as u64, chunk);
        ctx.run(op, &what)?;
    }
    Ok(())
}

fn append(ctx: &mut Ctx, oid: &str, at: &str) -> Outcome {
    let file = ctx.word(1, "a file's name, or -")?;
    let data = Bytes::from(read_input(&file)?);
    let step = ctx.o.op_size.unwrap_or(DEFAULT_OP_SIZE) as usize;
    for start in (0..data.len()).step_by(step.max(1)) {
        let op = ctx.object(oid).append(data.slice(start..data.len().min(start + step)));
        ctx.run(op, &format!("error appending {at}"))?;
    }
    Ok(())
}

fn rm(ctx: &mut Ctx) -> Outcome {
    let flags = if ctx.o.force_full { osd_flag::FULL_FORCE } else { 0 };
    let names: Vec<String> = ctx.o.words.iter().skip(1).cloned().collect();
    for oid in names {
        let op = ctx.object(&oid).remove().with_flags(flags);
        let what = format!("error removing {}>{oid}", ctx.pool_name);
        ctx.run(op, &what)?;
    }
    Ok(())
}

fn stat(ctx: &mut Ctx, oid: &str, at: &str, precise: bool) -> Outcome {
    let op = ctx.object(oid).stat();
    let what = format!(" error stat-ing {at}");
    let reply = ctx.run(op, &what)?;
    let mut d = Decoder::new(reply.data(0));
    let (size, mut mtime) = match (d.u64(), d.get::<UTime>()) {
        (Ok(size), Ok(mtime)) => (size, mtime),
        _ => return Err(failed(what, types::errno::EIO)),
    };
    if !precise {
        mtime.nsec = 0;
    }
    outln!("{at} mtime {mtime}, size {size}");
    Ok(())
}

/// Copies data, attributes and omap through the client.
fn cp(ctx: &mut Ctx, oid: &str) -> Outcome {
    let o = &ctx.o;
    if o.words.len() < 3 && o.target_pool.is_none() && o.target_locator.is_none() && o.target_nspace.is_none() {
        return Err(Failure("cannot copy object into itself".to_owned(), 1));
    }
    let target = ctx.o.words.get(2).cloned().unwrap_or_else(|| oid.to_owned());
    copy(ctx, oid, &target)
}

/// Copies an object, with its attributes and its omap, to where the options say.
pub(super) fn copy(ctx: &mut Ctx, oid: &str, target: &str) -> Outcome {
    let at = format!("{}/{oid}", ctx.pool_name);
    let pool = match ctx.o.target_pool.clone() {
        Some(name) => ctx.session.pool(&name)?.map_err(|e| failed(format!("error opening target pool {name}"), e))?,
        None => ctx.pool,
    };
    let nspace = ctx.o.target_nspace.clone().map_or_else(|| ctx.o.nspace.clone(), String::into_bytes);
    let key = ctx.o.target_locator.clone().unwrap_or_else(|| ctx.o.locator.clone());
    if pool == ctx.pool && target == oid && nspace == ctx.o.nspace && key == ctx.o.locator {
        return Err(failed(format!("error copying {at} => {at}"), types::errno::EINVAL));
    }
    let to_pool = ctx.o.target_pool.clone().unwrap_or_else(|| ctx.pool_name.clone());
    let what = format!("error copying {at} => {to_pool}/{target}");
    let read = ctx.object(oid).read(0, 0).getxattrs().omap_get_header();
    let source = ctx.run(read, &what)?;
    let attrs: BTreeMap<ByteStr, Bytes> = decoded(&source, 1, &what)?;
    let to = || ObjectOp::new(pool, target).in_namespace(&nspace[..]).with_key(&key[..]);
    let mut op = to().write_full(source.data(0));
    for (name, value) in &attrs {
        op = op.setxattr(&name.to_string_lossy(), value);
    }
    if !source.data(2).is_empty() {
        op = op.omap_set_header(source.data(2));
    }
    ctx.run(op, &what)?;
    let from = ctx.object(oid);
    for page in omap_pages(ctx, &from, &what)? {
        let op = to().omap_set(page.iter().map(|(k, v)| (k.as_bytes(), &v[..])));
        ctx.run(op, &what)?;
    }
    Ok(())
}

pub(super) fn decoded<T: denc::Decode>(reply: &OpReply, n: usize, what: &str) -> Result<T, Failure> {
    denc::from_bytes(reply.data(n)).map_err(|_| failed(what, types::errno::EIO))
}

fn xattr(ctx: &mut Ctx, command: &str, oid: &str, at: &str) -> Outcome {
    if command == "listxattr" {
        let what = format!("error getting xattr set {at}");
        let op = ctx.object(oid).getxattrs();
        let reply = ctx.run(op, &what)?;
        let attrs: BTreeMap<ByteStr, Bytes> = decoded(&reply, 0, &what)?;
        for name in attrs.keys() {
            outln!("{}", name.to_string_lossy());
        }
        return Ok(());
    }
    let name = ctx.word(1, "an attribute's name")?;
    let object = ctx.object(oid);
    match command {
        "getxattr" => {
            let reply = ctx.run(object.getxattr(&name), &format!("error getting xattr {at}/{name}"))?;
            Ok(print_bytes(&reply.data(0))?)
        }
        "setxattr" => {
            let value = value(ctx, 2)?;
            ctx.run(object.setxattr(&name, &value), &format!("error setting xattr {at}/{name}")).map(drop)
        }
        _ => ctx.run(object.rmxattr(&name), &format!("error removing xattr {at}/{name}")).map(drop),
    }
}

/// The value that a word, `--input-file` or standard input gives.
fn value(ctx: &Ctx, n: usize) -> Result<Vec<u8>, Failure> {
    match (ctx.o.words.get(n + 1), &ctx.o.input_file) {
        (Some(word), _) => Ok(word.clone().into_bytes()),
        (None, Some(file)) => Ok(read_input(file)?),
        (None, None) => Ok(read_input("-")?),
    }
}

pub(super) type Pairs = BTreeMap<ByteStr, Bytes>;

/// The whole omap, a request a page.
pub(super) fn omap_pages(ctx: &mut Ctx, object: &ObjectOp, what: &str) -> Result<Vec<Pairs>, Failure> {
    let mut pages = Vec::new();
    let mut after = ByteStr::default();
    loop {
        let op = object.clone().omap_get(after.as_bytes(), 512);
        let reply = ctx.run(op, what)?;
        let mut d = Decoder::new(reply.data(0));
        let (Ok(page), more) = (d.get::<Pairs>(), d.bool().unwrap_or(false)) else {
            return Err(failed(what, types::errno::EIO));
        };
        let Some(last) = page.keys().next_back().cloned() else { return Ok(pages) };
        after = last;
        pages.push(page);
        if !more {
            return Ok(pages);
        }
    }
}

fn omap(ctx: &mut Ctx, command: &str, oid: &str, at: &str) -> Outcome {
    match command {
        "listomapkeys" | "listomapvals" => {
            let object = ctx.object(oid);
            for page in omap_pages(ctx, &object, &format!("error getting omap keys {at}"))? {
                for (key, value) in page {
                    print_bytes(key.as_bytes())?;
                    outln!();
                    if command == "listomapvals" {
                        outln!("value ({} bytes) :\n{}", value.len(), hexdump(&value));
                    }
                }
            }
            Ok(())
        }
        "clearomap" => {
            let names: Vec<String> = ctx.o.words.iter().skip(1).cloned().collect();
            for oid in names {
                let op = ctx.object(&oid).omap_clear();
                ctx.run(op, &format!("error clearing omap keys {}/{oid}", ctx.pool_name))?;
            }
            Ok(())
        }
        "getomapheader" => {
            let op = ctx.object(oid).omap_get_header();
            let header = ctx.run(op, &format!("error getting omap header {at}"))?.data(0);
            show_or_save(ctx, 1, "header", &header)
        }
        "setomapheader" => {
            let header = value(ctx, 1)?;
            let op = ctx.object(oid).omap_set_header(header.into());
            ctx.run(op, &format!("error setting omap value {at}")).map(drop)
        }
        _ => omap_key(ctx, command, oid, at),
    }
}

fn omap_key(ctx: &mut Ctx, command: &str, oid: &str, at: &str) -> Outcome {
    let key = ctx.word(1, "a key")?;
    let object = ctx.object(oid);
    match command {
        "getomapval" => {
            let what = format!("error getting omap value {at}/{key}");
            let reply = ctx.run(object.omap_get_by_keys([key.as_bytes()]), &what)?;
            let found: Pairs = decoded(&reply, 0, &what)?;
            match found.get(key.as_bytes()) {
                Some(value) => show_or_save(ctx, 2, "value", value),
                None => Err(Failure(format!("No such key: {at}/{key}"), 1)),
            }
        }
        "setomapval" => {
            let value = value(ctx, 2)?;
            let op = object.omap_set([(key.as_bytes(), &value[..])]);
            ctx.run(op, &format!("error setting omap value {at}/{key}")).map(drop)
        }
        _ => {
            let op = object.omap_rm_keys([key.as_bytes()]);
            ctx.run(op, &format!("error removing omap key {at}/{key}")).map(drop)
        }
    }
}

fn show_or_save(ctx: &Ctx, n: usize, name: &str, bytes: &[u8]) -> Outcome {
    match ctx.o.words.get(n + 1) {
        Some(file) => {
            crate::complain!("Writing to {file}");
            Ok(write_output(file, bytes)?)
        }
        None => {
            outln!("{name} ({} bytes) :\n{}", bytes.len(), hexdump(bytes));
            Ok(())
        }
    }
}

/// The ranges that hold data, in hexadecimal.
fn mapext(ctx: &mut Ctx, oid: &str, at: &str) -> Outcome {
    let what = format!("error reading extents of {at}");
    let op = ctx.object(oid).mapext(0, u64::MAX);
    let reply = ctx.run(op, &what)?;
    let extents: BTreeMap<u64, u64> = decoded(&reply, 0, &what)?;
    for (start, length) in extents {
        outln!("{start:x}\t{length:x}");
    }
    Ok(())
}

fn listwatchers(ctx: &mut Ctx, oid: &str, at: &str) -> Outcome {
    let what = format!("error listing watchers {at}");
    let op = ctx.object(oid).list_watchers();
    let reply = ctx.run(op, &what)?;
    let found: ObjListWatchResponse = decoded(&reply, 0, &what)?;
    for w in found.entries {
        outln!("watcher={} client.{} cookie={}", w.addr.legacy_str(), w.name.num, w.cookie);
    }
    Ok(())
}

/// As `hexdump -C` (Ceph: `bufferlist::hexdump`).
pub(super) fn hexdump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (row, chunk) in bytes.chunks(16).enumerate() {
        out.push_str(&format!("{:08x} ", row * 16));
        for i in 0..16 {
            if i == 8 {
                out.push(' ');
            }
            match chunk.get(i) {
                Some(b) => out.push_str(&format!(" {b:02x}")),
                None => out.push_str("   "),
            }
        }
        let text = chunk.iter().map(|b| if (32..127).contains(b) { char::from(*b) } else { '.' });
        out.push_str(&format!("  |{}|\n", text.collect::<String>()));
    }
    out.push_str(&format!("{:08x}\n", bytes.len()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_as_ceph_dumps_them() {
        assert_eq!(hexdump(b"v1"), "00000000  76 31                                             |v1|\n00000002\n");
    }
}
