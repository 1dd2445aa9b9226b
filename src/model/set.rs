//! `--set key=value`: overriding a setting of a scenario before it is validated.
//!
//! A setting is named by its path (`systems.db.postgres.data`) or by the end of it, where only one setting ends
//! so. Settings that the file leaves at their default can be named, too.

use super::catalog::{Catalog, Class};
use super::codes::Code;
use super::decode::listed;
use super::diag::{Diagnostic, Diagnostics, did_you_mean, quoted};
use super::source::{SourceId, Sources, Span, Spanned};
use super::yaml::{self, Kind, Node};

/// Keys of a scenario, any of which may be absent from a file.
const TOP: [&str; 10] = ["scenario", "about", "rows", "systems", "workload", "backup", "objectives", "steady", "steps", "expect"];
/// Keys of a target that may be absent from a file.
const TARGET: [&str; 4] = ["known_from", "kind", "margin", "timeline"];
/// Keys of the objectives, all of which may be absent.
const OBJECTIVES: [&str; 4] = ["rto", "rpo", "rewind", "human_delay"];
/// Keys of a detection that may be absent.
const DETECT: [&str; 2] = ["every", "needed"];

type Path = Vec<String>;

/// Applies one `--set`; `sources` holds its text under the name `--set`.
pub fn apply(node: &mut Node, set: &str, catalog: &Catalog, sources: &Sources, diags: &mut Diagnostics) {
    let named = sources.iter().position(|s| &*s.name == "--set" && &*s.text == set);
    let at = Place { source: SourceId(named.unwrap_or(0) as u32) };
    let (path, value) = match set.split_once('=') {
        Some((path, value)) if !path.trim().is_empty() => (path, value),
        _ => {
            diags.push(Diagnostic::new(Code::BadSetting, "a setting is `key=value`", at.span(0, set.len())).help("for example `--set rate=500/s`"));
            return;
        }
    };
    let key = at.span(0, path.len());
    let Some(value) = at.value(value, path.len() + 1, diags) else { return };
    let written = paths(node);
    let unwritten = unwritten(node, catalog);
    let wanted: Vec<&str> = path.split('.').collect();
    let ends = |p: &&Path| p.len() >= wanted.len() && p[p.len() - wanted.len()..].iter().zip(&wanted).all(|(a, b)| a == b);
    let mut matches: Vec<&Path> = written.iter().filter(ends).collect();
    if matches.is_empty() {
        matches = unwritten.iter().filter(ends).collect();
    }
    match matches.as_slice() {
        [one] => put(node, one, key, value),
        [] => {
            // A key that nothing knows, below a mapping that is there: it may be free (`settings`), or the reader says
            // what is known there.
            if let Some((last, parent)) = wanted.split_last()
                && !parent.is_empty()
                && let [one] =
                    written.iter().filter(|p| p.len() >= parent.len() && p[p.len() - parent.len()..] == *parent).collect::<Vec<_>>().as_slice()
                && matches!(slot(node, one), Some(Node { kind: Kind::Map(_), .. }))
            {
                let full: Path = one.iter().cloned().chain([last.to_string()]).collect();
                return put(node, &full, key, value);
            }
            // The first of the free settings of a server.
            if let [parent @ .., last] = wanted.as_slice()
                && parent.last() == Some(&"settings")
                && let [one] =
                    unwritten.iter().filter(|p| p.len() >= parent.len() && p[p.len() - parent.len()..] == *parent).collect::<Vec<_>>().as_slice()
            {
                let entry = (Spanned::new(last.to_string(), key), value);
                return put(node, one, key, Node { span: key, kind: Kind::Map(vec![entry]) });
            }
            diags.push(unknown(node, path, key, &written, &unwritten));
        }
        several => {
            let all: Vec<String> = several.iter().map(|p| p.join(".")).collect();
            let words: Vec<&str> = all.iter().map(String::as_str).collect();
            let d = Diagnostic::new(Code::BadSetting, format!("{} names several settings", quoted(path)), key);
            diags.push(d.help(format!("say which: {}", listed(&words))));
        }
    }
}

fn unknown(node: &Node, path: &str, key: Span, written: &[Path], unwritten: &[Path]) -> Diagnostic {
    let name = node.get("scenario").and_then(Node::text).map_or("the scenario".into(), quoted);
    let d = Diagnostic::new(Code::BadSetting, format!("{name} has no setting {}", quoted(path)), key);
    let all: Vec<&Path> = written.iter().chain(unwritten).filter(|p| p.last().is_some_and(|l| l.parse::<usize>().is_err())).collect();
    let full: Vec<String> = all.iter().map(|p| p.join(".")).collect();
    let near = match path.contains('.') {
        true => did_you_mean(path, full.iter().map(String::as_str)),
        false => did_you_mean(path, all.iter().filter_map(|p| p.last()).map(String::as_str)),
    };
    match near {
        Some(near) => d.help(format!("did you mean `{near}`?")),
        None => d.help("name it by its path, for example `systems.db.postgres.data`; `passmuster explain postgres` lists those of a server"),
    }
}

/// Places in the text of one `--set`.
struct Place {
    source: SourceId,
}

impl Place {
    fn span(&self, start: usize, end: usize) -> Span {
        Span { source: self.source, start: start as u32, end: end as u32 }
    }

    /// The value: YAML where it opens a bracket, else text as it stands.
    fn value(&self, text: &str, offset: usize, diags: &mut Diagnostics) -> Option<Node> {
        let whole = self.span(offset, offset + text.len());
        if !text.trim_start().starts_with(['{', '[']) {
            return Some(Node { span: whole, kind: Kind::Scalar { text: text.to_string(), plain: true } });
        }
        let mut inner = Sources::default();
        let id = inner.add("--set", text);
        let mut found = Diagnostics::default();
        let node = yaml::read(&inner, id, &mut found);
        if let Some(mut node) = node {
            self.shift(&mut node, offset as u32);
            return Some(node);
        }
        let why = found.iter().next().map_or("it is not valid YAML".into(), |d| d.message.clone());
        diags.push(Diagnostic::new(Code::BadSetting, format!("the value cannot be read: {why}"), whole).help("check brackets and quotes"));
        None
    }

    fn shift(&self, node: &mut Node, by: u32) {
        let moved = |s: Span| Span { source: self.source, start: s.start + by, end: s.end + by };
        node.span = moved(node.span);
        match &mut node.kind {
            Kind::Seq(items) => items.iter_mut().for_each(|n| self.shift(n, by)),
            Kind::Map(entries) => entries.iter_mut().for_each(|(k, n)| {
                k.span = moved(k.span);
                self.shift(n, by);
            }),
            Kind::Scalar { .. } => {}
        }
    }
}

/// Paths of everything that is written.
fn paths(node: &Node) -> Vec<Path> {
    fn collect(node: &Node, path: &mut Path, out: &mut Vec<Path>) {
        if !path.is_empty() {
            out.push(path.clone());
        }
        let mut visit = |key: String, node: &Node| {
            path.push(key);
            collect(node, path, out);
            path.pop();
        };
        match &node.kind {
            Kind::Map(entries) => entries.iter().for_each(|(k, n)| visit(k.value.clone(), n)),
            Kind::Seq(items) => items.iter().enumerate().for_each(|(i, n)| visit(i.to_string(), n)),
            Kind::Scalar { .. } => {}
        }
    }
    let mut out = Vec::new();
    collect(node, &mut Vec::new(), &mut out);
    out
}

/// Paths of settings that exist and are not written, so that their defaults hold.
fn unwritten(node: &Node, catalog: &Catalog) -> Vec<Path> {
    let mut out: Vec<Path> = Vec::new();
    let mut below = |path: &[&str], node: &Node, keys: &mut dyn Iterator<Item = &'static str>| {
        let absent = keys.filter(|k| node.get(k).is_none());
        out.extend(absent.map(|k| path.iter().copied().chain([k]).map(String::from).collect::<Path>()));
    };
    let params = |class, name: Option<&str>| name.and_then(|n| catalog.kind(class, n)).map_or(&[][..], |k| k.params).iter().map(|p| p.name);
    if let Some(Kind::Map(systems)) = node.get("systems").map(|n| &n.kind) {
        for (name, system) in systems {
            let Kind::Map(kinds) = &system.kind else { continue };
            for (kind, body) in kinds {
                below(&["systems", &name.value, &kind.value], body, &mut params(Class::System, Some(&kind.value)));
            }
        }
    }
    for (key, class, by) in [("workload", Class::Workload, "kind"), ("backup", Class::Method, "with")] {
        if let Some(n) = node.get(key) {
            below(&[key], n, &mut params(class, n.get(by).and_then(Node::text)));
        }
    }
    below(&[], node, &mut TOP.into_iter());
    // Without objectives, one of them brings the mapping along.
    let none = Node { span: node.span, kind: Kind::Map(Vec::new()) };
    below(&["objectives"], node.get("objectives").unwrap_or(&none), &mut OBJECTIVES.into_iter());
    let Some(Kind::Seq(steps)) = node.get("steps").map(|n| &n.kind) else { return out };
    for (i, step) in steps.iter().enumerate() {
        let i = i.to_string();
        for (key, class) in [("fault", Class::Fault), ("detect", Class::Probe), ("recover", Class::Recovery)] {
            let Some(name) = step.get(key) else { continue };
            let own: &[&str] = if class == Class::Probe { &DETECT } else { &[] };
            below(&["steps", &i], step, &mut params(class, name.text()).chain(own.iter().copied()));
        }
        if let Some(target) = step.get("to") {
            below(&["steps", &i, "to"], target, &mut TARGET.into_iter());
        }
    }
    out
}

/// Puts a value at a path; mappings that are not there yet are made.
fn put(node: &mut Node, path: &[String], key: Span, value: Node) {
    if let Some(slot) = slot(node, path) {
        *slot = value;
        return;
    }
    let Some((last, parent)) = path.split_last() else { return };
    if slot(node, parent).is_none() {
        put(node, parent, key, Node { span: key, kind: Kind::Map(Vec::new()) });
    }
    if let Some(Node { kind: Kind::Map(entries), .. }) = slot(node, parent) {
        entries.push((Spanned::new(last.clone(), key), value));
    }
}

fn slot<'n>(node: &'n mut Node, path: &[String]) -> Option<&'n mut Node> {
    let Some((first, rest)) = path.split_first() else { return Some(node) };
    let next = match &mut node.kind {
        Kind::Map(entries) => entries.iter_mut().find(|(k, _)| k.value == *first).map(|(_, n)| n)?,
        Kind::Seq(items) => items.get_mut(first.parse::<usize>().ok()?)?,
        Kind::Scalar { .. } => return None,
    };
    slot(next, rest)
}

#[cfg(test)]
mod tests {
    use super::super::catalog::KindSpec;
    use super::super::params::{ParamSpec, ParamType};
    use super::*;

    const PARAMS: &[ParamSpec] = &[
        ParamSpec::new("data", ParamType::Size, "1MiB", ""),
        ParamSpec::optional("version", ParamType::Text, ""),
        ParamSpec::optional("settings", ParamType::Settings, ""),
    ];

    fn catalog() -> Catalog {
        let spec = KindSpec { class: Class::System, name: "postgres", summary: "", doc: "", on: &[], params: PARAMS, sabotages: &[] };
        Catalog { kinds: vec![spec], ..Catalog::default() }
    }

    fn after(sets: &[&str]) -> (Node, Vec<String>) {
        let mut sources = Sources::default();
        let id = sources.add("t.yaml", "systems: {db: {postgres: {data: 8MiB}}}\nobjectives: {rto: 1m}\nworkload: {data: 1}\n");
        let mut diags = Diagnostics::default();
        let mut node = yaml::read(&sources, id, &mut diags).unwrap();
        for set in sets {
            sources.add("--set", *set);
            apply(&mut node, set, &catalog(), &sources, &mut diags);
        }
        (node, diags.iter().map(|d| format!("{}: {}", d.code, sources.slice(d.span()))).collect())
    }

    fn text(node: &Node, path: &str) -> Option<String> {
        path.split('.').try_fold(node, |n, key| n.get(key)).and_then(Node::text).map(String::from)
    }

    #[test]
    fn settings_are_named_by_the_end_of_their_path() {
        let sets = ["postgres.data=2MiB", "version=16", "rpo=5m", "objectives.rto=2m", "settings.work_mem=8MB", "settings.jit=off"];
        let (node, found) = after(&sets);
        assert_eq!(found, Vec::<String>::new());
        for (path, value) in [
            ("systems.db.postgres.data", "2MiB"),
            ("systems.db.postgres.version", "16"),
            ("objectives.rpo", "5m"),
            ("objectives.rto", "2m"),
            ("systems.db.postgres.settings.work_mem", "8MB"),
            ("systems.db.postgres.settings.jit", "off"),
            ("workload.data", "1"),
        ] {
            assert_eq!(text(&node, path).as_deref(), Some(value), "{path}");
        }
    }

    #[test]
    fn what_the_file_does_not_have_is_added_at_the_top_too() {
        let (node, found) = after(&["expect=[exact, no-holes]", "objectives.rewind=1m", "about=another one"]);
        assert_eq!(found, Vec::<String>::new());
        assert!(matches!(node.get("expect").map(|n| &n.kind), Some(Kind::Seq(items)) if items.len() == 2));
        assert_eq!(text(&node, "objectives.rewind").as_deref(), Some("1m"));
        assert_eq!(text(&node, "about").as_deref(), Some("another one"));
        let mut bare = Node { span: Span::default(), kind: Kind::Map(Vec::new()) };
        let mut diags = Diagnostics::default();
        for set in ["rewind=1m", "objectives.rto=2m", "workload={kind: linked}"] {
            apply(&mut bare, set, &catalog(), &Sources::default(), &mut diags);
        }
        assert!(diags.is_empty());
        for (path, value) in [("objectives.rewind", "1m"), ("objectives.rto", "2m"), ("workload.kind", "linked")] {
            assert_eq!(text(&bare, path).as_deref(), Some(value), "{path}");
        }
    }

    #[test]
    fn what_names_nothing_or_several_is_refused_at_its_place() {
        for (set, place) in [("data=1MiB", "data"), ("zebra=1", "zebra"), ("=1", "=1"), ("rto", "rto"), ("rto={a", "{a")] {
            let (_, found) = after(&[set]);
            assert_eq!(found, vec![format!("PM0214: {place}")], "{set}");
        }
    }
}
