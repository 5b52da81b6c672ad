//! The command line as `clap` sees it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "spirula", version, about = "A storage cluster that Ceph's own clients use")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct DirArg {
    /// The cluster's folder
    #[arg(long, default_value = "./spirula-data", env = "SPIRULA_DIR")]
    pub dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a cluster on this machine, making it first if the folder is empty; returns at HEALTH_OK
    Up {
        #[command(flatten)]
        dir: DirArg,
        /// How many OSDs a new cluster gets [default: 3]
        #[arg(long)]
        osds: Option<i32>,
        /// How many monitors a new cluster gets [default: 1]
        #[arg(long)]
        mons: Option<i32>,
        /// The first of the ports that a new cluster listens at [default: a free range]
        #[arg(long)]
        port: Option<u16>,
        /// The space that each OSD of a new cluster claims (sparse) [default: 10G]
        #[arg(long, value_parser = size)]
        osd_size: Option<u64>,
        /// An option of Ceph's for a new cluster; may be repeated
        #[arg(long, value_name = "OPTION=VALUE")]
        set: Vec<String>,
    },
    /// Stop every daemon of a cluster; its data stays
    Down {
        #[command(flatten)]
        dir: DirArg,
    },
    /// Start one daemon, such as osd.1
    Start {
        daemon: String,
        #[command(flatten)]
        dir: DirArg,
    },
    /// Stop one daemon politely: it tells the monitors that it leaves
    Stop {
        daemon: String,
        #[command(flatten)]
        dir: DirArg,
    },
    /// Kill one daemon (SIGKILL)
    Kill {
        daemon: String,
        #[command(flatten)]
        dir: DirArg,
    },
    /// Add one more OSD to a cluster and start it; prints its id
    AddOsd {
        #[command(flatten)]
        dir: DirArg,
    },
    /// Add one more monitor to a cluster and start it; prints its name
    AddMon {
        #[command(flatten)]
        dir: DirArg,
    },
    /// Take a monitor out of a cluster for good, with its data
    RmMon {
        /// Such as mon.c
        daemon: String,
        #[command(flatten)]
        dir: DirArg,
    },
    /// Play a failure on a throw-away cluster, with its PG states as they happen; without a name, list them
    Drill {
        name: Option<String>,
        /// Leave the cluster as it is at the end, to look at it
        #[arg(long)]
        keep: bool,
    },
    /// Why the cluster, or a part of it, is not healthy; what that means, and which commands help
    Explain(crate::explain::ExplainArgs),
    /// Which disks had bad copies of objects that were mended, and what was mended lately
    Repairs {
        #[command(flatten)]
        dir: DirArg,
    },
    /// Look into a stopped OSD's store
    #[command(subcommand)]
    Store(StoreCommand),
    /// What monitors need in an emergency
    #[command(subcommand)]
    Mon(MonCommand),
    /// Compile, decompile and try out CRUSH maps, as `crushtool` does
    #[command(subcommand)]
    Crush(crate::crush::CrushCommand),
    /// Ceph's `ceph`, over our own client
    #[command(disable_help_flag = true)]
    Ceph {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Ceph's `rados`, over our own client
    #[command(disable_help_flag = true)]
    Rados {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What `up` and `start` run in the background
    #[command(hide = true)]
    RunDaemon {
        daemon: String,
        #[command(flatten)]
        dir: DirArg,
    },
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Check a store without changing it: a line a finding, exit code 1 if there are any
    Fsck(StoreArg),
    /// Mend what `fsck` finds and can be mended without guessing, and say what helps against the rest
    Repair {
        #[command(flatten)]
        store: StoreArg,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// List the PGs that a store holds, or the objects of one
    List {
        #[command(flatten)]
        store: StoreArg,
        pgid: Option<String>,
    },
    /// Write a PG with its log and all its objects to a file; the store is not changed
    Export {
        #[command(flatten)]
        store: StoreArg,
        pgid: String,
        /// Must not exist
        file: PathBuf,
        /// Leave out objects that cannot be read: the imported copy will know that it lacks them
        #[arg(long)]
        skip_unreadable: bool,
    },
    /// Take an exported PG into this store, which must not have it
    Import {
        #[command(flatten)]
        store: StoreArg,
        file: PathBuf,
        /// Only say whether it could be done
        #[arg(long)]
        dry_run: bool,
        /// Although the maps between are forgotten: no newer copy of the PG can exist
        #[arg(long)]
        force: bool,
    },
    /// Remove one object from a store: says what would be lost, and does it with --yes
    RemoveObject {
        #[command(flatten)]
        store: StoreArg,
        pgid: String,
        object: String,
        /// Of this namespace
        #[arg(long, short = 'N', default_value = "")]
        namespace: String,
        /// The clone of this number, not the object itself
        #[arg(long)]
        clone: Option<u64>,
        #[arg(long)]
        yes: bool,
    },
    /// Remove a whole copy of a PG from a store: says what would be lost, and does it with --yes
    RemovePg {
        #[command(flatten)]
        store: StoreArg,
        pgid: String,
        #[arg(long)]
        yes: bool,
    },
    /// Overwrite the beginning of one object with other bytes, keeping checksums valid: damage that
    /// only a comparison of replicas can find
    #[command(hide = true)]
    CorruptObject {
        #[command(flatten)]
        store: StoreArg,
        pgid: String,
        object: String,
        /// The clone of this number, not the object itself
        #[arg(long)]
        clone: Option<u64>,
        /// Damage this instead of the data
        #[arg(long, value_enum, default_value = "data")]
        what: Corrupt,
        /// Set an attribute to these bytes, instead
        #[arg(long, num_args = 2, value_names = ["NAME", "HEX"], conflicts_with = "what")]
        set_attr: Option<Vec<String>>,
        /// Remove an attribute, instead
        #[arg(long, conflicts_with_all = ["what", "set_attr"])]
        rm_attr: Option<String>,
        /// Make its data this long, instead
        #[arg(long, conflicts_with_all = ["what", "set_attr", "rm_attr"])]
        truncate: Option<u64>,
    },
}

/// A stopped OSD's store.
#[derive(Debug, clap::Args)]
pub struct StoreArg {
    /// The OSD's folder, such as spirula-data/osd.0
    #[arg(long)]
    pub dir: PathBuf,
}

/// What of an object is spoilt on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Corrupt {
    Data,
    Omap,
    Attr,
    Snapset,
}

#[derive(Debug, Subcommand)]
pub enum MonCommand {
    /// All monitors are lost: make the store of one from the maps that stopped OSDs hold; says what could not
    /// be recovered
    Rebuild {
        #[command(flatten)]
        dir: DirArg,
        /// Which monitor
        #[arg(long, default_value = "mon.a")]
        daemon: String,
        /// The folders of all OSDs that are left, such as spirula-data/osd.*
        #[arg(long, required = true, num_args = 1..)]
        from_osds: Vec<PathBuf>,
    },
}

fn size(text: &str) -> Result<u64, String> {
    match types::options::parse_size(text) {
        Some(bytes) if bytes >= 1 << 30 => Ok(bytes),
        Some(_) => Err("an OSD needs at least 1G".to_owned()),
        None => Err("write a size such as 10G".to_owned()),
    }
}
