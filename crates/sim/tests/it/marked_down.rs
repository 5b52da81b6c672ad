//! OSDs that live while the map calls them down, again and again.

use serde_json::json;
use sim::{Cluster, Plan};

/// `osd down` at any moment: the OSD says that it lives, and no message of the new intervals is lost with
/// the sessions of the old ones.
#[test]
fn osds_wrongly_marked_down_under_load_come_back_and_all_pgs_serve_again() {
    for seed in 0..6 {
        let mut c = Cluster::new(900 + seed, &Plan { op_timeout: None, ..Plan::default() });
        c.wait_up(3);
        c.create_pool(8);
        c.wait_clean();
        c.load(true);
        c.run(1);
        for round in 0..12u64 {
            let osd = ((seed + round) % 3).to_string();
            c.command(&json!({"prefix": "osd down", "ids": [osd]}));
            c.world.run_for(std::time::Duration::from_millis(17 * ((seed * 31 + round * 7) % 40)));
            if round % 4 == 3 {
                c.wait_clean();
            }
        }
        let before = c.acked();
        for _ in 0..60 {
            c.run(1);
            if c.acked() > before + 20 {
                break;
            }
        }
        assert!(c.acked() > before + 20, "seed {seed}: no writes after the OSDs were marked down");
        c.settle();
    }
}
