//! `pg query` against what Ceph 16.2.15 answered (`testdata/query.fields`): the same fields in the same
//! order and nesting.

use types::dump::Dump;

use crate::cluster::{Cluster, put};

/// The names of all fields, in order, with their depth; of an array, those of its first item.
fn shape(d: &Dump, path: &str, out: &mut Vec<String>) {
    match d {
        Dump::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}/{name}");
                out.push(path.clone());
                shape(value, &path, out);
            }
        }
        Dump::Array(_, items) => {
            if let Some(first) = items.first() {
                shape(first, path, out);
            }
        }
        _ => {}
    }
}

#[test]
fn a_query_has_the_fields_that_ceph_prints() {
    let mut c = Cluster::new(3, 3, 2);
    c.settle();
    c.send_op(0, "a", put("x"));
    c.settle();
    let mut ours = Vec::new();
    c.with_pg(0, |pg, env| shape(&pg.query(env.now), "", &mut ours));
    let expected = include_str!("../../testdata/query.fields");
    assert_eq!(ours, expected.lines().collect::<Vec<_>>());
}
