//! Commands about pools.

use types::command::{Command, FLAG_DEPRECATED};

use super::cmd;

#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    cmd("osd pool mksnap name=pool,type=CephPoolname name=snap,type=CephString",
        "make a snapshot of a pool", "osd", "rw", 0),
    cmd("osd pool rmsnap name=pool,type=CephPoolname name=snap,type=CephString",
        "remove a snapshot of a pool", "osd", "rw", 0),
    cmd("osd pool ls name=detail,type=CephChoices,req=false,strings=detail",
        "list pools", "osd", "r", 0),
    cmd("osd pool create name=pool,type=CephPoolname name=pg_num,type=CephInt,range=0,req=false \
         name=pgp_num,type=CephInt,range=0,req=false \
         name=pool_type,type=CephChoices,req=false,strings=replicated|erasure \
         name=erasure_code_profile,type=CephString,goodchars=[A-Za-z0-9-_.],req=false \
         name=rule,type=CephString,req=false name=expected_num_objects,type=CephInt,range=0,req=false \
         name=size,type=CephInt,range=0,req=false name=pg_num_min,type=CephInt,range=0,req=false \
         name=pg_num_max,type=CephInt,range=0,req=false \
         name=autoscale_mode,type=CephChoices,req=false,strings=on|off|warn \
         name=bulk,type=CephBool,req=false name=target_size_bytes,type=CephInt,range=0,req=false \
         name=target_size_ratio,type=CephFloat,range=0.0,req=false",
        "make a pool", "osd", "rw", 0),
    cmd("osd pool delete name=pool,type=CephPoolname name=pool2,type=CephPoolname,req=false \
         name=yes_i_really_really_mean_it,type=CephBool,req=false \
         name=yes_i_really_really_mean_it_not_faking,type=CephBool,req=false",
        "remove a pool with its data", "osd", "rw", FLAG_DEPRECATED),
    cmd("osd pool rm name=pool,type=CephPoolname name=pool2,type=CephPoolname,req=false \
         name=yes_i_really_really_mean_it,type=CephBool,req=false \
         name=yes_i_really_really_mean_it_not_faking,type=CephBool,req=false",
        "remove a pool with its data", "osd", "rw", 0),
    cmd("osd pool rename name=srcpool,type=CephPoolname name=destpool,type=CephPoolname",
        "rename a pool", "osd", "rw", 0),
    cmd("osd pool get name=pool,type=CephPoolname \
         name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|hit_set_type|hit_set_period|hit_set_count|hit_set_fpp|use_gmt_hitset|target_max_objects|target_max_bytes|cache_target_dirty_ratio|cache_target_dirty_high_ratio|cache_target_full_ratio|cache_min_flush_age|cache_min_evict_age|erasure_code_profile|min_read_recency_for_promote|all|min_write_recency_for_promote|fast_read|hit_set_grade_decay_rate|hit_set_search_last_n|scrub_min_interval|scrub_max_interval|deep_scrub_interval|recovery_priority|recovery_op_priority|scrub_priority|compression_mode|compression_algorithm|compression_required_ratio|compression_max_blob_size|compression_min_blob_size|csum_type|csum_min_block|csum_max_block|allow_ec_overwrites|fingerprint_algorithm|pg_autoscale_mode|pg_autoscale_bias|pg_num_min|pg_num_max|target_size_bytes|target_size_ratio|dedup_tier|dedup_chunk_algorithm|dedup_cdc_chunk_size|bulk",
        "print a pool's setting", "osd", "r", 0),
    cmd("osd pool set name=pool,type=CephPoolname \
         name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|pgp_num_actual|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|hit_set_type|hit_set_period|hit_set_count|hit_set_fpp|use_gmt_hitset|target_max_bytes|target_max_objects|cache_target_dirty_ratio|cache_target_dirty_high_ratio|cache_target_full_ratio|cache_min_flush_age|cache_min_evict_age|min_read_recency_for_promote|min_write_recency_for_promote|fast_read|hit_set_grade_decay_rate|hit_set_search_last_n|scrub_min_interval|scrub_max_interval|deep_scrub_interval|recovery_priority|recovery_op_priority|scrub_priority|compression_mode|compression_algorithm|compression_required_ratio|compression_max_blob_size|compression_min_blob_size|csum_type|csum_min_block|csum_max_block|allow_ec_overwrites|fingerprint_algorithm|pg_autoscale_mode|pg_autoscale_bias|pg_num_min|pg_num_max|target_size_bytes|target_size_ratio|dedup_tier|dedup_chunk_algorithm|dedup_cdc_chunk_size|bulk \
         name=val,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
        "change a pool's setting", "osd", "rw", 0),
    cmd("osd pool set-quota name=pool,type=CephPoolname \
         name=field,type=CephChoices,strings=max_objects|max_bytes name=val,type=CephString",
        "limit a pool's bytes or objects; 0 lifts the limit", "osd", "rw", 0),
    cmd("osd pool get-quota name=pool,type=CephPoolname",
        "print a pool's limits", "osd", "r", 0),
    cmd("osd pool application enable name=pool,type=CephPoolname \
         name=app,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=yes_i_really_mean_it,type=CephBool,req=false",
        "say what a pool is used for", "osd", "rw", 0),
    cmd("osd pool application disable name=pool,type=CephPoolname name=app,type=CephString \
         name=yes_i_really_mean_it,type=CephBool,req=false",
        "say that a pool is no longer used for this", "osd", "rw", 0),
    cmd("osd pool application set name=pool,type=CephPoolname name=app,type=CephString \
         name=key,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=value,type=CephString,goodchars=[A-Za-z0-9-_.=]",
        "set a key of a pool's application", "osd", "rw", 0),
    cmd("osd pool application rm name=pool,type=CephPoolname name=app,type=CephString \
         name=key,type=CephString",
        "remove a key of a pool's application", "osd", "rw", 0),
    cmd("osd pool application get name=pool,type=CephPoolname,req=fasle name=app,type=CephString,req=false \
         name=key,type=CephString,req=false",
        "print a pool's applications", "osd", "r", 0),
    cmd("osd pool set noautoscale",
        "let no pool's number of PGs be changed by the autoscaler", "osd", "rw", 0),
    cmd("osd pool unset noautoscale",
        "let the autoscaler change the number of PGs of all pools", "osd", "rw", 0),
    cmd("osd pool get noautoscale",
        "print whether the autoscaler is kept from all pools", "osd", "r", 0),
    cmd("osd tier add name=pool,type=CephPoolname name=tierpool,type=CephPoolname \
         name=force_nonempty,type=CephChoices,req=false,strings=--force-nonempty",
        "(there are no cache tiers)", "osd", "rw", 0),
    cmd("osd tier rm name=pool,type=CephPoolname name=tierpool,type=CephPoolname",
        "(there are no cache tiers)", "osd", "rw", 0),
    cmd("osd tier remove name=pool,type=CephPoolname name=tierpool,type=CephPoolname",
        "(there are no cache tiers)", "osd", "rw", FLAG_DEPRECATED),
    cmd("osd tier cache-mode name=pool,type=CephPoolname \
         name=mode,type=CephChoices,strings=writeback|proxy|readproxy|readonly|none \
         name=yes_i_really_mean_it,type=CephBool,req=false",
        "(there are no cache tiers)", "osd", "rw", 0),
    cmd("osd tier set-overlay name=pool,type=CephPoolname name=overlaypool,type=CephPoolname",
        "(there are no cache tiers)", "osd", "rw", 0),
    cmd("osd tier rm-overlay name=pool,type=CephPoolname",
        "(there are no cache tiers)", "osd", "rw", 0),
    cmd("osd tier remove-overlay name=pool,type=CephPoolname",
        "(there are no cache tiers)", "osd", "rw", FLAG_DEPRECATED),
    cmd("osd tier add-cache name=pool,type=CephPoolname name=tierpool,type=CephPoolname \
         name=size,type=CephInt,range=0",
        "(there are no cache tiers)", "osd", "rw", 0),
];
