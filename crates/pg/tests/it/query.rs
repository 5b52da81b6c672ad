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

/// As Ceph 16.2.15 answered for a PG of three members of which one had written alone and was down.
#[test]
fn a_query_of_a_pg_that_is_down_says_what_it_waits_for_as_ceph_does() {
    let mut c = Cluster::new(3, 3, 1);
    c.settle();
    c.kill(1);
    c.kill(2);
    c.mark_dead(&[1, 2]);
    c.settle();
    c.send_op(0, "a", put("x"));
    c.settle();
    c.kill(0);
    c.mark_dead(&[0]);
    c.start(&[1, 2]);
    c.settle();
    let mut states = Vec::new();
    c.with_pg(1, |pg, env| {
        let Dump::Object(fields) = pg.query(env.now) else { return };
        let Some((_, Dump::Array(_, all))) = fields.into_iter().find(|(n, _)| n == "recovery_state") else { return };
        states = all;
    });
    let shapes: Vec<Vec<String>> = states
        .iter()
        .map(|s| {
            let mut out = Vec::new();
            shape(s, "", &mut out);
            out
        })
        .collect();
    let down = ["/name", "/enter_time", "/comment"];
    let peering = [
        "/name",
        "/enter_time",
        "/past_intervals",
        "/past_intervals/first",
        "/past_intervals/last",
        "/past_intervals/all_participants",
        "/past_intervals/all_participants/osd",
        "/past_intervals/intervals",
        "/past_intervals/intervals/first",
        "/past_intervals/intervals/last",
        "/past_intervals/intervals/acting",
        "/probing_osds",
        "/blocked",
        "/down_osds_we_would_probe",
        "/peering_blocked_by",
        "/peering_blocked_by/osd",
        "/peering_blocked_by/current_lost_at",
        "/peering_blocked_by/comment",
    ];
    let started = ["/name", "/enter_time"];
    assert_eq!(shapes, [down.as_slice(), &peering, &started]);
}
