//! `spirula crush`: CRUSH maps as files. Text and binary are `crushtool`'s, so are the lines of `test`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ::crush::{CrushMap, Trial, weight_from_float};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum CrushCommand {
    /// Make a map from its text, for `ceph osd setcrushmap -i MAP`
    Compile {
        /// The text; - for standard input
        text: PathBuf,
        /// Where the map goes
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Print a map as text, such as `ceph osd getcrushmap -o MAP` gives it
    Decompile {
        /// The map; - for standard input
        map: PathBuf,
        /// Where the text goes [default: standard output]
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Show where a map would put data: which OSDs for which input, how many on each, and what fails
    Test(TestArgs),
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// The map, or its text; - for standard input
    map: PathBuf,
    /// Only this rule, by number or name
    #[arg(long)]
    rule: Option<String>,
    /// The number of replicas [default: each that the rule is for]
    #[arg(long)]
    num_rep: Option<u32>,
    /// Only this input
    #[arg(long)]
    x: Option<u32>,
    /// The first input [default: 0]
    #[arg(long, requires = "max_x")]
    min_x: Option<u32>,
    /// The last input [default: 1023]
    #[arg(long)]
    max_x: Option<u32>,
    /// Spread inputs as the PGs of this pool
    #[arg(long)]
    pool_id: Option<i64>,
    /// An OSD's reweight, from 0 to 1, as OSD WEIGHT; may be repeated
    #[arg(short, long, num_args = 2, value_names = ["OSD", "WEIGHT"])]
    weight: Vec<String>,
    /// A line for each input
    #[arg(long)]
    show_mappings: bool,
    /// A line for each input that finds too few OSDs
    #[arg(long)]
    show_bad_mappings: bool,
    /// How many OSDs inputs find
    #[arg(long)]
    show_statistics: bool,
    /// How many inputs each OSD gets
    #[arg(long)]
    show_utilization: bool,
    /// The same, OSDs without any included
    #[arg(long)]
    show_utilization_all: bool,
}

/// # Errors
/// One that says which file, and what is wrong in it.
pub fn run(command: &CrushCommand) -> Result<()> {
    match command {
        CrushCommand::Compile { text, output } => {
            let map = compile(text, read(text)?)?;
            write(output, &denc::to_bytes(&map, types::features::ALL))
        }
        CrushCommand::Decompile { map, output } => {
            let text = decode(map, read(map)?)?.decompile();
            match output {
                Some(path) => write(path, text.as_bytes()),
                None => Ok(std::io::stdout().write_all(text.as_bytes())?),
            }
        }
        CrushCommand::Test(args) => test(args),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).context("standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

fn compile(path: &Path, bytes: Vec<u8>) -> Result<CrushMap> {
    let text = String::from_utf8(bytes).ok().with_context(|| format!("{} is no text", path.display()))?;
    let map = CrushMap::compile(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    map.validate().with_context(|| format!("{} makes no sound map", path.display()))?;
    Ok(map)
}

fn decode(path: &Path, bytes: Vec<u8>) -> Result<CrushMap> {
    denc::from_bytes(bytes::Bytes::from(bytes)).with_context(|| format!("{} is no CRUSH map", path.display()))
}

/// A compiled map begins with a magic number that no text begins with.
fn either(path: &Path) -> Result<CrushMap> {
    let bytes = read(path)?;
    match bytes.first() {
        Some(0) | None => decode(path, bytes),
        Some(_) => compile(path, bytes),
    }
}

fn test(args: &TestArgs) -> Result<()> {
    let map = either(&args.map)?;
    let rule = args.rule.as_ref().map(|text| rule_id(&map, text)).transpose()?;
    let shows = [
        args.show_mappings,
        args.show_bad_mappings,
        args.show_statistics,
        args.show_utilization,
        args.show_utilization_all,
    ];
    let trial = Trial {
        rules: rule.map(|id| (id, id)),
        inputs: args.x.map(|x| (x, x)).or(args.max_x.map(|max| (args.min_x.unwrap_or(0), max))),
        replicas: args.num_rep.map(|n| (n, n)),
        pool: args.pool_id,
        weights: args.weight.chunks(2).map(reweight).collect::<Result<_>>()?,
        mappings: args.show_mappings,
        bad_mappings: args.show_bad_mappings,
        // Asked for nothing, it shows what most people want to know.
        statistics: args.show_statistics || !shows.contains(&true),
        utilization: args.show_utilization,
        utilization_all: args.show_utilization_all,
    };
    let mut out = String::new();
    trial.run(&map, &mut out)?;
    Ok(std::io::stdout().write_all(out.as_bytes())?)
}

fn rule_id(map: &CrushMap, text: &str) -> Result<u32> {
    let id = text.parse().ok().or_else(|| map.rule_id(text)).filter(|id| map.rule_exists(*id));
    id.with_context(|| {
        let names: Vec<String> =
            map.rules().map(|(id, _)| format!("{id} ({})", map.rule_name(id).unwrap_or_default())).collect();
        format!("there is no rule {text}: the map has {}", names.join(", "))
    })
}

fn reweight(pair: &[String]) -> Result<(i32, u32)> {
    let [osd, weight] = pair else { bail!("write --weight OSD WEIGHT") };
    let osd = osd.strip_prefix("osd.").unwrap_or(osd).parse().with_context(|| format!("'{osd}' is no OSD"))?;
    let weight: f64 = weight.parse().with_context(|| format!("'{weight}' is no weight"))?;
    Ok((osd, weight_from_float(weight)?))
}
