//! Scenarios: a disaster to rehearse, as people write it and as it is run.

use super::catalog::{Catalog, Class, KindSpec};
use super::codes::Code;
use super::decode::{Fields, Reader, listed};
use super::diag::{Diagnostic, Diagnostics, did_you_mean};
use super::params::{Params, read_params};
use super::source::{SourceId, Sources, Span, Spanned};
use super::wal::TargetKind;
use super::yaml::{self, Kind, Node};
use std::collections::BTreeMap;
use std::time::Duration;

/// A validated scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name, that of the file.
    pub name: String,
    /// One sentence for `list`.
    pub about: String,
    /// Rows of the requirements that it covers.
    pub rows: Vec<String>,
    /// Systems by name.
    pub systems: BTreeMap<String, SystemDecl>,
    /// The load.
    pub workload: WorkloadDecl,
    /// The backup.
    pub backup: BackupDecl,
    /// What is promised.
    pub objectives: Objectives,
    /// The steady-state hypothesis.
    pub steady: Steady,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Expectations beyond those that are always judged.
    pub expect: Vec<String>,
    /// The whole text's place.
    pub span: Span,
}

/// A system of a scenario.
#[derive(Debug, Clone)]
pub struct SystemDecl {
    /// Registered kind.
    pub kind: String,
    /// Its parameters.
    pub params: Params,
    /// Where it stands.
    pub span: Span,
}

/// The load of a scenario.
#[derive(Debug, Clone)]
pub struct WorkloadDecl {
    /// Registered kind.
    pub kind: String,
    /// Its parameters.
    pub params: Params,
    /// Where it stands.
    pub span: Span,
}

/// The backup of a scenario.
#[derive(Debug, Clone)]
pub struct BackupDecl {
    /// The system that is backed up.
    pub of: String,
    /// The store.
    pub to: String,
    /// Registered method.
    pub method: String,
    /// Its parameters.
    pub params: Params,
    /// Where it stands.
    pub span: Span,
}

/// Promises. What is absent is not judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Objectives {
    /// Verified recovery time.
    pub rto: Option<Duration>,
    /// Loss of acknowledged writes, as the age of the oldest.
    pub rpo: Option<Duration>,
    /// Good writes made after the damage and given up.
    pub rewind: Option<Duration>,
    /// Time of each simulated human step.
    pub human_delay: Option<Duration>,
    /// Where `rpo` stands.
    pub rpo_span: Option<Span>,
}

/// The steady-state hypothesis.
#[derive(Debug, Clone)]
pub struct Steady {
    /// Registered probe.
    pub probe: String,
    /// How long it must hold, before the disaster and after the recovery.
    pub hold: Duration,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// A simulated human step: named in the report, and the policy's delay is added.
    pub human: bool,
    /// Where it stands.
    pub span: Span,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Break something.
    Fault {
        /// Registered fault.
        kind: String,
        /// System.
        on: String,
        /// Its parameters.
        params: Params,
    },
    /// Notice it.
    Detect {
        /// Registered probe.
        probe: String,
        /// Time limit.
        within: Duration,
        /// Between questions.
        every: Duration,
        /// So many bad answers …
        needed: usize,
        /// … among the last so many.
        of: usize,
        /// The probe's parameters.
        params: Params,
    },
    /// Recover.
    Recover {
        /// Registered recovery.
        kind: String,
        /// System.
        on: String,
        /// Time limit; what is over it is right-censored.
        within: Duration,
        /// Where to stop, for a point-in-time recovery.
        target: Option<TargetDecl>,
        /// Its parameters.
        params: Params,
    },
}

/// How the operator knows where to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownFrom {
    /// From the archive alone, as in a real incident.
    Wal,
    /// From the time of the alert, minus a margin.
    Alert,
    /// From a fence that the drill put there.
    Oracle,
}

impl KnownFrom {
    const WORDS: [&'static str; 3] = ["wal", "alert", "oracle"];

    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            KnownFrom::Wal => "wal",
            KnownFrom::Alert => "alert",
            KnownFrom::Oracle => "oracle",
        }
    }

    /// From the word in files.
    pub fn from_word(word: &str) -> Option<KnownFrom> {
        match word {
            "wal" => Some(KnownFrom::Wal),
            "alert" => Some(KnownFrom::Alert),
            "oracle" => Some(KnownFrom::Oracle),
            _ => None,
        }
    }
}

/// The target of a point-in-time recovery.
#[derive(Debug, Clone)]
pub struct TargetDecl {
    /// The fault before which to stop.
    pub before: String,
    /// Its step.
    pub before_step: usize,
    /// How it is known.
    pub known_from: KnownFrom,
    /// What kind of target is given to the server.
    pub kind: TargetKind,
    /// Taken off the alert's time.
    pub margin: Duration,
    /// `latest`, or `located`: the timeline on which the damage was found.
    pub timeline: String,
}

/// Reads and validates one scenario; `None` if `diags` holds errors about it.
pub fn read(sources: &Sources, id: SourceId, catalog: &Catalog, sets: &[String], diags: &mut Diagnostics) -> Option<Scenario> {
    let node = yaml::read(sources, id, diags)?;
    validate(sources, &node, catalog, sets, diags)
}

/// Validates a tree that was read; `sets` are the texts of `--set`, applied first.
pub fn validate(sources: &Sources, node: &Node, catalog: &Catalog, sets: &[String], diags: &mut Diagnostics) -> Option<Scenario> {
    let before = diags.errors();
    let mut node = node.clone();
    for set in sets {
        override_one(&mut node, set, sources, diags);
    }
    let mut r = Reader { sources, diags };
    let scenario = Validator { catalog }.scenario(&mut r, &node);
    let scenario = scenario.filter(|_| before == diags.errors())?;
    super::algebra::scenario(&scenario, diags);
    Some(scenario)
}

struct Validator<'a> {
    catalog: &'a Catalog,
}

impl Validator<'_> {
    fn scenario(&self, r: &mut Reader<'_>, node: &Node) -> Option<Scenario> {
        let mut f = r.fields(node, "a scenario")?;
        let name = f.req(r, "scenario", "postgres-drop-table").and_then(|n| r.name(n));
        let about = f.opt("about").and_then(|n| r.text(n));
        let rows = f.opt("rows").and_then(|n| r.list(n, |r, n| row(r, n))).unwrap_or_default();
        let systems = f.req(r, "systems", "{db: {postgres: {}}, store: {s3: {}}}").and_then(|n| self.systems(r, n));
        let none = BTreeMap::new();
        let known = systems.as_ref().unwrap_or(&none);
        let workload = f.req(r, "workload", "{kind: linked}").and_then(|n| self.workload(r, n));
        let backup = f.req(r, "backup", "{of: db, to: store, with: basebackup-wal}").and_then(|n| self.backup(r, n, known));
        let objectives = f.req(r, "objectives", "{rto: 15m, rpo: 15m}").and_then(|n| objectives(r, n));
        let steady = f.req(r, "steady", "{probe: writable, hold: 1s}").and_then(|n| self.steady(r, n));
        let steps = f.req(r, "steps", "[…]").and_then(|n| self.steps(r, n, known));
        let expect = f.opt("expect").and_then(|n| r.list(n, |r, n| self.expectation(r, n))).unwrap_or_default();
        f.finish(r);
        Some(Scenario {
            name: name?.value,
            about: about.map(|a| a.value).unwrap_or_default(),
            rows,
            systems: systems?,
            workload: workload?,
            backup: backup?,
            objectives: objectives?,
            steady: steady?,
            steps: steps?,
            expect,
            span: node.span,
        })
    }

    fn kind(&self, r: &mut Reader<'_>, class: Class, code: Code, name: &Spanned<String>) -> Option<&KindSpec> {
        let found = self.catalog.kind(class, &name.value);
        if found.is_none() {
            let names = self.catalog.names(class);
            let what = class.plural();
            let mut d = Diagnostic::new(code, format!("`{}` is not among the {what}", name.value), name.span);
            d = match did_you_mean(&name.value, names.iter().copied()) {
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None => d.help(format!("there are {}; see `passmuster list {what}`", listed(&names))),
            };
            r.push(d);
        }
        found
    }

    fn systems(&self, r: &mut Reader<'_>, node: &Node) -> Option<BTreeMap<String, SystemDecl>> {
        let f = r.fields(node, "`systems`")?;
        let mut out = BTreeMap::new();
        for (name, node) in f.all() {
            let mut f = match r.fields(node, "a system") {
                Some(f) => f,
                None => continue,
            };
            let [(kind, body)] = f.all() else {
                r.push(
                    Diagnostic::new(Code::WrongType, format!("`{}` must be of exactly one kind", name.value), node.span)
                        .help(format!("write `{}: {{postgres: {{}}}}`", name.value)),
                );
                continue;
            };
            f.know(&kind.value);
            let Some(spec) = self.kind(r, Class::System, Code::UnknownSystemKind, kind) else { continue };
            let Some(mut inner) = r.fields(body, &format!("a {} system", spec.name)) else { continue };
            let params = read_params(r, &mut inner, spec.params);
            inner.finish(r);
            out.insert(name.value.clone(), SystemDecl { kind: spec.name.to_string(), params, span: node.span });
        }
        Some(out)
    }

    fn workload(&self, r: &mut Reader<'_>, node: &Node) -> Option<WorkloadDecl> {
        let mut f = r.fields(node, "a workload")?;
        let kind = f.req(r, "kind", "linked").and_then(|n| r.text(n));
        let spec = kind.and_then(|k| self.kind(r, Class::Workload, Code::UnknownWorkload, &k).copied())?;
        let params = read_params(r, &mut f, spec.params);
        f.finish(r);
        Some(WorkloadDecl { kind: spec.name.into(), params, span: node.span })
    }

    fn backup(&self, r: &mut Reader<'_>, node: &Node, systems: &BTreeMap<String, SystemDecl>) -> Option<BackupDecl> {
        let mut f = r.fields(node, "a backup")?;
        let of = f.req(r, "of", "db").and_then(|n| system(r, n, systems, &[]));
        let to = f.req(r, "to", "store").and_then(|n| system(r, n, systems, &["s3"]));
        let method = f.req(r, "with", "basebackup-wal").and_then(|n| r.text(n));
        let spec = method.and_then(|m| self.kind(r, Class::Method, Code::UnknownMethod, &m).copied())?;
        let params = read_params(r, &mut f, spec.params);
        f.finish(r);
        Some(BackupDecl { of: of?, to: to?, method: spec.name.into(), params, span: node.span })
    }

    fn steady(&self, r: &mut Reader<'_>, node: &Node) -> Option<Steady> {
        let mut f = r.fields(node, "a steady state")?;
        let probe = f.req(r, "probe", "writable").and_then(|n| r.text(n));
        let hold = f.req(r, "hold", "1s").and_then(|n| r.duration(n));
        f.finish(r);
        let spec = probe.and_then(|p| self.kind(r, Class::Probe, Code::UnknownProbe, &p).copied())?;
        Some(Steady { probe: spec.name.into(), hold: hold?.value })
    }

    fn expectation(&self, r: &mut Reader<'_>, node: &Node) -> Option<String> {
        let text = r.text(node)?;
        let ids: Vec<&str> = self.catalog.expectations.iter().map(|e| e.id).collect();
        if ids.contains(&text.value.as_str()) {
            return Some(text.value);
        }
        let mut d = Diagnostic::new(Code::UnknownExpectation, format!("`{}` is not an expectation", text.value), text.span);
        d = match did_you_mean(&text.value, ids.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d.help("see `passmuster list expectations`"),
        };
        r.push(d);
        None
    }

    fn steps(&self, r: &mut Reader<'_>, node: &Node, systems: &BTreeMap<String, SystemDecl>) -> Option<Vec<Step>> {
        let Kind::Seq(items) = &node.kind else {
            r.wrong(node, "a list of steps", "[{fault: drop-table, on: db}]");
            return None;
        };
        let mut steps: Vec<Step> = Vec::new();
        let mut complete = true;
        for item in items {
            match self.step(r, item, systems, &steps) {
                Some(step) => steps.push(step),
                None => complete = false,
            }
        }
        let faults = steps.iter().any(|s| matches!(s.action, Action::Fault { .. }));
        let recovers = steps.iter().any(|s| matches!(s.action, Action::Recover { .. }));
        if complete && !(faults && recovers) {
            r.push(
                Diagnostic::new(Code::BadOrder, "a drill has at least one fault and one recovery", node.span)
                    .help("add `- {fault: …}` and `- {recover: …}`"),
            );
        }
        complete.then_some(steps)
    }

    fn step(&self, r: &mut Reader<'_>, node: &Node, systems: &BTreeMap<String, SystemDecl>, earlier: &[Step]) -> Option<Step> {
        let mut f = r.fields(node, "a step")?;
        let actions: Vec<&(Spanned<String>, Node)> =
            f.all().iter().filter(|(k, _)| ["fault", "detect", "recover"].contains(&k.value.as_str())).collect();
        let [(key, value)] = actions.as_slice() else {
            r.push(
                Diagnostic::new(Code::BadStep, "a step is exactly one of `fault`, `detect`, `recover`", node.span)
                    .help("put each action into a list item of its own"),
            );
            return None;
        };
        f.know(&key.value);
        let name = r.text(value)?;
        let human = match f.opt("human") {
            Some(n) => r.boolean(n)?.value,
            None => false,
        };
        let action = match key.value.as_str() {
            "fault" => self.fault(r, &mut f, &name, systems),
            "detect" => self.detect(r, &mut f, &name, earlier, key.span),
            _ => self.recover(r, &mut f, &name, systems, earlier, key.span),
        };
        f.finish(r);
        Some(Step { action: action?, human, span: node.span })
    }

    fn on(&self, r: &mut Reader<'_>, f: &mut Fields<'_>, spec: &KindSpec, systems: &BTreeMap<String, SystemDecl>) -> Option<String> {
        f.req(r, "on", "db").and_then(|n| system(r, n, systems, spec.on))
    }

    fn fault(&self, r: &mut Reader<'_>, f: &mut Fields<'_>, name: &Spanned<String>, systems: &BTreeMap<String, SystemDecl>) -> Option<Action> {
        let spec = *self.kind(r, Class::Fault, Code::UnknownFault, name)?;
        let on = self.on(r, f, &spec, systems);
        let params = read_params(r, f, spec.params);
        Some(Action::Fault { kind: spec.name.into(), on: on?, params })
    }

    fn detect(&self, r: &mut Reader<'_>, f: &mut Fields<'_>, name: &Spanned<String>, earlier: &[Step], key: Span) -> Option<Action> {
        let spec = *self.kind(r, Class::Probe, Code::UnknownProbe, name)?;
        let within = f.req(r, "within", "30s").and_then(|n| r.duration(n));
        let every = f.opt("every").map_or(Some(Duration::from_millis(50)), |n| r.duration(n).map(|d| d.value));
        let needed = f.opt("needed").map_or(Some(2), |n| r.integer(n, 1, 100).map(|i| i.value as usize));
        let of = f.opt("of").map_or(Some(3), |n| r.integer(n, 1, 100).map(|i| i.value as usize));
        let mut params = read_params(r, f, spec.params);
        let fault = earlier.iter().rev().find_map(|s| match &s.action {
            Action::Fault { params, .. } => Some(params),
            _ => None,
        });
        let Some(fault) = fault else {
            r.push(Diagnostic::new(Code::BadOrder, "nothing has gone wrong before this detection", key).help("put a `fault` step before it"));
            return None;
        };
        // What the probe looks at is what the fault hits, unless it is said.
        if let (None, Some(table)) = (params.get("table"), fault.get("table")) {
            params.set("table", table.clone(), key);
        }
        let (needed, of) = (needed?, of?);
        if needed > of {
            r.push(Diagnostic::new(Code::OutOfRange, format!("{needed} of {of} can never be reached"), key).help("`needed` is at most `of`"));
            return None;
        }
        Some(Action::Detect { probe: spec.name.into(), within: within?.value, every: every?, needed, of, params })
    }

    fn recover(
        &self,
        r: &mut Reader<'_>,
        f: &mut Fields<'_>,
        name: &Spanned<String>,
        systems: &BTreeMap<String, SystemDecl>,
        earlier: &[Step],
        key: Span,
    ) -> Option<Action> {
        let spec = *self.kind(r, Class::Recovery, Code::UnknownRecovery, name)?;
        let on = self.on(r, f, &spec, systems);
        let within = f.opt("within").map_or(Some(Duration::from_secs(600)), |n| r.duration(n).map(|d| d.value));
        let params = read_params(r, f, spec.params);
        if !earlier.iter().any(|s| matches!(s.action, Action::Fault { .. })) {
            r.push(Diagnostic::new(Code::BadOrder, "there is nothing to recover from yet", key).help("put a `fault` step before it"));
            return None;
        }
        let target = if spec.name == "pitr" {
            let node = f.req(r, "to", "{before: drop-table, known_from: wal}")?;
            Some(self.target(r, node, earlier)?)
        } else {
            None
        };
        Some(Action::Recover { kind: spec.name.into(), on: on?, within: within?, target, params })
    }

    fn target(&self, r: &mut Reader<'_>, node: &Node, earlier: &[Step]) -> Option<TargetDecl> {
        let mut f = r.fields(node, "a target")?;
        let before = f.req(r, "before", "drop-table").and_then(|n| r.text(n));
        let known = f.opt("known_from").map_or(Some(Spanned::new("wal", node.span)), |n| r.choice(n, &KnownFrom::WORDS));
        let kind = f.opt("kind").map(|n| r.choice(n, &["name", "lsn", "time", "xid"]));
        let margin_node = f.opt("margin");
        let margin = margin_node.map(|n| r.duration(n));
        let timeline = f.opt("timeline").map_or(Some("latest"), |n| r.choice(n, &["latest", "located"]).map(|c| c.value));
        f.finish(r);
        let (before, known) = (before?, known?);
        let known_from = KnownFrom::from_word(known.value)?;
        let before_step = earlier.iter().position(|s| matches!(&s.action, Action::Fault { kind, .. } if *kind == before.value));
        let Some(before_step) = before_step else {
            r.push(
                Diagnostic::new(Code::BadOrder, format!("no fault `{}` happens before this recovery", before.value), before.span)
                    .help("name the fault of an earlier step"),
            );
            return None;
        };
        if known_from == KnownFrom::Alert && margin_node.is_none() {
            r.push(
                Diagnostic::new(Code::NoMargin, "the alert comes after the damage", known.span)
                    .help("add `margin: 5s`: how long before the alert to stop; what lies between counts as loss"),
            );
            return None;
        }
        let kind = match kind {
            Some(k) => match k?.value {
                "name" => TargetKind::Name,
                "lsn" => TargetKind::Lsn,
                "time" => TargetKind::Time,
                _ => TargetKind::Xid,
            },
            None => match known_from {
                KnownFrom::Wal => TargetKind::Xid,
                KnownFrom::Alert => TargetKind::Time,
                KnownFrom::Oracle => TargetKind::Name,
            },
        };
        let possible: &[TargetKind] = match known_from {
            KnownFrom::Wal => &[TargetKind::Xid, TargetKind::Lsn],
            KnownFrom::Alert => &[TargetKind::Time],
            KnownFrom::Oracle => &[TargetKind::Name, TargetKind::Lsn, TargetKind::Time, TargetKind::Xid],
        };
        if !possible.contains(&kind) {
            let words: Vec<_> = possible.iter().map(|k| k.word()).collect();
            r.push(
                Diagnostic::new(Code::BadChoice, format!("`{}` gives no target of kind `{}`", known_from.word(), kind.word()), known.span)
                    .help(format!("choose one of {}", listed(&words))),
            );
            return None;
        }
        let margin = match margin {
            Some(m) => m?.value,
            None => Duration::ZERO,
        };
        Some(TargetDecl { before: before.value, before_step, known_from, kind, margin, timeline: timeline?.to_string() })
    }
}

fn objectives(r: &mut Reader<'_>, node: &Node) -> Option<Objectives> {
    let mut f = r.fields(node, "objectives")?;
    let mut get = |r: &mut Reader<'_>, key: &str| f.opt(key).map(|n| r.duration(n));
    let (rto, rpo) = (get(r, "rto"), get(r, "rpo"));
    let (rewind, human_delay) = (get(r, "rewind"), get(r, "human_delay"));
    f.finish(r);
    let flat = |o: Option<Option<Spanned<Duration>>>| match o {
        Some(inner) => inner.map(|s| Some(s.value)),
        None => Some(None),
    };
    let rpo_span = rpo.as_ref().and_then(|o| o.as_ref()).map(|s| s.span);
    Some(Objectives { rto: flat(rto)?, rpo: flat(rpo)?, rewind: flat(rewind)?, human_delay: flat(human_delay)?, rpo_span })
}

fn system(r: &mut Reader<'_>, node: &Node, systems: &BTreeMap<String, SystemDecl>, kinds: &[&str]) -> Option<String> {
    let name = r.text(node)?;
    let Some(found) = systems.get(&name.value) else {
        let names: Vec<&str> = systems.keys().map(String::as_str).collect();
        let mut d = Diagnostic::new(Code::UnknownSystem, format!("there is no system `{}`", name.value), name.span);
        d = match did_you_mean(&name.value, names.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d.help(format!("there are {}", listed(&names))),
        };
        r.push(d);
        return None;
    };
    if !kinds.is_empty() && !kinds.contains(&found.kind.as_str()) {
        r.push(
            Diagnostic::new(Code::WrongSystemKind, format!("`{}` is a {} system", name.value, found.kind), name.span)
                .also(found.span, "declared here")
                .help(format!("this needs one of {}", listed(kinds))),
        );
        return None;
    }
    Some(name.value)
}

/// Rows of REQUIREMENTS.md per source, the highest number of each.
pub const ROWS: [(&str, u32); 5] = [("S1", 7), ("S2", 10), ("S3", 13), ("S4", 9), ("S5", 13)];

fn row(r: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = r.text(node)?;
    let known = text.value.split_once('-').is_some_and(|(source, number)| {
        let number: u32 = number.parse().unwrap_or(0);
        ROWS.iter().any(|(s, max)| *s == source && (1..=*max).contains(&number))
    });
    if !known {
        r.push(
            Diagnostic::new(Code::UnknownRow, format!("`{}` is not a row of the requirements", text.value), text.span)
                .help("rows are S1-1 to S1-7, S2-1 to S2-10, S3-1 to S3-13, S4-1 to S4-9, S5-1 to S5-13"),
        );
        return None;
    }
    Some(text.value)
}

/// Applies one `--set key=value`: by path (`systems.db.postgres.data`), or by the last part of a path
/// where only one setting is called so.
fn override_one(node: &mut Node, set: &str, sources: &Sources, diags: &mut Diagnostics) {
    let named = sources.iter().position(|s| &*s.name == "--set" && &*s.text == set);
    let id = SourceId(named.unwrap_or(0) as u32);
    let whole = Span { source: id, start: 0, end: set.len() as u32 };
    let Some((path, value)) = set.split_once('=') else {
        diags.push(Diagnostic::new(Code::BadSetting, "a setting is `key=value`", whole).help("for example `--set rate=500/s`"));
        return;
    };
    let value_node = match value.trim_start().starts_with(['{', '[']) {
        true => {
            let mut inner = Sources::default();
            let inner_id = inner.add("--set", value);
            let mut found = Diagnostics::default();
            match yaml::read(&inner, inner_id, &mut found) {
                Some(n) => moved(n, whole),
                None => {
                    diags.push(Diagnostic::new(Code::BadSetting, "the value is not valid YAML", whole).help("check brackets and quotes"));
                    return;
                }
            }
        }
        false => Node { span: whole, kind: Kind::Scalar { text: value.to_string(), plain: true } },
    };
    let mut paths = Vec::new();
    collect(node, &mut Vec::new(), &mut paths);
    let wanted: Vec<&str> = path.split('.').collect();
    let matches: Vec<&Vec<String>> =
        paths.iter().filter(|p| p.len() >= wanted.len() && p[p.len() - wanted.len()..].iter().zip(&wanted).all(|(a, b)| a == b)).collect();
    match matches.as_slice() {
        [one] => {
            if let Some(slot) = slot(node, one) {
                *slot = value_node;
            }
        }
        [] => {
            // A setting that is not written yet: its parent must be, by full path.
            let parent: Vec<String> = wanted[..wanted.len() - 1].iter().map(|s| s.to_string()).collect();
            let mut is_mapping = |p: &[String]| matches!(slot(node, p), Some(Node { kind: Kind::Map(_), .. }));
            let candidates: Vec<&Vec<String>> = paths.iter().filter(|p| p.ends_with(&parent) && !parent.is_empty() && is_mapping(p)).collect();
            if let ([one], Some(key)) = (candidates.as_slice(), wanted.last())
                && let Some(Node { kind: Kind::Map(entries), .. }) = slot(node, one)
            {
                entries.push((Spanned::new(key.to_string(), whole), value_node));
                return;
            }
            let names: Vec<&str> = paths.iter().filter_map(|p| p.last()).map(String::as_str).collect();
            let mut d = Diagnostic::new(Code::BadSetting, format!("the scenario has no setting `{path}`"), whole);
            d = match did_you_mean(path, names) {
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None => d.help("name it by its path, for example `systems.db.postgres.data`"),
            };
            diags.push(d);
        }
        several => {
            let all: Vec<String> = several.iter().map(|p| p.join(".")).collect();
            let words: Vec<&str> = all.iter().map(String::as_str).collect();
            diags.push(
                Diagnostic::new(Code::BadSetting, format!("`{path}` names several settings"), whole).help(format!("say which: {}", listed(&words))),
            );
        }
    }
}

fn moved(mut node: Node, span: Span) -> Node {
    node.span = span;
    match &mut node.kind {
        Kind::Seq(items) => items.iter_mut().for_each(|n| *n = moved(n.clone(), span)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(k, n)| {
            k.span = span;
            *n = moved(n.clone(), span);
        }),
        Kind::Scalar { .. } => {}
    }
    node
}

fn collect(node: &Node, path: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
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

fn slot<'n>(node: &'n mut Node, path: &[String]) -> Option<&'n mut Node> {
    let Some((first, rest)) = path.split_first() else { return Some(node) };
    let next = match &mut node.kind {
        Kind::Map(entries) => entries.iter_mut().find(|(k, _)| k.value == *first).map(|(_, n)| n)?,
        Kind::Seq(items) => items.get_mut(first.parse::<usize>().ok()?)?,
        Kind::Scalar { .. } => return None,
    };
    slot(next, rest)
}
