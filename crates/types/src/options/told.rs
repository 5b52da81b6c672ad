//! What every daemon answers about its options: `config get|set|unset|show|diff|help` and `injectargs`, by a tell or
//! over its admin socket (Ceph: `CephContext::_do_command`). A daemon hands over its [`Config`] and, if a value in it
//! has changed, uses it anew.

use super::{Config, OptionDef, SetError, Source, all, find, normal_name};
use crate::command::{Args, Command};
use crate::dump::Dump;
use crate::errno::{EINVAL, ENOENT};

const fn row(sig: &'static str, perm: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "config", perm, flags: 0 }
}

/// These belong to each daemon's table.
pub static COMMANDS: &[Command] = &[
    row("config get name=var,type=CephString", "r", "one option's value in force"),
    row(
        "config set name=var,type=CephString name=val,type=CephString,n=N",
        "rw",
        "set an option until the daemon restarts",
    ),
    row("config unset name=var,type=CephString", "rw", "take back what `config set` set"),
    row("config show", "r", "the values in force"),
    row("config diff", "r", "the values that differ from the defaults, and where they come from"),
    row("config diff get name=var,type=CephString", "r", "where one option's value comes from"),
    row("config help name=var,type=CephString,req=false", "r", "what an option is, or all of them"),
    row("injectargs name=injected_args,type=CephString,n=N", "rw", "set options until the daemon restarts"),
];

/// What is answered: the output, the words for the terminal, and whether a value has changed.
#[derive(Debug)]
pub struct Told {
    pub tree: Dump,
    pub rs: String,
    pub changed: bool,
}

impl From<Dump> for Told {
    fn from(tree: Dump) -> Self {
        Self { tree, rs: String::new(), changed: false }
    }
}

/// Whether a command is one of these.
pub fn is_ours(prefix: &str) -> bool {
    COMMANDS.iter().any(|c| c.is_named(prefix))
}

/// Answers one of the commands above. `who` is the daemon, as in `osd.3`.
///
/// # Errors
/// The errno and the sentence.
pub fn answer(config: &mut Config, who: &str, prefix: &str, args: &Args) -> Result<Told, (i32, String)> {
    let var = args.str("var");
    let name = var.unwrap_or_default();
    Ok(match prefix {
        "config get" => {
            let missing = || (ENOENT, format!("error getting '{name}': (2) No such file or directory"));
            let value = config.get(name).ok_or_else(missing)?;
            Dump::obj().with(normal_name(name), value).into()
        }
        "config set" => {
            let value = args.list("val").join(" ");
            config.set(name, &value, Source::Override).map_err(|why| refused(name, &value, &why))?;
            Told { changed: true, ..Dump::obj().with("success", in_force(config, name)).into() }
        }
        "config unset" => {
            if find(name).is_none() {
                return Err((EINVAL, format!("error unsetting '{name}': (22) Invalid argument")));
            }
            let before = config.get(name).map(str::to_owned);
            config.unset(name, Source::Override);
            let changed = config.get(name).map(str::to_owned) != before;
            let rs = if changed { in_force(config, name) } else { String::new() };
            Told { tree: Dump::obj(), rs, changed }
        }
        "config show" => {
            let mut tree = Dump::obj().with("name", who).with("cluster", "ceph");
            all().for_each(|def| tree.put(def.name, config.str(def.name)));
            tree.into()
        }
        "config diff" => Dump::obj().with("diff", diff(config, |_| true)).into(),
        "config diff get" => {
            let name = normal_name(name);
            Dump::obj().with("diff", diff(config, |other| other == name)).into()
        }
        "config help" => match var {
            None => Dump::obj().with("options", Dump::arr("option", all().map(OptionDef::dump))).into(),
            Some(name) => {
                let def = find(name).ok_or_else(|| (ENOENT, format!("Setting not found: '{name}'")))?;
                Dump::obj().with("option", def.dump()).into()
            }
        },
        _ => inject(config, &args.list("injected_args"))?,
    })
}

fn refused(name: &str, value: &str, why: &SetError) -> (i32, String) {
    let (errno, words) = match why {
        SetError::Unknown(_) => (ENOENT, "(2) No such file or directory".to_owned()),
        // Unlike Ceph, it says what would do.
        why => (EINVAL, format!("(22) Invalid argument: {why}")),
    };
    (errno, format!("error setting '{name}' to '{value}': {words}"))
}

/// `osd_max_backfills = '2' `
fn in_force(config: &Config, name: &str) -> String {
    format!("{} = '{}' ", normal_name(name), config.get(name).unwrap_or_default())
}

fn diff(config: &Config, wanted: impl Fn(&str) -> bool) -> Dump {
    let mut tree = Dump::obj();
    for (name, by_source) in config.changed().filter(|(name, _)| wanted(name)) {
        let def = find(name).expect("only options of the table can be set");
        let mut one = Dump::obj().with("default", def.typed(def.default_for(true)));
        by_source.iter().for_each(|(source, value)| one.put(source.as_str(), def.typed(value)));
        tree.put(name, one.with("final", def.typed(config.str(name))));
    }
    tree
}

/// `--name value`, `--name=value`, any number of them: all are set or none.
fn inject(config: &mut Config, injected: &[String]) -> Result<Told, (i32, String)> {
    let joined = injected.join(" ");
    let all: Vec<&str> = joined.split_whitespace().collect();
    let mut words = all.iter();
    let mut tried = config.clone();
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        let strange = || (EINVAL, format!(" failed to parse arguments: {}\n", all.join(",")));
        let option = word.strip_prefix("--").ok_or_else(strange)?;
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let def = find(name).ok_or_else(strange)?;
        let missing = || (EINVAL, format!("Parse error setting {name} to '' using injectargs (a value is missing).\n"));
        let value = match value {
            Some(value) => value,
            // A flag by itself means yes.
            None if def.kind == super::OptionKind::Bool => "true",
            None => words.next().copied().ok_or_else(missing)?,
        };
        tried
            .set(name, value, Source::Override)
            .map_err(|why| (EINVAL, format!("Parse error setting {name} to '{value}' using injectargs ({why}).\n")))?;
        names.push(def.name);
    }
    *config = tried;
    let rs = names.into_iter().map(|name| in_force(config, name)).collect();
    Ok(Told { tree: Dump::obj(), rs, changed: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(config: &mut Config, json: &str) -> Result<Told, (i32, String)> {
        let args = Args::parse(&[json.to_owned()]).unwrap();
        let prefix = args.prefix().to_owned();
        assert!(is_ours(&prefix));
        answer(config, "osd.0", &prefix, &args)
    }

    #[test]
    fn a_value_that_is_set_shows_until_it_is_unset() {
        let mut config = Config::daemon();
        let set = ask(&mut config, r#"{"prefix":"config set","var":"osd-max-backfills","val":["2"]}"#).unwrap();
        assert_eq!(set.tree.to_json(), r#"{"success":"osd_max_backfills = '2' "}"#);
        assert!(set.changed);
        let diff = ask(&mut config, r#"{"prefix":"config diff"}"#).unwrap();
        assert_eq!(diff.tree.to_json(), r#"{"diff":{"osd_max_backfills":{"default":1,"override":2,"final":2}}}"#);
        let unset = ask(&mut config, r#"{"prefix":"config unset","var":"osd_max_backfills"}"#).unwrap();
        assert_eq!((unset.rs.as_str(), unset.changed), ("osd_max_backfills = '1' ", true));
        let again = ask(&mut config, r#"{"prefix":"config unset","var":"osd_max_backfills"}"#).unwrap();
        assert_eq!((again.rs.as_str(), again.changed), ("", false));
        let value = ask(&mut config, r#"{"prefix":"config get","var":"osd_max_backfills"}"#).unwrap();
        assert_eq!(value.tree.to_json(), r#"{"osd_max_backfills":"1"}"#);
    }

    #[test]
    fn what_is_no_option_or_no_value_is_refused_with_cephs_errno_and_changes_nothing() {
        let mut config = Config::daemon();
        for (asked, errno) in [
            (r#"{"prefix":"config get","var":"nonsense"}"#, ENOENT),
            (r#"{"prefix":"config set","var":"nonsense","val":["1"]}"#, ENOENT),
            (r#"{"prefix":"config set","var":"osd_max_backfills","val":["x"]}"#, EINVAL),
            (r#"{"prefix":"config set","var":"osd_max_backfills","val":["2","3"]}"#, EINVAL),
            (r#"{"prefix":"config unset","var":"nonsense"}"#, EINVAL),
            (r#"{"prefix":"config help","var":"nonsense"}"#, ENOENT),
            (r#"{"prefix":"injectargs","injected_args":["--osd_max_backfills=2","--nonsense=2"]}"#, EINVAL),
            (r#"{"prefix":"injectargs","injected_args":["osd_max_backfills","2"]}"#, EINVAL),
            (r#"{"prefix":"injectargs","injected_args":["--osd_max_backfills"]}"#, EINVAL),
        ] {
            assert_eq!(ask(&mut config, asked).unwrap_err().0, errno, "{asked}");
        }
        assert_eq!(config.changed().count(), 0);
        let injected = r#"{"prefix":"injectargs","injected_args":["--osd_max_backfills","3","--mon_lease=6"]}"#;
        assert_eq!(ask(&mut config, injected).unwrap().rs, "osd_max_backfills = '3' mon_lease = '6.000000' ");
    }
}
