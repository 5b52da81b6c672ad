//! What the recorded messages do not show: types that were never sent, newer and older writers, and that
//! payloads are shared.

use bytes::Bytes;
use messages::*;
use types::osd_op::{OsdOp, op, osd_flag};
use types::{EVersion, EntityName, HObject, OsdReqId, PgId, SNAP_HEAD, SpgId, features};

fn object(name: &str) -> HObject {
    HObject { oid: name.into(), hash: 0x1234_5678, pool: 3, snap: SNAP_HEAD, ..HObject::default() }
}

fn write(name: &str, data: Bytes) -> MOSDOp {
    MOSDOp {
        pgid: PgId::new(3, 0x78).into(),
        hobj: object(name),
        map_epoch: 9,
        flags: osd_flag::WRITE | osd_flag::ONDISK,
        ops: vec![OsdOp::extent(op::WRITE, 0, data.len() as u64, data)],
        retry_attempt: 0,
        ..MOSDOp::default()
    }
}

fn assert_comes_back(body: impl Into<Body>) {
    let message = Message::new(body).with_tid(7);
    let wire = message.encode(features::ALL);
    assert_eq!(Message::decode(wire, features::ALL), Ok(message));
}

#[test]
fn messages_that_were_never_recorded_come_back_as_they_were() {
    let spgid = SpgId { pgid: PgId::new(3, 5), shard: 2 };
    let objects = vec![(object("a"), EVersion::new(4, 5))];
    assert_comes_back(MPing { front: "{}".into() });
    assert_comes_back(MAuth { protocol: 2, auth_payload: "x".into(), monmap_epoch: 3, ..MAuth::default() });
    assert_comes_back(MAuthReply { result: -13, global_id: 4121, ..MAuthReply::default() });
    assert_comes_back(MMonSubscribeAck { interval: 300, ..MMonSubscribeAck::default() });
    assert_comes_back(MGetConfig { host: "h".into(), ..MGetConfig::default() });
    assert_comes_back(MMonGetOSDMap { full_first: 1, full_last: 2, ..MMonGetOSDMap::default() });
    assert_comes_back(MMonGetPurgedSnaps { start: 1, last: 2, ..MMonGetPurgedSnaps::default() });
    let purged = [(4, [(3, [(7, 2)].into_iter().collect())].into())].into();
    assert_comes_back(MMonGetPurgedSnapsReply { purged_snaps: purged, ..MMonGetPurgedSnapsReply::default() });
    assert_comes_back(MOSDFull { state: 1, ..MOSDFull::default() });
    assert_comes_back(MOSDMarkMeDead { target_osd: 2, epoch: 3, ..MOSDMarkMeDead::default() });
    assert_comes_back(MOSDPGReadyToMerge { ready: true, ..MOSDPGReadyToMerge::default() });
    assert_comes_back(MPGStatsAck { pg_stat: [(PgId::new(1, 2), (3, 4))].into() });
    assert_comes_back(MMgrClose { daemon_name: "0".into(), ..MMgrClose::default() });
    let update = Some(([("a".into(), "b".into())].into(), [].into()));
    assert_comes_back(MMgrUpdate { daemon_name: "0".into(), update, ..MMgrUpdate::default() });
    assert_comes_back(MMgrConfigure::new(5, 5));
    let (begin, end) = (object("a"), HObject::max());
    assert_comes_back(MOSDBackoff { pgid: spgid, op: BackoffOp::Unblock, id: 3, begin, end, map_epoch: 1 });
    assert_comes_back(MOSDPGQuery { epoch: 3, pg_list: [(spgid, types::PgQuery::default())].into() });
    assert_comes_back(MOSDPGInfo { epoch: 3, pg_list: vec![types::PgNotify::default()] });
    assert_comes_back(MOSDPGRemove { epoch: 3, pg_list: vec![spgid] });
    assert_comes_back(MBackfillReserve { pgid: spgid, priority: 7, shard_num_bytes: 8, ..MBackfillReserve::default() });
    assert_comes_back(MOSDPGScan { op: 2, pgid: spgid, data: "interval".into(), ..MOSDPGScan::default() });
    assert_comes_back(MOSDPGBackfill { op: 2, pgid: spgid, last_backfill: object("b"), ..MOSDPGBackfill::default() });
    assert_comes_back(MOSDPGBackfillRemove { pgid: spgid, map_epoch: 1, objects: objects.clone() });
    assert_comes_back(MOSDPGRecoveryDelete { objects: objects.clone(), ..MOSDPGRecoveryDelete::default() });
    assert_comes_back(MOSDPGRecoveryDeleteReply { pgid: spgid, objects, ..MOSDPGRecoveryDeleteReply::default() });
}

#[test]
fn payloads_are_shared_with_the_frame_both_ways() {
    let data = Bytes::from(vec![7; 4096]);
    let wire = Message::new(write("o", data.clone())).encode(features::ALL);
    assert_eq!(wire.data.as_ptr(), data.as_ptr());
    let Ok(Message { body: Body::MOSDOp(request), .. }) = Message::decode(wire, features::ALL) else {
        panic!("what we write we read");
    };
    assert_eq!(request.ops[0].indata.as_ptr(), data.as_ptr());

    let mut reply = MOSDOpReply::to(&request, 0, 9, osd_flag::ONDISK);
    reply.ops[0].outdata = data.clone();
    assert_eq!(Message::new(reply).encode(features::ALL).data.as_ptr(), data.as_ptr());
}

#[test]
fn an_operation_of_release_18_is_read_with_its_tracing_context() {
    let op = write("o", Bytes::from_static(b"data"));
    let mut wire = Message::new(op.clone()).encode(features::ALL);
    // Version 9 has a framed span context behind PG, hash, epoch, flags, request id and trace.
    let at = 24 + 12 + 27 + 24;
    let span = [1, 1, 1, 0, 0, 0, 0];
    wire.front = [&wire.front[..at], &span, &wire.front[at..]].concat().into();
    wire.version = 9;
    assert_eq!(Message::decode(wire, features::ALL), Ok(Message::new(op)));
}

#[test]
fn an_operation_is_named_by_its_sender_unless_it_says_otherwise() {
    let client = EntityName::client(4121);
    let mut op = write("o", Bytes::new());
    op.explicit_reqid.inc = 3;
    assert_eq!(op.reqid(client, 8), OsdReqId { name: client, tid: 8, inc: 3 });
    let other = OsdReqId { name: EntityName::osd(1), tid: 5, inc: 0 };
    op.explicit_reqid = other;
    assert_eq!(op.reqid(client, 8), other);
}

#[test]
fn a_version_that_wants_a_newer_reader_is_refused_by_name() {
    let mut wire = Message::new(MConfig::default()).encode(features::ALL);
    wire.compat_version = 2;
    assert_eq!(
        Message::decode(wire, features::ALL).unwrap_err().to_string(),
        "MConfig: needs a reader of version 2, we know 1"
    );
}

#[test]
fn a_ping_is_padded_to_the_size_that_was_asked_for() {
    let ping = MOSDPing { min_message_size: 2000, ..MOSDPing::default() };
    let wire = Message::new(ping.clone()).encode(features::ALL);
    // The padding counts from where its length stands; the rest comes on top, as in Ceph.
    assert_eq!(wire.front.len(), 2000 + 4 + 4 + 8 + 8 + 1);
    assert_eq!(Message::decode(wire, features::ALL), Ok(Message::new(ping)));
}

#[test]
fn a_type_that_is_not_known_is_kept_as_it_came() {
    let wire = Wire { kind: 9999, version: 4, front: "abc".into(), data: "d".into(), ..Wire::default() };
    let message = Message::decode(wire.clone(), features::ALL).expect("unknown is no error");
    assert_eq!((message.body.kind(), message.body.name()), (9999, "unknown message"));
    assert_eq!(message.encode(features::ALL), wire);
}
