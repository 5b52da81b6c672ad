//! Snapshots under load, quiet and while OSDs come and go.

use std::time::Duration;

use sim::client::Mix;
use sim::{Cluster, Plan, Rng};

fn cluster(seed: u64, model_disks: bool) -> Cluster {
    // The load gets clones, too; little of it is enough.
    let mix = Mix { think: Duration::from_millis(300), ..Mix::default() };
    let mut c = Cluster::new(seed, &Plan { model_disks, mix, ..Plan::default() });
    c.wait_up(3);
    c.create_pool(4);
    c.wait_clean();
    c
}

/// Ends everything and demands that nothing of the snapshots is left.
fn wind_up(c: &mut Cluster, work: &std::rc::Rc<std::cell::RefCell<sim::snap_client::SnapWork>>) {
    c.end_snapshots(work);
    c.settle();
    c.wait_trimmed();
}

#[test]
fn what_snapshots_hold_is_kept_while_they_last_and_gone_when_they_are_removed() {
    let mut c = cluster(31, false);
    let work = c.start_snapshots(0);
    c.load(true);
    c.run(15);
    wind_up(&mut c, &work);
    let w = work.borrow();
    assert!(w.writes > 10 && w.snaps_removed > 0, "{w:?}");
}

/// `SIM_SNAP_SEEDS=N` runs that many, `SIM_SNAP_SEED=S` one.
#[test]
fn snapshots_come_through_osds_that_come_and_go() {
    let var = |name| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seeds = match (var("SIM_SNAP_SEED"), var("SIM_SNAP_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..2,
    };
    for seed in seeds {
        println!("SIM_SNAP_SEED={seed}");
        let mut rng = Rng::new(seed ^ 0x0005_4a95);
        let mut c = cluster(seed, rng.below(4) > 0);
        let work = c.start_snapshots(0);
        c.load(true);
        let mut down = None;
        for _ in 0..8 {
            c.run(rng.between(1, 9));
            match down.take() {
                Some(osd) => c.start_osd(osd),
                None => {
                    let osd = rng.below(3) as usize;
                    c.kill_osd(osd);
                    down = Some(osd);
                }
            }
        }
        if let Some(osd) = down {
            c.start_osd(osd);
        }
        c.run(3);
        wind_up(&mut c, &work);
    }
}
