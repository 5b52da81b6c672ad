//! What each word of a placement group's state means, and what ends it.

/// (word, what it means, what ends it)
const STATES: &[(&str, &str, &str)] = &[
    ("active", "the PG serves reads and writes", "the loss of too many of its OSDs"),
    ("clean", "every object has all its copies where they belong", "the loss of an OSD, or a new place for it"),
    ("unknown", "no OSD has told the manager anything of the PG yet", "its primary's first report"),
    ("creating", "the monitors want the PG, and its OSDs are making it", "the OSDs' word that they have made it"),
    (
        "peering",
        "its OSDs agree on what the PG holds, and nobody may use it meanwhile",
        "the agreement, within moments if the OSDs that are needed answer",
    ),
    ("activating", "the agreement is reached and is being written down", "every member's word that it is on disk"),
    (
        "peered",
        "the OSDs agree, but reads and writes wait: they are fewer than the pool's min_size, or the PG is about to be merged",
        "OSDs that come back, a smaller min_size, or the merge",
    ),
    ("undersized", "fewer OSDs hold the PG than the pool's size asks for", "an OSD that comes back or takes over"),
    (
        "degraded",
        "some objects have fewer copies than they should",
        "recovery or backfill, once there is an OSD to copy to",
    ),
    (
        "remapped",
        "other OSDs serve the PG for now than CRUSH wants, until the data has moved",
        "the end of the backfill",
    ),
    (
        "recovery_wait",
        "objects must be copied, and the PG waits for its turn (osd_max_backfills)",
        "a free slot on each OSD that takes part",
    ),
    ("recovering", "the objects that changed meanwhile, which the log names, are being copied", "the last object"),
    (
        "backfill_wait",
        "an OSD must be filled, and the PG waits for its turn (osd_max_backfills)",
        "a free slot on each OSD that takes part",
    ),
    ("backfilling", "an OSD that the log cannot bring up to date is filled object by object", "the last object"),
    ("recovery_toofull", "an OSD is too full to recover to", "space: remove data or add OSDs"),
    (
        "backfill_toofull",
        "an OSD is too full to be filled further (backfillfull_ratio)",
        "space: remove data or add OSDs",
    ),
    ("forced_recovery", "an operator wants this PG recovered before others", "the end of the recovery"),
    ("forced_backfill", "an operator wants this PG filled before others", "the end of the backfill"),
    (
        "recovery_unfound",
        "the log names objects of which no copy is found",
        "an OSD that has a copy, or `ceph pg N mark_unfound_lost`",
    ),
    (
        "backfill_unfound",
        "the log names objects of which no copy is found",
        "an OSD that has a copy, or `ceph pg N mark_unfound_lost`",
    ),
    (
        "stale",
        "the OSD that spoke for the PG is gone and nobody speaks for it: what is shown is what it was",
        "one of its OSDs that starts",
    ),
    (
        "down",
        "an OSD that is down may hold writes that the others do not know, so they must not go on without it",
        "that OSD's start, or `ceph osd lost` if it will never come back",
    ),
    (
        "incomplete",
        "the OSDs that are left hold no complete copy",
        "an OSD that has one; the PG's data is not served without it",
    ),
    ("inconsistent", "a comparison of the copies found that they differ", "`ceph pg repair`"),
    ("scrubbing", "the copies are being compared", "the end of the comparison"),
    ("deep", "the comparison reads all data", "the end of the comparison"),
    ("repair", "what a comparison found is being mended", "the end of the repair"),
    ("failed_repair", "a repair could not mend what a comparison found", "an operator's look at `ceph health detail`"),
    (
        "laggy",
        "the primary's leave to serve reads has run out, so that they wait",
        "its peers' answers, or another primary",
    ),
    (
        "wait",
        "an earlier primary may still think that it serves reads, so that they wait",
        "the end of the time that it was given",
    ),
    ("premerge", "the PG and its twin come to a rest before they become one", "the new map in which they are one"),
    ("snaptrim", "what only a removed snapshot held is being removed", "the last object"),
    (
        "snaptrim_wait",
        "a removed snapshot's objects wait for their turn to be removed",
        "a free slot (osd_max_trimming_pgs)",
    ),
    ("snaptrim_error", "removing a snapshot's objects failed", "the OSD's log says why"),
];

/// What to say of a word of a state.
pub fn explain(word: &str) -> Option<(&'static str, &'static str)> {
    STATES.iter().find(|(name, ..)| *name == word).map(|(_, means, ends)| (*means, *ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_ceph_knows_is_explained() {
        for (bit, name) in types::flags::pg_state::NAMES {
            assert!(explain(name).is_some(), "{name} ({bit:x})");
        }
    }
}
