//! Advisory locks on objects, by the object class `lock`.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{Decoder, Encoder};
use types::dump::{Dump, Format};
use types::{EntityAddr, EntityName, UTime};

use super::{Ctx, Failure, Outcome, failed, strerror};

/// What the options say of a lock.
#[derive(Debug, Default)]
pub(super) struct LockOptions {
    pub tag: String,
    pub cookie: String,
    pub description: String,
    pub duration: u64,
    pub kind: Option<String>,
}

const EXCLUSIVE: u8 = 1;
const SHARED: u8 = 2;

fn kind_name(kind: u8) -> &'static str {
    match kind {
        0 => "none",
        EXCLUSIVE => "exclusive",
        SHARED => "shared",
        3 => "exclusive-ephemeral",
        _ => "<unknown>",
    }
}

fn encoded(fields: impl FnOnce(&mut Encoder)) -> Bytes {
    let mut e = Encoder::new(types::features::ALL);
    e.versioned(1, 1, fields);
    e.finish()
}

/// Two lines, as Ceph's program prints them.
fn error(what: &str, errno: i32) -> Failure {
    Failure(format!("ERROR: {what}: {}\nerror {errno}: {}", strerror(errno), strerror(errno)), 1)
}

pub(super) fn run(ctx: &mut Ctx) -> Outcome {
    let (command, oid) = (ctx.word(0, "list, get, info or break")?, ctx.word(1, "an object's name")?);
    if command == "list" {
        return list(ctx, &oid);
    }
    let name = ctx.word(2, "a lock's name")?;
    match command.as_str() {
        "info" => info(ctx, &oid, &name),
        "get" => get(ctx, &oid, &name),
        "break" => break_lock(ctx, &oid, &name),
        _ => Err(Failure(format!("lock {command}: write list, get, info or break"), 1)),
    }
}

fn print(ctx: &Ctx, tree: &Dump, root: &str) {
    out!("{}", tree.render(ctx.o.format.unwrap_or(Format::Json), root));
}

fn list(ctx: &mut Ctx, oid: &str) -> Outcome {
    let op = ctx.object(oid).call("lock", "list_locks", &[], false);
    let reply = ctx.session.op(op)?.ok().map_err(|errno| error("rados_list_locks()", errno))?;
    let names: Vec<String> = Decoder::new(reply.data(0))
        .versioned("cls_lock_list_locks_reply", 1, |d, _| d.get())
        .map_err(|_| failed("list_locks", types::errno::EIO))?;
    let locks = names.iter().map(|name| Dump::obj().with("name", &name[..]));
    print(ctx, &Dump::obj().with("objname", oid).with("locks", Dump::arr("lock", locks)), "object");
    Ok(())
}

/// Name and cookie of a locker → when its lock ends, where it is, what it says of itself.
type Lockers = BTreeMap<(EntityName, String), (UTime, EntityAddr, String)>;

fn info(ctx: &mut Ctx, oid: &str, name: &str) -> Outcome {
    let input = encoded(|e| e.string(name));
    let op = ctx.object(oid).call("lock", "get_info", &input, false);
    let reply = ctx.session.op(op)?.ok().map_err(|errno| error("rados_lock_get_lock_info()", errno))?;
    let (lockers, kind, tag) = decode_info(reply.data(0)).map_err(|_| failed("lock info", types::errno::EIO))?;
    let lockers = lockers.iter().map(|((who, cookie), (expiration, addr, description))| {
        Dump::obj()
            .with("name", who.to_string())
            .with("cookie", &cookie[..])
            .with("description", &description[..])
            .with("expiration", expiration.to_string())
            .with("addr", addr.legacy_str())
    });
    let tree = Dump::obj()
        .with("name", name)
        .with("type", kind_name(kind))
        .with("tag", tag)
        .with("lockers", Dump::arr("locker", lockers));
    print(ctx, &tree, "lock");
    Ok(())
}

fn decode_info(data: Bytes) -> Result<(Lockers, u8, String), denc::DecodeError> {
    Decoder::new(data).versioned("cls_lock_get_info_reply", 1, |d, _| {
        let mut lockers = Lockers::new();
        // Each takes at least the heads of its two parts.
        for _ in 0..d.u32()? {
            let id = d.versioned("locker_id_t", 1, |d, _| Ok((d.get()?, d.get()?)))?;
            let about = d.versioned("locker_info_t", 1, |d, _| Ok((d.get()?, d.get()?, d.get()?)))?;
            lockers.insert(id, about);
        }
        Ok((lockers, d.u8()?, d.get()?))
    })
}

fn get(ctx: &mut Ctx, oid: &str, name: &str) -> Outcome {
    let o = &ctx.o.lock;
    let kind = match o.kind.as_deref() {
        None | Some("exclusive") => EXCLUSIVE,
        Some("shared") => SHARED,
        Some(_) => {
            let errno = types::errno::EINVAL;
            let text = format!("unknown lock type was specified, aborting\nerror {errno}: {}", strerror(errno));
            return Err(Failure(text, 1));
        }
    };
    let input = encoded(|e| {
        e.string(name);
        e.u8(kind);
        e.string(&o.cookie);
        e.string(&o.tag);
        e.string(&o.description);
        e.put(&UTime { sec: u32::try_from(o.duration).unwrap_or(u32::MAX), nsec: 0 });
        e.u8(0);
    });
    let op = ctx.object(oid).call("lock", "lock", &input, true);
    ctx.session.op(op)?.ok().map(drop).map_err(|errno| error("failed locking", errno))
}

fn break_lock(ctx: &mut Ctx, oid: &str, name: &str) -> Outcome {
    let locker = ctx.word(3, "a locker's name, such as client.4123")?;
    let who: Option<EntityName> = parse_client(&locker);
    let Some(who) = who else {
        let errno = types::errno::EINVAL;
        let text = format!("ERROR: failed to parse locker name ({locker})\nerror {errno}: {}", strerror(errno));
        return Err(Failure(text, 1));
    };
    let input = encoded(|e| {
        e.string(name);
        e.put(&who);
        e.string(&ctx.o.lock.cookie);
    });
    let op = ctx.object(oid).call("lock", "break_lock", &input, true);
    ctx.session.op(op)?.ok().map(drop).map_err(|errno| error("failed breaking lock", errno))
}

fn parse_client(text: &str) -> Option<EntityName> {
    text.strip_prefix("client.")?.parse().ok().map(EntityName::client)
}
