//! Disks that go bad without a word, under load: no client reads a wrong byte, and nobody has to help.

use sim::{Cluster, Plan, PoolPlan};
use types::pg_state;

/// Routine scrubs come as often as they can.
fn cluster(seed: u64, model_disks: bool, size: usize) -> Cluster {
    let mut plan = Plan { clients: 2, model_disks, ..Plan::default() };
    plan.mix.bytes = 9_000;
    plan.mix.objects = 60;
    for (name, value) in [
        ("osd_scrub_min_interval", "5"),
        ("osd_deep_scrub_interval", "5"),
        ("osd_scrub_interval_randomize_ratio", "0"),
        ("osd_max_scrubs", "4"),
        ("osd_deep_scrub_update_digest_min_age", "2"),
    ] {
        plan.options.push((name.into(), value.into()));
    }
    let mut c = Cluster::new(seed, &plan);
    c.wait_up(3);
    c.create_pool_as(&PoolPlan { size, min_size: 1, pg_num: 4 });
    c.wait_clean();
    c
}

/// Runs until each PG was deep-scrubbed after this moment.
fn wait_looked_at(c: &mut Cluster) {
    let since = c.world.now();
    let stamps = |c: &Cluster| {
        let led = c.osds.iter().filter_map(|h| c.world.osd(*h)).flat_map(|o| o.pgs()).filter(|pg| pg.is_primary());
        led.map(|pg| (pg.id(), pg.info().history.last_deep_scrub_stamp)).collect::<std::collections::BTreeMap<_, _>>()
    };
    // One that was under way may have passed by already.
    for _ in 0..2 {
        let before = stamps(c);
        while stamps(c).iter().any(|(id, stamp)| before.get(id) == Some(stamp)) {
            c.run(1);
            assert!(c.world.now() < since + std::time::Duration::from_secs(600), "some PG is never scrubbed");
        }
    }
}

/// The same, and all is mended.
fn wait_scrubbed(c: &mut Cluster) {
    let since = c.world.now();
    wait_looked_at(c);
    let errors = pg_state::INCONSISTENT | pg_state::REPAIR;
    let mended = |c: &Cluster| {
        let led = c.osds.iter().filter_map(|h| c.world.osd(*h)).flat_map(|o| o.pgs()).filter(|pg| pg.is_primary());
        led.map(pg::Pg::state).all(|s| s & errors == 0)
    };
    while !mended(c) {
        c.run(1);
        assert!(c.world.now() < since + std::time::Duration::from_secs(900), "some damage is never mended");
    }
}

/// How many copies were mended.
fn mended(c: &Cluster) -> u64 {
    c.osds.iter().filter_map(|h| c.world.osd(*h)).map(osd::Osd::mended).sum()
}

fn disks_rot(seed: u64, rounds: usize) -> u64 {
    let mut c = cluster(seed, false, 3);
    c.load(true);
    c.run(30);
    for round in 0..rounds {
        // Only one disk at a time, so that each object keeps sound copies.
        let osd = c.osds[round % c.osds.len()];
        // Most of what is written on a disk is of the past already.
        (0..1000).for_each(|_| c.world.rot(osd));
        wait_scrubbed(&mut c);
        eprintln!("seed {seed} round {round}: {} mended", mended(&c));
    }
    c.settle();
    mended(&c)
}

/// Metadata, and what no checksum tells: one copy of an object at a time, many objects at once.
fn metadata_rots(seed: u64, rounds: usize, with_snapshots: bool) -> u64 {
    let mut c = cluster(seed, true, 3);
    let snapshots = with_snapshots.then(|| c.start_snapshots(0));
    c.load(true);
    c.run(30);
    for round in 0..rounds {
        let osd = c.osds[round % c.osds.len()];
        (0..60).for_each(|_| {
            c.world.rot_unseen(osd);
            c.world.run_for(std::time::Duration::from_millis(20));
        });
        wait_scrubbed(&mut c);
        eprintln!("seed {seed} round {round}: {} mended", mended(&c));
    }
    if let Some(work) = snapshots {
        c.end_snapshots(&work);
        c.settle();
        c.wait_trimmed();
    } else {
        c.settle();
    }
    mended(&c)
}

/// Of two copies those on one disk rot. Not all of it can be decided, but nothing sound is taken for bad.
fn one_of_two_rots(seed: u64, rounds: usize) -> u64 {
    let mut c = cluster(seed, true, 2);
    c.load(true);
    c.run(30);
    let osd = c.osds[seed as usize % c.osds.len()];
    for round in 0..rounds {
        // Fewer: an OSD leaves whose disk spoils one object again and again.
        (0..20).for_each(|_| {
            c.world.rot_unseen(osd);
            c.world.run_for(std::time::Duration::from_millis(20));
        });
        wait_looked_at(&mut c);
        eprintln!("seed {seed} round {round}: {} mended", mended(&c));
    }
    c.read_all();
    mended(&c)
}

#[test]
fn of_two_copies_the_sound_one_is_never_replaced() {
    assert!(one_of_two_rots(1, 3) > 10, "nothing that mattered went bad");
}

#[test]
fn clones_and_snapsets_that_rot_are_mended() {
    assert!(metadata_rots(2, 2, true) > 20, "nothing that mattered went bad");
}

#[test]
fn metadata_that_rots_is_mended_and_no_client_sees_it() {
    assert!(metadata_rots(1, 3, false) > 20, "nothing that mattered went bad");
}

#[test]
fn what_rots_on_a_disk_is_mended_before_anybody_reads_it() {
    assert!(disks_rot(1, 3) > 0, "nothing that mattered went bad");
}

#[test]
#[ignore = "takes minutes: SEEDS=n"]
fn the_same_whatever_the_seed() {
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let mended: u64 = (100..100 + seeds).map(|seed| disks_rot(seed, 4)).sum();
    println!("{mended} copies were mended");
    assert!(mended >= seeds);
}

#[test]
#[ignore = "takes minutes: SEEDS=n"]
fn the_same_of_metadata_whatever_the_seed() {
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let mended: u64 = (100..100 + seeds).map(|seed| metadata_rots(seed, 4, seed % 2 == 1)).sum();
    println!("{mended} copies were mended");
    assert!(mended >= 20 * seeds);
}

#[test]
#[ignore = "takes minutes: SEEDS=n"]
fn the_same_of_two_copies_whatever_the_seed() {
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let mended: u64 = (100..100 + seeds).map(|seed| one_of_two_rots(seed, 4)).sum();
    println!("{mended} copies were mended");
    assert!(mended >= 10 * seeds);
}
