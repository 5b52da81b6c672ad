//! Commands as their daemons describe them (`get_command_descriptions`), and a command line turned into
//! the JSON that they take. No command is known here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use types::command::{FLAG_MGR, FLAG_OBSOLETE};

/// A part of a command: a word, or an argument.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Word(String),
    Arg(Arg),
}

#[derive(Debug, Clone, PartialEq)]
struct Arg {
    name: String,
    kind: String,
    required: bool,
    /// Takes all words that are left.
    many: bool,
    fields: BTreeMap<String, String>,
}

/// One command that a daemon offers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signature {
    parts: Vec<Part>,
    help: String,
    flags: u64,
}

/// A command ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub json: Map<String, Value>,
    /// The manager serves it.
    pub to_mgr: bool,
}

/// Reads what `get_command_descriptions` answered.
pub(super) fn parse_descriptions(text: &[u8]) -> Result<Vec<Signature>, serde_json::Error> {
    let all: Map<String, Value> = serde_json::from_slice(text)?;
    Ok(all.values().filter_map(signature).collect())
}

fn signature(v: &Value) -> Option<Signature> {
    let parts = v.get("sig")?.as_array()?.iter().filter_map(part).collect();
    let flags = v.get("flags").and_then(Value::as_u64).unwrap_or(0);
    Some(Signature { parts, help: v.get("help").and_then(Value::as_str).unwrap_or_default().to_owned(), flags })
}

fn part(v: &Value) -> Option<Part> {
    if let Some(word) = v.as_str() {
        return Some(Part::Word(word.to_owned()));
    }
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let fields: BTreeMap<String, String> = v.as_object()?.iter().map(|(k, v)| (k.clone(), text(v))).collect();
    let field = |k: &str| fields.get(k).cloned().unwrap_or_default();
    Some(Part::Arg(Arg {
        name: field("name"),
        kind: field("type"),
        required: !field("req").eq_ignore_ascii_case("false"),
        many: field("n") == "N",
        fields,
    }))
}

/// Finds the command that the words mean. `Err`: advice for people, as Ceph's program gives it.
pub(super) fn parse(signatures: &[Signature], words: &[String]) -> Result<Parsed, String> {
    let usable = || signatures.iter().filter(|s| s.flags & u64::from(FLAG_OBSOLETE) == 0);
    let best = usable().map(|s| s.words_matched(words)).max().unwrap_or(0);
    let candidates: Vec<&Signature> = usable().filter(|s| s.words_matched(words) == best).collect();
    // Those with the longest names come first, then those that ask for least.
    let mut sorted = candidates.clone();
    sorted.sort_by_key(|s| (std::cmp::Reverse(s.name_len()), s.required_len()));
    for s in sorted.iter().filter(|_| best > 0) {
        match s.fit(words) {
            Ok(parsed) => return Ok(parsed),
            Err(None) => {}
            Err(Some(why)) => return Err(format!("Invalid command: {why}\n{}\n", s.line())),
        }
    }
    let shown = candidates.len().min(10);
    let lines: String = candidates.iter().take(10).map(|s| format!("{}\n", s.usage())).collect();
    Err(format!("no valid command found; {shown} closest matches:\n{lines}"))
}

impl Signature {
    pub fn usage(&self) -> String {
        let parts = self.parts.iter().map(|p| match p {
            Part::Word(w) => w.clone(),
            Part::Arg(a) => a.usage(),
        });
        parts.collect::<Vec<_>>().join(" ")
    }

    /// The usage and what the command is for.
    fn line(&self) -> String {
        if self.help.is_empty() { self.usage() } else { format!("{} :  {}", self.usage(), self.help) }
    }

    fn name_len(&self) -> usize {
        self.parts.iter().take_while(|p| matches!(p, Part::Word(_))).count()
    }

    fn required_len(&self) -> usize {
        self.parts.iter().filter(|p| !matches!(p, Part::Arg(a) if !a.required)).count()
    }

    pub fn help(&self) -> &str {
        &self.help
    }

    pub fn is_hidden(&self) -> bool {
        self.flags & u64::from(types::command::FLAG_HIDDEN | FLAG_OBSOLETE) != 0
    }

    pub fn starts_with(&self, words: &[String]) -> bool {
        let usage = self.usage();
        usage.starts_with(&words.join(" "))
    }

    /// How many of the first words are the command's, arguments between words included.
    fn words_matched(&self, words: &[String]) -> usize {
        let mut words = words.iter().filter(|w| !w.starts_with("--")).peekable();
        let mut matched = 0;
        for part in &self.parts {
            let Some(word) = words.peek() else { break };
            match part {
                Part::Word(w) if w == *word => matched += 1,
                Part::Arg(a) if a.value(word).is_ok() => matched += 1,
                Part::Arg(a) if !a.required => continue,
                _ => break,
            }
            words.next();
        }
        // The name alone decides between commands.
        let name = self.name_len();
        if matched < name { matched } else { matched.max(name) }
    }

    /// The JSON for these words. `Err(None)`: another command is meant.
    fn fit(&self, words: &[String]) -> Result<Parsed, Option<String>> {
        let mut json = Map::new();
        let mut rest = self.named(words, &mut json)?;
        let mut prefix: Vec<&str> = Vec::new();
        let mut refused = None;
        for part in &self.parts {
            match part {
                Part::Word(w) => {
                    if rest.first() != Some(w) {
                        return Err(None);
                    }
                    rest.remove(0);
                    prefix.push(w);
                }
                Part::Arg(a) if json.contains_key(&a.name) => {}
                Part::Arg(a) if a.many => {
                    if rest.is_empty() && a.required {
                        return Err(Some(format!("saw 0 of {}, expected at least 1", a.shown())));
                    }
                    if !rest.is_empty() {
                        let values =
                            rest.drain(..).map(|w| a.value(&w)).collect::<Result<Vec<_>, _>>().map_err(Some)?;
                        json.insert(a.name.clone(), Value::Array(values));
                    }
                }
                Part::Arg(a) => match rest.first().map(|w| a.value(w)) {
                    Some(Ok(value)) => {
                        rest.remove(0);
                        json.insert(a.name.clone(), value);
                    }
                    Some(Err(why)) if a.required => return Err(Some(why)),
                    None if a.required => return Err(Some(format!("missing required parameter {}", a.shown()))),
                    Some(Err(why)) => refused = Some(why),
                    _ => {}
                },
            }
        }
        if !rest.is_empty() {
            let unused: Vec<String> = rest.iter().map(|w| format!("'{w}'")).collect();
            let unused = format!("unused arguments: [{}]", unused.join(", "));
            // Why the first of them was no value of an argument that may be left out.
            return Err(Some(refused.map_or(unused.clone(), |why| format!("{unused} ({why})"))));
        }
        json.insert("prefix".to_owned(), json!(prefix.join(" ")));
        Ok(Parsed { json, to_mgr: self.flags & u64::from(FLAG_MGR) != 0 })
    }

    /// Takes `--name value`, `--name=value` and `--flag` out of the words.
    fn named(&self, words: &[String], json: &mut Map<String, Value>) -> Result<Vec<String>, Option<String>> {
        let arg = |key: &str| {
            let key = key.replace('-', "_");
            self.parts.iter().find_map(|p| match p {
                Part::Arg(a) if a.name == key => Some(a),
                _ => None,
            })
        };
        let mut rest = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(key) = word.strip_prefix("--") else {
                rest.push(word.clone());
                continue;
            };
            let (key, inline) = key.split_once('=').map_or((key, None), |(k, v)| (k, Some(v.to_owned())));
            let Some(a) = arg(key) else {
                rest.push(word.clone());
                continue;
            };
            let text = match (inline, a.kind.as_str()) {
                (Some(v), _) => v,
                (None, "CephBool") => "true".to_owned(),
                (None, _) => words.next().cloned().ok_or(Some(format!("--{key} needs a value")))?,
            };
            let value = a.value(&text).map_err(Some)?;
            if a.many {
                match json.entry(a.name.clone()).or_insert_with(|| json!([])) {
                    Value::Array(all) => all.push(value),
                    other => *other = json!([value]),
                }
            } else {
                json.insert(a.name.clone(), value);
            }
        }
        Ok(rest)
    }
}

impl Arg {
    /// What is to be written there.
    fn form(&self) -> String {
        match (self.fields.get("strings"), self.kind.as_str()) {
            (Some(choices), _) => choices.clone(),
            (None, "CephBool") => format!("--{}", self.name.replace('_', "-")),
            (None, "CephInt") => format!("<{}:int>", self.name),
            (None, "CephFloat") => format!("<{}:float>", self.name),
            (None, "CephOsdName") => "<id|osd.id>".to_owned(),
            (None, "CephName") => "<type.id>".to_owned(),
            (None, _) => format!("<{}>", self.name),
        }
    }

    fn usage(&self) -> String {
        let form = self.form() + if self.many { "..." } else { "" };
        if self.required { form } else { format!("[{form}]") }
    }

    /// The argument in a complaint: `pool(<poolname>)`.
    fn shown(&self) -> String {
        let kind = match self.kind.as_str() {
            "CephInt" | "CephFloat" => format!("<{}>", self.kind[4..].to_lowercase()),
            "CephChoices" | "CephOsdName" | "CephName" => self.form(),
            kind => format!("<{}>", kind.strip_prefix("Ceph").unwrap_or(kind).to_lowercase()),
        };
        format!("{}({kind}){}", self.name, if self.many { "..." } else { "" })
    }

    fn value(&self, word: &str) -> Result<Value, String> {
        let bad = |what: &str| Err(format!("{word} {what}"));
        match self.kind.as_str() {
            "CephInt" => match word.parse::<i64>() {
                Ok(v) if self.in_range(v as f64) => Ok(json!(v)),
                Ok(v) => Err(format!("{v} not in range {}", self.range(0))),
                Err(_) => bad("doesn't represent an int"),
            },
            "CephFloat" => match word.parse::<f64>() {
                Ok(v) if self.in_range(v) => Ok(json!(v)),
                Ok(v) => Err(format!("{v:?} not in range {}", self.range(1))),
                Err(_) => bad("doesn't represent a float"),
            },
            "CephBool" => match word.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" | "on" => Ok(json!(true)),
                "false" | "no" | "0" | "off" => Ok(json!(false)),
                flag if flag.trim_start_matches('-').replace('-', "_") == self.name => Ok(json!(true)),
                _ => bad("is not true or false"),
            },
            "CephChoices" => {
                let choices = self.fields.get("strings").map(String::as_str).unwrap_or_default();
                if choices.split('|').any(|c| c == word) { Ok(json!(word)) } else { bad(&format!("not in {choices}")) }
            }
            "CephPgid" if word.parse::<types::PgId>().is_err() => bad("is not a PG such as 1.7f"),
            "CephOsdName" => {
                let id = word.strip_prefix("osd.").unwrap_or(word);
                if matches!(word, "*" | "any" | "all") || id.parse::<i32>().is_ok() {
                    Ok(json!(word))
                } else {
                    bad("is not an OSD such as osd.1")
                }
            }
            "CephName" => match word.split_once('.') {
                _ if word == "*" => Ok(json!(word)),
                Some(("mon" | "osd" | "mds" | "mgr" | "client", _)) => Ok(json!(word)),
                _ => bad("is not a name such as osd.1"),
            },
            "CephUUID" if word.parse::<types::Uuid>().is_err() => bad("is not a UUID"),
            _ if word.starts_with("--") => bad("is an unknown option"),
            _ => self.checked_text(word),
        }
    }

    fn checked_text(&self, word: &str) -> Result<Value, String> {
        match self.fields.get("goodchars") {
            Some(chars) if !word.chars().all(|c| in_class(chars, c)) => {
                Err(format!("{word}: not all of its characters are in {chars}"))
            }
            _ => Ok(json!(word)),
        }
    }

    /// `[0, 10]`, numbers with at least so many digits behind the point.
    fn range(&self, digits: usize) -> String {
        let range = self.fields.get("range").map_or("", String::as_str);
        let end = |e: &str| e.parse::<f64>().map_or(e.to_owned(), |v| format!("{v:.digits$}"));
        format!("[{}]", range.split('|').map(end).collect::<Vec<_>>().join(", "))
    }

    fn in_range(&self, v: f64) -> bool {
        let Some(range) = self.fields.get("range") else { return true };
        let mut ends = range.split('|').map(|e| e.parse::<f64>().ok());
        let low = ends.next().flatten().is_none_or(|low| v >= low);
        low && ends.next().flatten().is_none_or(|high| v <= high)
    }
}

/// Whether a character is in `[A-Za-z0-9-_.]`.
fn in_class(class: &str, c: char) -> bool {
    let inner: Vec<char> = class.trim_start_matches('[').trim_end_matches(']').chars().collect();
    let mut at = 0;
    while at < inner.len() {
        if at + 2 < inner.len() && inner[at + 1] == '-' && inner[at] < inner[at + 2] {
            if (inner[at]..=inner[at + 2]).contains(&c) {
                return true;
            }
            at += 3;
        } else {
            if inner[at] == c {
                return true;
            }
            at += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<Signature> {
        let text = json!({
            "cmd000": {"sig": ["osd", "pool", "create", {"name": "pool", "type": "CephPoolname"},
                {"name": "pg_num", "type": "CephInt", "range": "0", "req": "false"},
                {"name": "pool_type", "type": "CephChoices", "strings": "replicated|erasure", "req": "false"}],
                "help": "create pool", "flags": 0},
            "cmd001": {"sig": ["osd", "pool", "rm", {"name": "pool", "type": "CephPoolname"},
                {"name": "pool2", "type": "CephPoolname", "req": "false"},
                {"name": "yes_i_really_really_mean_it", "type": "CephBool", "req": "false"}], "flags": 0},
            "cmd002": {"sig": ["osd", "out", {"name": "ids", "type": "CephString", "n": "N"}], "flags": 0},
            "cmd003": {"sig": ["pg", "dump", {"name": "dumpcontents", "type": "CephChoices",
                "strings": "all|summary", "n": "N", "req": "false"}], "flags": 8},
            "cmd004": {"sig": ["osd", "pool", "ls", {"name": "detail", "type": "CephChoices",
                "strings": "detail", "req": "false"}], "flags": 0},
        });
        parse_descriptions(text.to_string().as_bytes()).unwrap()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn json_of(text: &str) -> Value {
        Value::Object(parse(&table(), &words(text)).unwrap().json)
    }

    #[test]
    fn words_become_the_json_of_the_command_they_name() {
        assert_eq!(json_of("osd pool create p 8"), json!({"pool": "p", "pg_num": 8, "prefix": "osd pool create"}));
        assert_eq!(
            json_of("osd pool create p replicated"),
            json!({"pool": "p", "pool_type": "replicated", "prefix": "osd pool create"})
        );
        assert_eq!(
            json_of("osd pool rm p p --yes-i-really-really-mean-it"),
            json!({"pool": "p", "pool2": "p", "yes_i_really_really_mean_it": true, "prefix": "osd pool rm"})
        );
        assert_eq!(json_of("osd out 1 2"), json!({"ids": ["1", "2"], "prefix": "osd out"}));
        assert_eq!(json_of("osd pool ls detail"), json!({"detail": "detail", "prefix": "osd pool ls"}));
        assert!(parse(&table(), &words("pg dump summary")).unwrap().to_mgr);
    }

    #[test]
    fn what_fits_no_command_gets_advice() {
        let advice = parse(&table(), &words("osd pool")).unwrap_err();
        assert!(advice.starts_with("no valid command found; 3 closest matches:\n"), "{advice}");
        let advice = parse(&table(), &words("osd pool create")).unwrap_err();
        let first =
            "Invalid command: missing required parameter pool(<poolname>)\nosd pool create <pool> [<pg_num:int>] ";
        assert!(advice.starts_with(first), "{advice}");
        assert!(parse(&table(), &words("nonsense")).unwrap_err().starts_with("no valid command found; 5 closest"));
        let advice = parse(&table(), &words("osd out")).unwrap_err();
        assert!(advice.starts_with("Invalid command: saw 0 of ids(<string>)..., expected at least 1\n"), "{advice}");
        assert!(parse(&table(), &words("osd pool create p -1")).is_err());
    }

    #[test]
    fn good_characters_are_a_class_with_ranges() {
        assert!("aZ9-_.".chars().all(|c| in_class("[A-Za-z0-9-_.]", c)));
        assert!(!in_class("[A-Za-z0-9-_.]", ' '));
    }
}
