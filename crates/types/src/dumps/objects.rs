//! Objects and their log entries, as in `pg N list_unfound`, `pg N log` and the object tool.

use denc::ByteStr;

use super::fields;
use crate::dump::Dump;
use crate::hobject::HObject;
use crate::missing::MissingItem;
use crate::object::{ObjectInfo, ObjectManifest, SnapSet, WatchInfo, object_flag};
use crate::pg_log::{LogDup, LogEntry, PgLogData};

fn text(s: &ByteStr) -> Dump {
    s.to_string_lossy().as_ref().into()
}

impl HObject {
    pub fn dump(&self) -> Dump {
        Dump::obj()
            .with("oid", text(&self.oid))
            .with("key", text(&self.key))
            .with("snapid", self.snap as i64) // the head is -2
            .with("hash", self.hash)
            .with("max", i64::from(self.max))
            .with("pool", self.pool)
            .with("namespace", text(&self.nspace))
    }
}

impl WatchInfo {
    pub fn dump(&self) -> Dump {
        fields!(self; cookie, timeout_seconds).with("addr", self.addr.dump())
    }
}

impl ObjectManifest {
    pub fn dump(&self) -> Dump {
        match self {
            Self::None => Dump::obj().with("type", 0_u8),
            Self::Redirect(target) => Dump::obj().with("type", 1_u8).with("redirect_target", target.dump()),
            Self::Chunked(chunks) => {
                let chunk = |(offset, c): (&u64, &crate::object::ChunkInfo)| {
                    let out = Dump::obj().with("offset", *offset).with("length", c.length);
                    out.with("oid", c.oid.dump()).with("flags", c.flags)
                };
                Dump::obj().with("type", 2_u8).with("chunk_map", Dump::arr("chunk", chunks.iter().map(chunk)))
            }
        }
    }
}

impl ObjectInfo {
    pub fn dump(&self) -> Dump {
        let flags = object_flag::NAMES.iter().enumerate().filter(|(bit, _)| self.test_flag(1 << bit));
        let mut watchers = Dump::obj();
        for ((_, client), watch) in &self.watchers {
            watchers.put(client.to_string(), watch.dump());
        }
        let mut out = Dump::obj().with("oid", self.soid.dump());
        out.extend(fields!(self; version, prior_version, last_reqid, user_version, size, mtime, local_mtime));
        out.put("lost", i64::from(self.test_flag(object_flag::LOST)));
        out.put("flags", Dump::arr("flags", flags.map(|(_, name)| *name)));
        out.extend(fields!(self; truncate_seq, truncate_size));
        out.put("data_digest", format!("0x{:08x}", self.data_digest));
        out.put("omap_digest", format!("0x{:08x}", self.omap_digest));
        out.extend(fields!(self; expected_object_size, expected_write_size, alloc_hint_flags));
        out.with("manifest", self.manifest.dump()).with("watchers", watchers)
    }
}

impl SnapSet {
    pub fn dump(&self) -> Dump {
        let clone = |snap: &u64| {
            let unknown = || Dump::from("????");
            let mut out = Dump::obj().with("snap", *snap);
            out.put("size", self.clone_size.get(snap).map_or_else(unknown, |s| (*s).into()));
            out.put("overlap", self.clone_overlap.get(snap).map_or_else(unknown, Dump::text));
            if let Some(snaps) = self.clone_snaps.get(snap) {
                out.put("snaps", Dump::arr("snap", snaps.iter().copied()));
            }
            out
        };
        fields!(self; seq).with("clones", Dump::arr("clone", self.clones.iter().map(clone)))
    }
}

impl MissingItem {
    pub fn dump(&self) -> Dump {
        fields!(self; need, have)
            .with("flags", if self.is_delete { "delete" } else { "none" })
            .with("clean_regions", Dump::text(&self.clean_regions))
    }
}

impl LogEntry {
    /// Without what only erasure-coded pools have.
    pub fn dump(&self) -> Dump {
        let mut out = Dump::obj().with("op", self.op.as_str()).with("object", Dump::text(&self.soid));
        out.extend(fields!(self; version, prior_version, reqid));
        let extra = self.rare().extra_reqids.iter().enumerate().map(|(i, (reqid, user_version))| {
            let code = self.rare().extra_reqid_return_codes.iter().find(|(at, _)| *at as usize == i);
            let out = Dump::obj().with("reqid", *reqid).with("user_version", user_version.to_string());
            if let Some((_, code)) = code { out.with("return_code", *code) } else { out }
        });
        out.put("extra_reqids", Dump::arr("extra_reqid", extra));
        out.extend(fields!(self; mtime, return_code));
        out
    }
}

impl LogDup {
    pub fn dump(&self) -> Dump {
        fields!(self; reqid, version)
            .with("user_version", self.user_version.to_string())
            .with("return_code", self.return_code.to_string())
    }
}

impl PgLogData {
    pub fn dump(&self) -> Dump {
        fields!(self; head, tail)
            .with("log", Dump::arr("entry", self.log.iter().map(LogEntry::dump)))
            .with("dups", Dump::arr("entry", self.dups.iter().map(LogDup::dump)))
    }
}
