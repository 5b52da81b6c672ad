//! The commands that are advised: as a person types them, and as a program carries them out.

use serde_json::{Value, json};
use types::{OsdId, PgId};

use crate::facts::Facts;
use crate::gather::To;

/// One advised command.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// As it is typed.
    pub text: String,
    pub act: Act,
}

/// What carrying a command out is.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// A command in Ceph's JSON.
    Ask(To, Value),
    /// A daemon's process is started.
    Start(String),
    /// A daemon's process ends politely.
    Stop(String),
    /// It ends politely and is started again.
    Restart(String),
    AddOsd,
    /// Hands, or several commands, are needed.
    Person,
}

impl Command {
    fn mon(text: String, json: Value) -> Self {
        Self { text, act: Act::Ask(To::Mon, json) }
    }

    fn mgr(text: String, json: Value) -> Self {
        Self { text, act: Act::Ask(To::Mgr, json) }
    }

    /// What a person does, told in a sentence.
    pub(crate) fn person(text: &str) -> Self {
        Self { text: text.to_owned(), act: Act::Person }
    }

    pub(crate) fn start_osd(f: &Facts, osd: OsdId) -> Self {
        let text = match f.spirula {
            true => format!("spirula start osd.{osd}"),
            false => format!("systemctl start ceph-osd@{osd}   (on {})", f.host_of(osd)),
        };
        Self { text, act: Act::Start(format!("osd.{osd}")) }
    }

    pub(crate) fn restart_osd(f: &Facts, osd: OsdId) -> Self {
        let text = match f.spirula {
            true => format!("spirula stop osd.{osd} && spirula start osd.{osd}"),
            false => format!("systemctl restart ceph-osd@{osd}   (on {})", f.host_of(osd)),
        };
        Self { text, act: Act::Restart(format!("osd.{osd}")) }
    }

    pub(crate) fn stop_osd(f: &Facts, osd: OsdId) -> Self {
        let text = match f.spirula {
            true => format!("spirula stop osd.{osd}"),
            false => format!("systemctl stop ceph-osd@{osd}   (on {})", f.host_of(osd)),
        };
        Self { text, act: Act::Stop(format!("osd.{osd}")) }
    }

    pub(crate) fn start_mon(f: &Facts, name: &str) -> Self {
        let text = match f.spirula {
            true => format!("spirula start mon.{name}"),
            false => format!("systemctl start ceph-mon@{name}"),
        };
        Self { text, act: Act::Start(format!("mon.{name}")) }
    }

    pub(crate) fn add_osd(f: &Facts) -> Self {
        match f.spirula {
            true => Self { text: "spirula add-osd".to_owned(), act: Act::AddOsd },
            false => Self { text: "add an OSD (`ceph orch daemon add osd HOST:DEVICE`)".to_owned(), act: Act::AddOsd },
        }
    }

    pub(crate) fn lost(osd: OsdId) -> Self {
        Self::mon(
            format!("ceph osd lost {osd} --yes-i-really-mean-it"),
            json!({"prefix": "osd lost", "id": osd, "yes_i_really_mean_it": true}),
        )
    }

    pub fn out(osd: OsdId) -> Self {
        Self::mon(format!("ceph osd out {osd}"), json!({"prefix": "osd out", "ids": [osd.to_string()]}))
    }

    pub(crate) fn osd_in(osd: OsdId) -> Self {
        Self::mon(format!("ceph osd in {osd}"), json!({"prefix": "osd in", "ids": [osd.to_string()]}))
    }

    pub fn purge(osd: OsdId) -> Self {
        Self::mgr(
            format!("ceph osd purge {osd} --yes-i-really-mean-it"),
            json!({"prefix": "osd purge", "id": osd, "yes_i_really_mean_it": true}),
        )
    }

    pub(crate) fn never_primary(osd: OsdId) -> Self {
        let json = json!({"prefix": "osd primary-affinity", "id": osd, "weight": 0.0});
        Self::mon(format!("ceph osd primary-affinity {osd} 0"), json)
    }

    pub(crate) fn unset(flag: &str) -> Self {
        Self::mon(format!("ceph osd unset {flag}"), json!({"prefix": "osd unset", "key": flag}))
    }

    pub fn pool_set(pool: &str, var: &str, val: &str) -> Self {
        let json = json!({"prefix": "osd pool set", "pool": pool, "var": var, "val": val});
        Self::mon(format!("ceph osd pool set {pool} {var} {val}"), json)
    }

    pub(crate) fn quota(pool: &str, field: &str) -> Self {
        let json = json!({"prefix": "osd pool set-quota", "pool": pool, "field": field, "val": "0"});
        Self::mon(format!("ceph osd pool set-quota {pool} {field} 0"), json)
    }

    pub(crate) fn full_ratio(ratio: &str) -> Self {
        let json = json!({"prefix": "osd set-full-ratio", "ratio": ratio.parse::<f64>().unwrap_or(0.95)});
        Self::mon(format!("ceph osd set-full-ratio {ratio}"), json)
    }

    pub(crate) fn reweight_by_utilization() -> Self {
        Self::mgr("ceph osd reweight-by-utilization".to_owned(), json!({"prefix": "osd reweight-by-utilization"}))
    }

    pub(crate) fn scrub(what: &str, pg: PgId) -> Self {
        Self::mgr(format!("ceph pg {what} {pg}"), json!({"prefix": format!("pg {what}"), "pgid": pg.to_string()}))
    }

    pub(crate) fn mark_unfound_lost(pg: PgId, how: &str) -> Self {
        let json = json!({"prefix": "pg", "pgid": pg.to_string(), "cmd": "mark_unfound_lost", "mulcmd": how});
        Self { text: format!("ceph pg {pg} mark_unfound_lost {how}"), act: Act::Ask(To::Pg(pg), json) }
    }

    /// For one's own eyes: it changes nothing.
    pub(crate) fn look(text: String, to: To, json: Value) -> Self {
        Self { text, act: Act::Ask(to, json) }
    }
}
