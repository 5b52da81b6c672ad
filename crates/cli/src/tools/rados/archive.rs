//! `export` and `import`: a pool as one file, in the format of Ceph's `rados export` and of
//! `ceph-objectstore-tool` (Ceph: `RadosDump`).
//!
//! The file is a 16-byte head and then sections: a head with type and length, the body, and a foot with a magic
//! number; a section without a body has no foot. All sections between an object's begin and end are the object's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use ::rados::ObjectOp;
use anyhow::{Context, bail};
use bytes::Bytes;
use denc::{ByteStr, Decoder, Encode, Encoder};
use types::errno::EEXIST;
use types::{GHObject, HObject, ListObject, NO_GEN, ObjectInfo, SNAP_HEAD};

use super::object::omap_pages;
use super::{ALL_NAMESPACES, Ctx, DEFAULT_OP_SIZE, Failure, Outcome, failed};

mod section {
    pub const NONE: u8 = 0;
    pub const PG_BEGIN: u8 = 1;
    pub const PG_END: u8 = 2;
    pub const OBJECT_BEGIN: u8 = 3;
    pub const OBJECT_END: u8 = 4;
    pub const DATA: u8 = 5;
    pub const ATTRS: u8 = 6;
    pub const OMAP_HEADER: u8 = 7;
    pub const OMAP: u8 = 8;
    pub const PG_METADATA: u8 = 9;
    pub const POOL_BEGIN: u8 = 10;
    pub const POOL_END: u8 = 11;
}

const SUPER_MAGIC: u32 = 0xffce_ffce;
const SUPER_VERSION: u32 = 2;
const FOOT_MAGIC: u32 = 0xecff_ffce;
/// A head as it is written now; files say how long theirs are.
const HEAD_SIZE: u32 = 18;
const FOOT_SIZE: u32 = 10;
/// Longer sections than this nobody writes.
const SECTION_MAX: u64 = 1 << 30;

// --- export

struct Writer<W: Write>(W);

impl<W: Write> Writer<W> {
    fn begin(&mut self) -> io::Result<()> {
        for word in [SUPER_MAGIC, SUPER_VERSION, HEAD_SIZE, FOOT_SIZE] {
            self.0.write_all(&word.to_le_bytes())?;
        }
        self.empty(section::POOL_BEGIN)
    }

    fn head(&mut self, kind: u8, size: u64) -> io::Result<()> {
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| {
            e.u32(u32::from(kind) << 24 | u32::from(kind) << 16 | (SUPER_MAGIC & 0xffff));
            e.u64(size);
        });
        self.0.write_all(&e.finish())
    }

    /// A section without a body.
    fn empty(&mut self, kind: u8) -> io::Result<()> {
        self.head(kind, 0)
    }

    fn section(&mut self, kind: u8, version: u8, body: impl FnOnce(&mut Encoder)) -> io::Result<()> {
        let mut e = Encoder::new(types::features::ALL);
        e.versioned(version, 1, body);
        let body = e.finish();
        self.head(kind, body.len() as u64)?;
        self.0.write_all(&body)?;
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| e.u32(FOOT_MAGIC));
        self.0.write_all(&e.finish())
    }
}

pub(super) fn export(ctx: &mut Ctx) -> Outcome {
    let to: Box<dyn Write> = match ctx.o.words.get(1).map(String::as_str) {
        None | Some("-") => Box::new(io::stdout().lock()),
        Some(path) => {
            Box::new(File::create(path).map_err(|e| Failure(format!("error opening '{path}' for writing: {e}"), 1))?)
        }
    };
    let mut writer = Writer(BufWriter::with_capacity(1 << 20, to));
    let wrote = |r: io::Result<()>| r.map_err(|e| Failure(format!("cannot write the export: {e}"), 1));
    wrote(writer.begin())?;
    let mut objects = Vec::new();
    ctx.each_object(ALL_NAMESPACES, |o| {
        objects.push(o.clone());
        Ok(())
    })?;
    for object in objects {
        export_object(ctx, &object, &mut writer)?;
    }
    wrote(writer.empty(section::POOL_END))?;
    wrote(writer.0.flush())
}

fn export_object<W: Write>(ctx: &mut Ctx, o: &ListObject, to: &mut Writer<W>) -> Outcome {
    let wrote = |r: io::Result<()>| r.map_err(|e| Failure(format!("cannot write the export: {e}"), 1));
    ctx.o.nspace = o.nspace.as_bytes().to_vec();
    let object = ObjectOp::new(ctx.pool, o.oid.clone()).in_namespace(o.nspace.clone()).with_key(o.locator.clone());
    let name = o.oid.to_string_lossy().into_owned();
    let hobj = HObject {
        oid: o.oid.clone(),
        key: o.locator.clone(),
        snap: SNAP_HEAD,
        pool: i64::MIN,
        nspace: o.nspace.clone(),
        ..HObject::default()
    };
    wrote(to.section(section::OBJECT_BEGIN, 3, |e| {
        e.put(&hobj);
        e.u64(NO_GEN);
        e.u8(types::NO_SHARD.cast_unsigned());
        e.put(&ObjectInfo::default());
    }))?;
    let mut offset = 0;
    loop {
        let reply = ctx.run(object.clone().read(offset, DEFAULT_OP_SIZE), &format!("error reading {name}"))?;
        let data = reply.data(0);
        if !data.is_empty() {
            wrote(to.section(section::DATA, 1, |e| {
                e.u64(offset);
                e.u64(data.len() as u64);
                e.blob(&data);
            }))?;
        }
        offset += data.len() as u64;
        if (data.len() as u64) < DEFAULT_OP_SIZE {
            break;
        }
    }
    let what = format!("error getting xattr set {name}");
    let reply = ctx.run(object.clone().getxattrs().omap_get_header(), &what)?;
    let attrs: BTreeMap<ByteStr, Bytes> = super::object::decoded(&reply, 0, &what)?;
    // Users' attributes have this before their names where they are stored.
    let attrs: BTreeMap<ByteStr, Bytes> =
        attrs.into_iter().map(|(k, v)| ([b"_", k.as_bytes()].concat().into(), v)).collect();
    wrote(to.section(section::ATTRS, 1, |e| e.put(&attrs)))?;
    wrote(to.section(section::OMAP_HEADER, 1, |e| e.blob(&reply.data(1))))?;
    for page in omap_pages(ctx, &object, &format!("error getting omap keys {name}"))? {
        wrote(to.section(section::OMAP, 1, |e| page.encode(e)))?;
    }
    wrote(to.empty(section::OBJECT_END))
}

// --- import

struct Reader<R: Read> {
    from: R,
    head: u32,
    foot: u32,
}

impl<R: Read> Reader<R> {
    fn open(mut from: R) -> anyhow::Result<Self> {
        let mut word = || -> anyhow::Result<u32> {
            let mut bytes = [0; 4];
            from.read_exact(&mut bytes).context("the file ends too early")?;
            Ok(u32::from_le_bytes(bytes))
        };
        let (magic, version, head, foot) = (word()?, word()?, word()?, word()?);
        if magic != SUPER_MAGIC {
            bail!("Invalid magic number: 0x{magic:x} vs. 0x{SUPER_MAGIC:x}");
        }
        if version > SUPER_VERSION {
            bail!("Can't handle export format version={version}");
        }
        if !(HEAD_SIZE..4096).contains(&head) || !(FOOT_SIZE..4096).contains(&foot) {
            bail!("no export: heads of {head} and feet of {foot} bytes");
        }
        Ok(Self { from, head, foot })
    }

    fn take(&mut self, len: u64) -> anyhow::Result<Bytes> {
        let mut bytes = Vec::new();
        (&mut self.from).take(len).read_to_end(&mut bytes).context("cannot read the export")?;
        if (bytes.len() as u64) < len {
            bail!("Unexpected EOF");
        }
        Ok(bytes.into())
    }

    fn section(&mut self) -> anyhow::Result<(u8, Bytes)> {
        let head = self.take(self.head.into())?;
        let (kind, size) = Decoder::new(head).versioned("header", 1, |d, _| Ok((d.u32()? >> 24, d.u64()?)))?;
        if size > SECTION_MAX {
            bail!("a section of {size} bytes: this is no export");
        }
        let body = self.take(size)?;
        if size > 0 {
            let foot = self.take(self.foot.into())?;
            if Decoder::new(foot).versioned("footer", 1, |d, _| d.u32())? != FOOT_MAGIC {
                bail!("Bad footer magic");
            }
        }
        Ok((kind as u8, body))
    }
}

pub(super) fn import(ctx: &mut Ctx) -> Outcome {
    let path = ctx.word(0, "a file's name, or -")?;
    let from: Box<dyn Read> = match path.as_str() {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path).map_err(|e| {
            // Ceph's program says that all errors are EPERM.
            Failure(format!("Error opening '{path}': {e}"), 1)
        })?),
    };
    let mut reader = Reader::open(BufReader::with_capacity(1 << 20, from))?;
    match reader.section()? {
        (section::POOL_BEGIN, _) => outln!("Importing pool"),
        (section::PG_BEGIN, _) => outln!("Importing from a placement group"),
        (kind, _) => return Err(Failure(format!("Invalid initial section code {kind}"), 1)),
    }
    loop {
        match reader.section()? {
            (section::OBJECT_BEGIN, body) => import_object(ctx, &mut reader, body)?,
            (section::PG_METADATA | section::NONE, _) => {}
            (section::PG_END | section::POOL_END, _) => return Ok(()),
            (kind, _) if kind > section::POOL_END => outln!("Skipping unknown section type"),
            (kind, _) => return Err(Failure(format!("section {kind} is in the wrong place"), 1)),
        }
    }
}

fn import_object<R: Read>(ctx: &mut Ctx, reader: &mut Reader<R>, begin: Bytes) -> Outcome {
    let bad = |e: denc::DecodeError| Failure(format!("the export cannot be read: {e}"), 1);
    let hobj: HObject = Decoder::new(begin)
        .versioned("object_begin", 3, |d, _| {
            let hobj = d.get()?;
            d.skip(d.remaining())?;
            Ok(hobj)
        })
        .map_err(bad)?;
    let shown = GHObject::from(hobj.clone());
    let object = ObjectOp::new(ctx.pool, hobj.oid.clone()).in_namespace(hobj.nspace.clone()).with_key(hobj.key.clone());
    let write = if !hobj.is_head() {
        outln!("Skipping non-head for {shown}");
        false
    } else {
        let (msg, write) = place(ctx, &object)?;
        outln!("{msg} {shown}");
        write
    };
    loop {
        let (kind, body) = reader.section()?;
        if kind == section::OBJECT_END {
            return Ok(());
        }
        if !write {
            continue;
        }
        let mut d = Decoder::new(body);
        let op = match kind {
            section::DATA => {
                let (offset, data) =
                    d.versioned("data_section", 1, |d, _| Ok((d.u64()?, (d.u64()?, d.blob()?).1))).map_err(bad)?;
                object.clone().write(offset, data)
            }
            section::ATTRS => {
                let attrs: BTreeMap<ByteStr, Bytes> = d.versioned("attr_section", 1, |d, _| d.get()).map_err(bad)?;
                // The object's own attributes are not users'.
                let users = attrs.iter().filter(|(k, _)| k.as_bytes().starts_with(b"_") && k.as_bytes().len() > 1);
                users.fold(object.clone(), |op, (k, v)| op.setxattr(&k.to_string_lossy()[1..], v))
            }
            section::OMAP_HEADER => {
                let header: Bytes = d.versioned("omap_hdr_section", 1, |d, _| d.blob()).map_err(bad)?;
                if header.is_empty() { continue } else { object.clone().omap_set_header(header) }
            }
            section::OMAP => {
                let omap: BTreeMap<ByteStr, Bytes> = d.versioned("omap_section", 1, |d, _| d.get()).map_err(bad)?;
                object.clone().omap_set(omap.iter().map(|(k, v)| (k.as_bytes(), &v[..])))
            }
            kind => return Err(Failure(format!("Unexpected section type {kind}"), 1)),
        };
        if !op.ops.is_empty() {
            ctx.run(op, &format!("cannot write {shown}"))?;
        }
    }
}

/// Makes the object, empty; what to say, and whether its contents are to be written.
fn place(ctx: &mut Ctx, object: &ObjectOp) -> Result<(&'static str, bool), Failure> {
    if ctx.o.dry_run {
        return Ok(match (ctx.session.op(object.clone().stat())?.result, ctx.o.no_overwrite) {
            (0.., true) => ("Skipping existing", false),
            (0.., false) => ("***Overwrite***", false),
            _ => ("Write", false),
        });
    }
    match ctx.session.op(object.clone().create(true))?.ok() {
        Ok(_) => return Ok(("Write", true)),
        Err(EEXIST) if ctx.o.no_overwrite => return Ok(("Skipping existing", false)),
        Err(EEXIST) => {}
        Err(errno) => return Err(failed("create failed", errno)),
    }
    ctx.run(object.clone().remove(), "remove failed")?;
    match ctx.session.op(object.clone().create(true))?.ok() {
        Ok(_) => Ok(("***Overwrite***", true)),
        Err(EEXIST) => Ok(("Skipping in-use object", false)),
        Err(errno) => Err(failed("create failed", errno)),
    }
}
