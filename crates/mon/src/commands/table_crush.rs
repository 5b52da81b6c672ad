//! Commands about the CRUSH map.

use types::command::{Command, FLAG_DEPRECATED};

use super::cmd;

#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    cmd("osd crush rule list",
        "list CRUSH rules", "osd", "r", FLAG_DEPRECATED),
    cmd("osd crush rule ls",
        "list CRUSH rules", "osd", "r", 0),
    cmd("osd crush rule ls-by-class name=class,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "list CRUSH rules that use a device class", "osd", "r", 0),
    cmd("osd crush rule dump name=name,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "print one CRUSH rule, or all", "osd", "r", 0),
    cmd("osd crush dump",
        "print the CRUSH map", "osd", "r", 0),
    cmd("osd crush set name=prior_version,type=CephInt,req=false",
        "put an OSD at a place with a weight, or replace the map (-i FILE)", "osd", "rw", 0),
    cmd("osd crush add-bucket name=name,type=CephString,goodchars=[A-Za-z0-9-_.] name=type,type=CephString \
         name=args,type=CephString,goodchars=[A-Za-z0-9-_.=],n=N,req=false",
        "add a bucket, at a place if one is given", "osd", "rw", 0),
    cmd("osd crush rename-bucket name=srcname,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=dstname,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "rename a bucket", "osd", "rw", 0),
    cmd("osd crush set name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0 \
         name=args,type=CephString,goodchars=[A-Za-z0-9-_.=],n=N",
        "put an OSD at a place with a weight, or replace the map (-i FILE)", "osd", "rw", 0),
    cmd("osd crush add name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0 \
         name=args,type=CephString,goodchars=[A-Za-z0-9-_.=],n=N",
        "put an OSD at a place with a weight", "osd", "rw", 0),
    cmd("osd crush set-all-straw-buckets-to-straw2",
        "turn straw buckets into straw2", "osd", "rw", 0),
    cmd("osd crush class create name=class,type=CephString,goodchars=[A-Za-z0-9-_]",
        "make a device class", "osd", "rw", 0),
    cmd("osd crush class rm name=class,type=CephString,goodchars=[A-Za-z0-9-_]",
        "remove a device class that nothing uses", "osd", "rw", 0),
    cmd("osd crush set-device-class name=class,type=CephString name=ids,type=CephString,n=N",
        "set the device class of OSDs", "osd", "rw", 0),
    cmd("osd crush rm-device-class name=ids,type=CephString,n=N",
        "take the device class from OSDs", "osd", "rw", 0),
    cmd("osd crush class rename name=srcname,type=CephString,goodchars=[A-Za-z0-9-_] \
         name=dstname,type=CephString,goodchars=[A-Za-z0-9-_]",
        "rename a device class", "osd", "rw", 0),
    cmd("osd crush create-or-move name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0 \
         name=args,type=CephString,goodchars=[A-Za-z0-9-_.=],n=N",
        "put an OSD at a place; its weight if it is new", "osd", "rw", 0),
    cmd("osd crush move name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=args,type=CephString,goodchars=[A-Za-z0-9-_.=],n=N",
        "move a bucket or an OSD", "osd", "rw", 0),
    cmd("osd crush swap-bucket name=source,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=dest,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=yes_i_really_mean_it,type=CephBool,req=false",
        "swap what two buckets hold", "osd", "rw", 0),
    cmd("osd crush link name=name,type=CephString name=args,type=CephString,goodchars=[A-Za-z0-9-_.=],n=N",
        "link a bucket under another as well", "osd", "rw", 0),
    cmd("osd crush rm name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=ancestor,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "remove a bucket or an OSD", "osd", "rw", 0),
    cmd("osd crush remove name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=ancestor,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "remove a bucket or an OSD", "osd", "rw", FLAG_DEPRECATED),
    cmd("osd crush unlink name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=ancestor,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "take a bucket from where it is", "osd", "rw", 0),
    cmd("osd crush reweight-all",
        "sum up the weights of all buckets again", "osd", "rw", 0),
    cmd("osd crush reweight name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=weight,type=CephFloat,range=0.0",
        "set an item's weight", "osd", "rw", 0),
    cmd("osd crush reweight-subtree name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=weight,type=CephFloat,range=0.0",
        "set the weight of all OSDs under a bucket", "osd", "rw", 0),
    cmd("osd crush tunables \
         name=profile,type=CephChoices,strings=legacy|argonaut|bobtail|firefly|hammer|jewel|optimal|default",
        "choose a set of CRUSH tunables", "osd", "rw", 0),
    cmd("osd crush set-tunable name=tunable,type=CephChoices,strings=straw_calc_version \
         name=value,type=CephInt",
        "set one CRUSH tunable", "osd", "rw", 0),
    cmd("osd crush get-tunable name=tunable,type=CephChoices,strings=straw_calc_version",
        "print one CRUSH tunable", "osd", "r", 0),
    cmd("osd crush show-tunables",
        "print the CRUSH tunables", "osd", "r", 0),
    cmd("osd crush rule create-simple name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=root,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=type,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=mode,type=CephChoices,req=false,strings=firstn|indep",
        "make a rule that spreads over a bucket type", "osd", "rw", 0),
    cmd("osd crush rule create-replicated name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=root,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=type,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=class,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "make a rule for replicated pools", "osd", "rw", 0),
    cmd("osd crush rule create-erasure name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=profile,type=CephString,goodchars=[A-Za-z0-9-_.=],req=false",
        "make a rule for erasure-coded pools", "osd", "rw", 0),
    cmd("osd crush rule rm name=name,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "remove a rule that no pool uses", "osd", "rw", 0),
    cmd("osd crush rule rename name=srcname,type=CephString,goodchars=[A-Za-z0-9-_.] \
         name=dstname,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "rename a rule", "osd", "rw", 0),
    cmd("osd crush tree name=shadow,type=CephChoices,req=false,strings=--show-shadow",
        "print the CRUSH tree", "osd", "r", 0),
    cmd("osd crush ls name=node,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "list what is under a bucket", "osd", "r", 0),
    cmd("osd crush class ls",
        "list device classes", "osd", "r", 0),
    cmd("osd crush class ls-osd name=class,type=CephString,goodchars=[A-Za-z0-9-_]",
        "list OSDs of a device class", "osd", "r", 0),
    cmd("osd crush get-device-class name=ids,type=CephString,n=N",
        "print the device class of OSDs", "osd", "r", 0),
    cmd("osd crush weight-set ls",
        "list weight sets", "osd", "r", 0),
    cmd("osd crush weight-set dump",
        "print weight sets", "osd", "r", 0),
    cmd("osd crush weight-set create-compat",
        "make a weight set that serves all pools without one of their own", "osd", "rw", 0),
    cmd("osd crush weight-set create name=pool,type=CephPoolname name=mode,type=CephChoices,strings=flat|positional",
        "make a weight set for a pool; positional: with weights of its own for each replica", "osd", "rw", 0),
    cmd("osd crush weight-set rm name=pool,type=CephPoolname",
        "remove a pool's weight set", "osd", "rw", 0),
    cmd("osd crush weight-set rm-compat",
        "remove the weight set that serves all pools", "osd", "rw", 0),
    cmd("osd crush weight-set reweight name=pool,type=CephPoolname name=item,type=CephString \
         name=weight,type=CephFloat,range=0.0,n=N",
        "set an item's weights in a pool's weight set", "osd", "rw", 0),
    cmd("osd crush weight-set reweight-compat name=item,type=CephString name=weight,type=CephFloat,range=0.0,n=N",
        "set an item's weight in the weight set that serves all pools", "osd", "rw", 0),
];
