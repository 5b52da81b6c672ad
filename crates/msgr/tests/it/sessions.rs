//! Sessions over sockets that fail.

use std::time::Duration;

use msgr::{LinkError, ProtocolError};
use types::UTime;

use crate::pair::{Pair, addr, lossless, lossy, message, name};

fn upto(n: u64) -> Vec<u64> {
    (1..=n).collect()
}

#[test]
fn a_client_connects_and_messages_flow_both_ways() {
    let mut p = Pair::new(lossy);
    p.send(0, 1);
    p.settle();
    assert_eq!(p.seen[1].tids, [1]);
    let (back, incoming) = p.seen[1].connected[0];
    assert!(incoming);
    assert!(p.sides[1].send(p.now, back, message(2)));
    p.settle();
    assert_eq!(p.seen[0].tids, [2]);
    assert_eq!((p.seen[0].connected.len(), p.seen[1].connected.len()), (1, 1));
}

#[test]
fn the_handshake_does_not_mind_how_its_bytes_are_cut() {
    for chunk in [1, 2, 3, 5, 31, 33, 100] {
        let mut p = Pair::new(lossless);
        p.chunk = chunk;
        p.send(0, 1);
        p.settle();
        assert_eq!(p.seen[1].tids, [1], "chunks of {chunk}");
    }
}

#[test]
fn a_lossy_session_ends_with_its_socket_and_sends_nothing_again() {
    let mut p = Pair::new(lossy);
    let conn = p.send(0, 1);
    p.settle();
    let theirs = p.seen[1].connected[0].0;
    p.cut();
    p.settle();
    assert_eq!(p.seen[0].resets, [conn]);
    assert_eq!(p.seen[1].resets, [theirs]);
    assert!(!p.sides[0].send(p.now, conn, message(2)));
    assert_ne!(p.send(0, 3), conn);
    p.settle();
    assert_eq!(p.seen[1].tids, [1, 3]);
}

#[test]
fn a_lossless_session_loses_and_repeats_nothing_wherever_its_socket_is_cut() {
    let play = |cuts: Vec<usize>| {
        let mut p = Pair::new(lossless);
        p.cuts = cuts;
        for tid in 1..=4 {
            p.send(0, tid);
        }
        p.settle();
        for tid in 1..=3 {
            p.send(1, tid);
            p.send(0, 4 + tid);
        }
        p.settle();
        assert_eq!(p.seen[1].tids, upto(7));
        assert_eq!(p.seen[0].tids, upto(3));
        for side in &p.seen {
            assert_eq!(side.remote_resets, []);
            assert_eq!(side.connected.len(), 1);
        }
        p.moved
    };
    let total = play(Vec::new());
    assert!(total > 1000);
    for at in 0..total {
        play(vec![at]);
    }
    // Twice, also in the middle of the reconnect.
    for at in (0..total).step_by(97) {
        for again in (0..total).step_by(13) {
            play(vec![at, again]);
        }
    }
}

#[test]
fn two_peers_that_dial_each_other_at_once_end_on_one_socket() {
    for seed in 0..400 {
        let mut p = Pair::new(lossless).with_random(seed);
        for tid in 1..=3 {
            p.send(0, tid);
            p.send(1, tid);
        }
        p.settle();
        for side in &p.seen {
            assert_eq!(side.tids, upto(3), "seed {seed}");
            assert_eq!(side.connected.len(), 1, "seed {seed}");
            assert_eq!(side.remote_resets, [], "seed {seed}");
            assert!(!side.dropped.iter().any(|e| matches!(e, LinkError::Protocol(_))), "seed {seed}");
        }
        assert_eq!(p.sockets().values().sum::<usize>(), 1, "seed {seed}");
    }
}

#[test]
fn of_two_dials_at_once_that_of_the_lower_address_stays() {
    let mut p = Pair::new(lossless);
    p.send(0, 1);
    p.send(1, 1);
    p.settle();
    assert_eq!(p.sockets(), [(0, 1)].into());
}

#[test]
fn two_peers_that_reconnect_at_once_lose_nothing() {
    for seed in 0..400 {
        let mut p = Pair::new(lossless).with_random(seed);
        p.send(0, 1);
        p.settle();
        p.send(0, 2);
        p.send(1, 1);
        p.cut();
        p.send(1, 2);
        p.settle();
        assert_eq!(p.seen[1].tids, upto(2), "seed {seed}");
        assert_eq!(p.seen[0].tids, upto(2), "seed {seed}");
        assert_eq!(p.seen[0].remote_resets.len() + p.seen[1].remote_resets.len(), 0, "seed {seed}");
    }
}

#[test]
fn races_and_cuts_together_lose_and_repeat_nothing() {
    for seed in 0..600 {
        let mut p = Pair::new(lossless).with_random(seed);
        p.cuts = vec![seed as usize * 7 % 1500, seed as usize * 13 % 900, seed as usize * 29 % 1100];
        for tid in 1..=3 {
            p.send(0, tid);
            p.send(1, tid);
        }
        p.settle();
        for side in &p.seen {
            assert_eq!(side.tids, upto(3), "seed {seed}");
            assert_eq!(side.remote_resets, [], "seed {seed}");
        }
    }
}

#[test]
fn a_peer_that_restarted_is_noticed_and_what_was_queued_for_it_is_dropped() {
    let mut p = Pair::new(lossless);
    let conn = p.send(0, 1);
    p.settle();
    p.send(0, 2);
    p.restart(1, lossless);
    p.settle();
    assert_eq!(p.seen[0].remote_resets, [conn]);
    assert_eq!(p.seen[0].resets, []);
    assert_eq!(p.send(0, 3), conn, "the connection's number stays");
    p.settle();
    assert_eq!(p.seen[1].tids, [3]);
}

#[test]
fn a_restarted_peer_that_dials_first_is_noticed_as_well() {
    let mut p = Pair::new(lossless);
    let conn = p.send(0, 1);
    p.settle();
    p.restart(1, lossless);
    p.send(1, 1);
    p.settle();
    assert_eq!(p.seen[0].remote_resets, [conn]);
    assert_eq!(p.seen[0].tids, [1]);
    p.send(0, 2);
    p.settle();
    assert_eq!(p.seen[1].tids, [2]);
}

#[test]
fn a_session_that_was_closed_starts_anew() {
    let mut p = Pair::new(lossless);
    let conn = p.send(0, 1);
    p.settle();
    p.sides[0].close(conn);
    p.settle();
    assert_eq!(p.seen[0].resets, [], "who closes hears nothing");
    assert_ne!(p.send(0, 2), conn);
    p.settle();
    assert_eq!(p.seen[1].tids, [1, 2]);
    assert_eq!(p.seen[1].remote_resets.len(), 1);
}

#[test]
fn an_idle_lossless_session_waits_for_something_to_send() {
    let mut p = Pair::new(lossless);
    p.send(0, 1);
    p.settle();
    p.cut();
    p.settle();
    assert_eq!(p.sockets().len(), 0);
    p.send(1, 1);
    p.settle();
    assert_eq!(p.seen[0].tids, [1]);
    assert_eq!(p.seen[0].connected.len(), 1);
}

#[test]
fn a_refusal_is_told_and_a_lossless_peer_is_dialled_again() {
    let mut p = Pair::new(lossless);
    p.refuse[1] = true;
    p.send(0, 1);
    p.run(Duration::from_secs(5));
    assert!(p.seen[0].refused >= 4, "with growing pauses: {}", p.seen[0].refused);
    assert!(p.seen[0].refused <= 8);
    p.refuse[1] = false;
    p.settle();
    assert_eq!(p.seen[1].tids, [1]);
}

#[test]
fn a_refused_lossy_session_is_gone() {
    let mut p = Pair::new(lossy);
    p.refuse[1] = true;
    let conn = p.send(0, 1);
    p.settle();
    assert_eq!((p.seen[0].refused, p.seen[0].resets.len()), (1, 0));
    assert!(!p.sides[0].send(p.now, conn, message(2)));
}

#[test]
fn a_client_that_comes_again_replaces_its_dead_connection() {
    let mut p = Pair::new(lossy);
    p.send(0, 1);
    p.settle();
    let first = p.seen[1].connected[0].0;
    // The client's side is gone; the server has not noticed.
    let conn = p.sides[0].find_peer(&addr(1)).unwrap();
    let (link, _) = p.sides[0].link_of(conn).unwrap();
    p.sides[0].link_lost(p.now, link, LinkError::Closed);
    p.send(0, 2);
    p.settle();
    assert_eq!(p.seen[1].resets, [first]);
    assert_eq!(p.seen[1].tids, [1, 2]);
}

#[test]
fn a_peer_of_another_life_at_the_same_port_is_not_talked_to() {
    let mut p = Pair::new(lossless);
    let mut old = addr(1);
    old.0[0].nonce = 6;
    let conn = p.sides[0].peer(p.now, name(1), &old);
    p.sides[0].send(p.now, conn, message(1));
    p.run(Duration::from_secs(3));
    assert!(p.seen[1].tids.is_empty());
    let not_us = LinkError::Protocol(ProtocolError::NotUs { wanted: old.0[0] });
    assert!(p.seen[1].dropped.contains(&not_us));
}

#[test]
fn a_keepalive_is_answered() {
    let mut p = Pair::new(lossy);
    let conn = p.send(0, 1);
    p.settle();
    p.sides[0].keepalive(conn, UTime { sec: 5, nsec: 6 });
    p.settle();
    assert_eq!(p.seen[0].keepalive_acks, 1);
}

#[test]
fn a_connection_nobody_uses_is_closed_after_a_quarter_of_an_hour() {
    let mut p = Pair::new(lossy);
    let conn = p.send(0, 1);
    p.run(Duration::from_secs(890));
    assert_eq!(p.seen[0].resets, []);
    p.run(Duration::from_secs(20));
    assert_eq!(p.seen[0].resets, [conn]);
}

#[test]
fn a_peer_that_never_answers_is_given_up_after_ten_seconds_and_dialled_again() {
    let mut p = Pair::new(lossless);
    p.sides[0].peer(p.now, name(1), &addr(1));
    let mut dials = 0;
    for _ in 0..40 {
        while let Some(action) = p.sides[0].poll_action() {
            dials += u32::from(matches!(action, msgr::Action::Dial { .. }));
        }
        // Nothing is queued, so a session that fails once would stand by.
        let conn = p.sides[0].find_peer(&addr(1)).unwrap();
        p.sides[0].send(p.now, conn, message(1));
        p.now += Duration::from_secs(1);
        p.sides[0].handle_timeout(p.now);
    }
    assert_eq!(dials, 4);
}
