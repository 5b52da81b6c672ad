//! Cases in text: `testdata/*.txt`. A file is one moment of a cluster: `#` and a sentence, the answers to what
//! [`explain::gather()`] asks as they were recorded (`spirula explain --save`), then for each target `explain WORD` and
//! what is said of it. `EXPLAIN_REWRITE=1` writes the explanations into the files.

use std::fmt::Write;

use explain::{Answers, Facts, explain};

/// The answers, and the words that are explained.
fn parts(text: &str) -> (&str, Vec<Option<&str>>) {
    let at = text.find("\nexplain").map_or(text.len(), |at| at + 1);
    let words = text[at..].lines().filter(|l| *l == "explain" || l.starts_with("explain "));
    (&text[..at], words.map(|l| l.strip_prefix("explain ")).collect())
}

fn played(text: &str) -> String {
    let (answers, words) = parts(text);
    let facts = Facts::decode(&Answers::parse(answers).unwrap_or_else(|e| panic!("no answer: {e}")));
    let mut out = answers.to_owned();
    for word in words {
        let said = explain(&facts, word).map_or_else(|unknown| format!("unknown: {unknown}\n"), |r| r.to_text());
        let _ = write!(out, "explain{}\n----\n{said}", word.map(|w| format!(" {w}")).unwrap_or_default());
    }
    out
}

#[test]
fn what_is_said_of_recorded_clusters_is_what_is_true_of_them() {
    let dir = format!("{}/testdata", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("cases").flatten().map(|e| e.path()).collect();
    files.sort();
    let mut wrong = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a case is readable");
        assert!(text.starts_with("# "), "{} has no sentence", path.display());
        let got = played(&text);
        if std::env::var_os("EXPLAIN_REWRITE").is_some() {
            std::fs::write(path, &got).expect("a case is writable");
        } else if let Some((want, got)) = text.lines().zip(got.lines()).find(|(a, b)| a != b) {
            wrong.push(format!("{}:\n  want {want}\n  got  {got}", path.display()));
        } else if text != got {
            wrong.push(format!("{}: one is longer", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
