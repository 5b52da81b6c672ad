//! Listing a PG.

use std::collections::BTreeSet;

use types::errno::EINVAL;

use super::*;

type Entry = (String, String, String);

impl Rig {
    /// One page: result, the next cursor, and namespace, name and key of each object.
    fn page(&mut self, cursor: &HObject, count: u64) -> (i32, HObject, Vec<Entry>) {
        let op = OsdOp::new(op::PGNLS, OpArgs::Pgls { count, start_epoch: 0 }, denc::to_bytes(cursor, 0));
        let msg =
            MOSDOp { ops: vec![op], hobj: HObject { oid: "".into(), ..self.msg.hobj.clone() }, ..self.msg.clone() };
        let Executed::Reply { reply, .. } = self.execute(&msg, &[], None) else { panic!("listing only reads") };
        if reply.result < 0 {
            return (reply.result, HObject::min(), Vec::new());
        }
        let mut d = denc::Decoder::new(reply.ops[0].outdata.clone());
        let (next, entries) = d
            .versioned("pg_nls_response_t", 1, |d, _| {
                let next = d.get()?;
                let n = d.u32()?;
                let entry = |_| Ok((d.get()?, (d.get()?, d.get()?)));
                let entries = (0..n).map(entry).collect::<Result<Vec<(String, (String, String))>, denc::DecodeError>>();
                Ok((next, entries?))
            })
            .expect("a listing");
        (reply.result, next, entries.into_iter().map(|(n, (o, k))| (n, o, k)).collect())
    }

    fn list_all(&mut self, count: u64) -> Vec<String> {
        let (mut cursor, mut all) = (HObject::min(), Vec::new());
        loop {
            let (result, next, page) = self.page(&cursor, count);
            assert!(result >= 0 && page.len() as u64 <= count);
            all.extend(page.into_iter().map(|(_, name, _)| name));
            if result == 1 {
                assert!(next.is_max(), "the only PG ends where everything does");
                return all;
            }
            cursor = next;
        }
    }
}

#[test]
fn pages_of_any_size_show_each_object_once() {
    let mut r = Rig::new();
    let names: BTreeSet<String> = (0..50).map(|i| format!("obj{i}")).collect();
    for name in &names {
        assert_eq!(r.run(name, vec![plain(op::CREATE)]), 0);
    }
    for count in [1, 7, 50, 1000] {
        let all = r.list_all(count);
        assert_eq!((all.len(), all.into_iter().collect::<BTreeSet<_>>()), (50, names.clone()));
    }
}

#[test]
fn namespaces_are_listed_apart_or_all() {
    let mut r = Rig::new();
    for (nspace, name) in [("", "o"), ("n1", "o"), ("n1", "p")] {
        r.msg.hobj.nspace = nspace.into();
        assert_eq!(r.run(name, vec![plain(op::CREATE)]), 0);
    }
    let mut listed = |nspace: &str| {
        r.msg.hobj.nspace = nspace.into();
        let mut entries = r.page(&HObject::min(), 100).2;
        entries.sort();
        entries.into_iter().map(|(n, o, _)| format!("{n}/{o}")).collect::<Vec<_>>()
    };
    assert_eq!(listed(""), ["/o"]);
    assert_eq!(listed("n1"), ["n1/o", "n1/p"]);
    assert_eq!(listed("\u{1}"), ["/o", "n1/o", "n1/p"]);
}

#[test]
fn what_is_missing_here_is_listed_all_the_same() {
    struct One(HObject);
    impl super::super::Missing for One {
        fn is_missing(&self, soid: &HObject) -> bool {
            *soid == self.0
        }
        fn is_degraded(&self, soid: &HObject) -> bool {
            self.is_missing(soid)
        }

        fn first_missing(&self, from: &HObject) -> Option<HObject> {
            (self.0 >= *from).then(|| self.0.clone())
        }
    }
    let mut r = Rig::new();
    assert_eq!(r.run("here", vec![plain(op::CREATE)]), 0);
    let gone = HObject { oid: "gone".into(), hash: 77, ..r.msg.hobj.clone() };
    let missing = One(gone);
    let op = OsdOp::new(op::PGLS, OpArgs::Pgls { count: 100, start_epoch: 0 }, denc::to_bytes(&HObject::min(), 0));
    let msg = MOSDOp { ops: vec![op], ..r.msg.clone() };
    let peer = r.peer();
    let mut env = OpEnv { missing: &missing, ..r.env(&peer, &[]) };
    let Executed::Reply { reply, .. } = crate::ops::execute(&mut env, &msg) else { panic!("listing only reads") };
    let mut d = denc::Decoder::new(reply.ops[0].outdata.clone());
    let (version, next): (u8, HObject) = d.get().expect("a head");
    let names: Vec<(String, String)> = d.get().expect("names");
    let names: BTreeSet<String> = names.into_iter().map(|(name, _)| name).collect();
    assert_eq!((reply.result, version, next.is_max()), (1, 1, true));
    assert_eq!(names, ["gone".to_owned(), "here".to_owned()].into());
}

#[test]
fn a_cursor_of_another_pg_is_refused() {
    let mut r = Rig::new();
    let elsewhere = HObject { pool: POOL - 1, ..r.msg.hobj.clone() };
    assert_eq!(r.page(&elsewhere, 10).0, -EINVAL);
}
