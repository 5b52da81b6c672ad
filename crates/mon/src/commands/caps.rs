//! Whether a capability can be read at all. A slip in one would otherwise show only when its client is turned away.
//!
//! The grammars are those of `MonCap`, `MgrCap`, `OSDCap` and `MDSAuthCaps`: grants between `,` or `;`, each beginning
//! with `allow` or `profile`. What the grants mean is not judged here.

/// The kinds of daemons that check capabilities.
pub const SERVICES: [&str; 4] = ["mon", "osd", "mds", "mgr"];

/// Checks the capability of one service.
///
/// # Errors
/// The sentence that Ceph answers with.
pub fn check(service: &str, text: &str) -> Result<(), String> {
    let mut p = Parser { text, at: 0 };
    let mut good = 0;
    loop {
        p.spaces();
        if !p.grant(service) {
            break;
        }
        p.spaces();
        good = p.at;
        if p.rest().is_empty() {
            return Ok(());
        }
        if !p.literal(",") && !p.literal(";") {
            break;
        }
    }
    let at = match &text[good..] {
        "" => "end".to_owned(),
        rest => format!("'{rest}'"),
    };
    Err(format!("{service} capability parse failed, stopped at {at} of '{text}'"))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Whether there were any.
    fn spaces(&mut self) -> bool {
        let rest = self.rest();
        let n = rest.len() - rest.trim_start_matches([' ', '\t', '\n']).len();
        self.at += n;
        n > 0
    }

    fn literal(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Goes back unless all of it was there.
    fn all(&mut self, parts: impl FnOnce(&mut Self) -> bool) -> bool {
        let start = self.at;
        let found = parts(self);
        self.at = if found { self.at } else { start };
        found
    }

    /// A quoted text, or a word.
    fn name(&mut self) -> bool {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c));
        let len = match quote {
            Some(quote) => rest[1..].find(quote).map_or(0, |end| end + 2),
            None => rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-/*:".contains(c))).unwrap_or(rest.len()),
        };
        self.at += len;
        len > 0
    }

    /// `pool=x`, `pool x`.
    fn named(&mut self, keyword: &str) -> bool {
        self.all(|p| p.literal(keyword) && (p.literal("=") || p.spaces()) && p.name())
    }

    fn any_named(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.named(keyword))
    }

    /// `key=value`, `key prefix value`, `key regex value`.
    fn pair(&mut self) -> bool {
        self.all(|p| {
            p.name()
                && (p.literal("=")
                    || p.all(|p| p.spaces() && (p.literal("prefix") || p.literal("regex")) && p.spaces()))
                && p.name()
        })
    }

    /// ` with k=v …`
    fn with_pairs(&mut self) {
        if self.all(|p| p.spaces() && p.literal("with") && p.spaces() && p.pair()) {
            while self.all(|p| p.spaces() && p.pair()) {}
        }
    }

    /// `*`, or some of the letters, in this order.
    fn access(&mut self, letters: &[&str]) -> bool {
        if self.literal("*") || self.literal("all") {
            return true;
        }
        let start = self.at;
        letters.iter().for_each(|letter| {
            self.literal(letter);
        });
        self.at > start
    }

    fn osd_access(&mut self) -> bool {
        let mut found = self.access(&["r", "w", "x"]);
        while self.all(|p| {
            p.spaces();
            p.literal("class-read") || p.literal("class-write")
        }) {
            found = true;
        }
        found
    }

    fn osd_match(&mut self) -> bool {
        self.any_named(&["pool", "namespace", "object_prefix", "auid"])
            || self.all(|p| p.named("tag") && p.spaces() && p.pair())
    }

    fn grant(&mut self, service: &str) -> bool {
        let found =
            self.all(|p| p.named("profile")) || self.all(|p| p.literal("allow") && p.spaces() && p.allowed(service));
        if found {
            // Behind the rights of an OSD stand the pools that they are for, behind all the network.
            let trailing: &[&str] = match service {
                "osd" => &["pool", "namespace", "object_prefix", "auid", "network"],
                "mds" => &["path", "fsname", "uid", "gids", "network"],
                _ => &["fsname", "network"],
            };
            while self.all(|p| {
                p.spaces()
                    && (p.any_named(trailing)
                        || service == "osd" && p.osd_match()
                        || service == "mgr" && p.pair()
                        || service == "mds" && p.literal("root_squash"))
            }) {}
        }
        found
    }

    /// What stands behind `allow`.
    fn allowed(&mut self, service: &str) -> bool {
        if self.named("profile") {
            return true;
        }
        match service {
            "osd" => {
                self.all(|p| p.named("class")) && {
                    self.all(|p| p.spaces() && p.name());
                    true
                } || self.all(|p| {
                    while p.all(|p| p.osd_match() && p.spaces()) {}
                    p.osd_access()
                })
            }
            "mds" => self.access(&["r", "w", "x", "p", "s", "f"]),
            _ => {
                if self.named("command") {
                    self.with_pairs();
                    return true;
                }
                self.all(|p| {
                    if p.any_named(&["service", "module"]) {
                        p.with_pairs();
                        return p.spaces() && p.access(&["r", "w", "x"]);
                    }
                    p.access(&["r", "w", "x"])
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ceph_takes_is_taken() {
        for (service, text) in [
            ("mon", "allow r"),
            ("mon", " allow r "),
            ("mon", "allow *"),
            ("mon", "allow r;allow w"),
            ("mon", "profile rbd"),
            ("mon", "allow profile nosuchprofile"),
            ("mon", "allow rwx network 10.0.0.0/8"),
            ("mon", "allow command \"osd ls\" with x=y, allow service osd rw"),
            ("mon", "allow r, allow command \"osd blocklist\", allow command \"osd blacklist\""),
            ("mgr", "allow module foo r"),
            ("mgr", "profile rbd pool=x"),
            ("osd", "allow all"),
            ("osd", "allow rw pool foo namespace=x object_prefix y"),
            ("osd", "allow pool x rw"),
            ("osd", "allow r class-read pool=images"),
            ("osd", "allow class-read object_prefix rbd_children, allow rwx pool=rbd"),
            ("osd", "allow rwx tag cephfs data=foo"),
            ("osd", "allow rw tag cephfs *=*"),
            ("osd", "allow class foo method"),
            ("osd", "profile rbd pool=x, profile rbd-read-only"),
            ("mds", "allow rw path=/x"),
            ("mds", "allow rwps fsname=a"),
        ] {
            assert_eq!(check(service, text), Ok(()), "{service} {text}");
        }
    }

    #[test]
    fn what_ceph_does_not_understand_is_refused_with_its_words() {
        for (service, text, stopped) in [
            ("mon", "", "end"),
            ("mon", "nonsense", "'nonsense'"),
            ("mon", "r", "'r'"),
            ("mon", "allow", "'allow'"),
            ("mon", "allow r, nonsense", "', nonsense'"),
            ("mon", "allow r nonsense", "'nonsense'"),
            ("mon", "allow rrr", "'rr'"),
            ("mon", "allow *,", "','"),
            ("mgr", "allow nonsense", "'allow nonsense'"),
            ("mds", "allow nonsense", "'allow nonsense'"),
            ("osd", "allow nonsense", "'allow nonsense'"),
            ("osd", "allow class-read x", "'x'"),
            ("osd", "allow rwxr", "'r'"),
            ("osd", "allow rw pool=foo, allow nonsense", "', allow nonsense'"),
            ("osd", "allow class foo method bar rwx", "'bar rwx'"),
        ] {
            let words = format!("{service} capability parse failed, stopped at {stopped} of '{text}'");
            assert_eq!(check(service, text), Err(words), "{service} {text}");
        }
    }

    #[test]
    fn no_text_makes_it_panic_or_run_for_ever() {
        let pieces = ["allow", " ", "=", "\"", "'", "ü", ",", "pool", "r", "with", "class", "tag", "*", "prefix"];
        for service in SERVICES {
            for n in 0..pieces.len().pow(4) {
                let text: String = (0..4).map(|i| pieces[n / pieces.len().pow(i) % pieces.len()]).collect();
                let _ = check(service, &text);
            }
        }
    }
}
