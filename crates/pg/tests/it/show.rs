//! What `pg query` and `pg list_unfound` say, in one line.

use types::PgInfo;
use types::dump::Dump;

fn field<'a>(d: &'a Dump, name: &str) -> Option<&'a Dump> {
    match d {
        Dump::Object(fields) => fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v),
        _ => None,
    }
}

fn items(d: Option<&Dump>) -> &[Dump] {
    match d {
        Some(Dump::Array(_, items)) => items,
        _ => &[],
    }
}

fn text(d: &Dump) -> String {
    d.to_json().trim_matches('"').to_owned()
}

fn named(d: &Dump, name: &str) -> String {
    field(d, name).map(text).unwrap_or_default()
}

fn list(d: Option<&Dump>, show: impl Fn(&Dump) -> String) -> String {
    items(d).iter().map(show).collect::<Vec<_>>().join(",")
}

/// The innermost state, and what peering waits for.
pub fn why(query: &Dump) -> String {
    let mut out = Vec::new();
    let states = items(field(query, "recovery_state"));
    out.extend(states.first().map(|s| named(s, "name").replace("Started/", "").replace("Primary/", "")));
    for s in states {
        let osds = |d: &Dump| named(d, "osd");
        for (what, shown) in [
            ("asked", list(field(s, "requested_info_from"), osds)),
            ("asked", list(field(s, "peer_missing_requested"), osds)),
            ("log of", named(s, "auth_log_shard")),
            ("probing", list(field(s, "probing_osds"), text)),
            ("down", list(field(s, "down_osds_we_would_probe"), text)),
            ("blocked by", list(field(s, "peering_blocked_by"), osds)),
            ("detail", list(field(s, "peering_blocked_by_detail"), |d| named(d, "detail"))),
        ] {
            if !shown.is_empty() {
                out.push(format!("{what} {shown}"));
            }
        }
    }
    out.join(" ")
}

/// Past intervals as `FIRST-LAST:ACTING` of those that may have taken writes, after the range of all.
pub fn past(query: &Dump) -> String {
    let states = items(field(query, "recovery_state"));
    let Some(past) = states.iter().find_map(|s| items(field(s, "past_intervals")).first()) else {
        return "not shown".into();
    };
    let osds = |d: &Dump| named(d, "osd");
    let one = |d: &Dump| format!("{}-{}:{}", named(d, "first"), named(d, "last"), named(d, "acting"));
    let all = list(field(past, "all_participants"), osds);
    let intervals = items(field(past, "intervals")).iter().map(one).collect::<Vec<_>>().join(" ");
    format!("{}-{} of {all}; {intervals}", named(past, "first"), named(past, "last"))
}

pub fn might_have_unfound(query: &Dump) -> String {
    let states = items(field(query, "recovery_state"));
    let all = states.iter().find_map(|s| field(s, "might_have_unfound"));
    list(all, |d| format!("{} {}", named(d, "osd"), named(d, "status")))
}

pub fn unfound(listed: &Dump) -> String {
    let name = |d: &Dump| {
        let oid = field(d, "oid").map(|o| named(o, "oid")).unwrap_or_default();
        format!("{oid} {}->{}", named(d, "have"), named(d, "need"))
    };
    list(field(listed, "objects"), name)
}

/// Of an info what peering decides by.
pub fn info(i: &PgInfo) -> String {
    let mut out = format!("({},{}]", i.log_tail, i.last_update);
    if i.has_missing() {
        out += &format!(" complete to {}", i.last_complete);
    }
    if i.is_incomplete() {
        out += &format!(" backfilled to {}", i.last_backfill);
    }
    let h = &i.history;
    out + &format!(" started {}/{} clean {}", i.last_epoch_started, h.last_epoch_started, h.last_epoch_clean)
}
