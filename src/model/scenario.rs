//! Scenarios: a disaster to rehearse, as people write it and as it is run.

use super::catalog::{Catalog, Class, KindSpec, Needs};
use super::codes::Code;
use super::decode::{Fields, Reader, listed};
use super::diag::{Diagnostic, Diagnostics, did_you_mean, quoted};
use super::params::{Params, read_params};
use super::source::{SourceId, Sources, Span, Spanned};
use super::wal::TargetKind;
use super::yaml::{self, Kind, Node};
use std::collections::{BTreeMap, BTreeSet};
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
    let mut found = Diagnostics::default();
    let mut node = node.clone();
    for set in sets {
        super::set::apply(&mut node, set, catalog, sources, &mut found);
    }
    let scenario = Validator { catalog }.scenario(&mut Reader { sources, diags: &mut found }, &node);
    let scenario = scenario.filter(|_| !found.has_errors());
    if let Some(scenario) = &scenario {
        super::algebra::scenario(scenario, &mut found);
    }
    diags.extend(found);
    scenario
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
        let known = &systems.unwrap_or(Declared { unreadable: true, ..Declared::default() });
        let workload = f.req(r, "workload", "{kind: linked}").and_then(|n| self.workload(r, n));
        let backup = f.req(r, "backup", "{of: db, to: store, with: basebackup-wal}").and_then(|n| self.backup(r, n, known));
        let objectives = f.req(r, "objectives", "{rto: 15m, rpo: 15m}").and_then(|n| objectives(r, n));
        let steady = f.req(r, "steady", "{probe: writable, hold: 1s}").and_then(|n| self.steady(r, n));
        let steps = f.req(r, "steps", "[…]").and_then(|n| self.steps(r, n, known));
        let expect = f.opt("expect").and_then(|n| r.list(n, |r, n| self.expectation(r, n))).unwrap_or_default();
        f.finish(r);
        if let Some(backup) = &backup {
            unused(r, known, backup);
        }
        if let Some(steps) = &steps {
            self.applicable(r, node, &expect, backup.as_ref(), steps);
        }
        Some(Scenario {
            name: name?.value,
            about: about.map(|a| a.value).unwrap_or_default(),
            rows,
            systems: known.good.clone(),
            workload: workload?,
            backup: backup?,
            objectives: objectives?,
            steady: steady?,
            steps: steps?,
            expect: expect.into_iter().map(|e| e.value).collect(),
            span: node.span,
        })
    }

    fn kind(&self, r: &mut Reader<'_>, class: Class, code: Code, name: &Spanned<String>) -> Option<&KindSpec> {
        let found = self.catalog.kind(class, &name.value);
        if found.is_none() {
            let names = self.catalog.names(class);
            let mut d = Diagnostic::new(code, format!("there is no {} {}", class.singular(), quoted(&name.value)), name.span);
            d = match did_you_mean(&name.value, names.iter().copied()) {
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None => d.help(format!("{}; `passmuster list {}` says what they are", there_are(&names), class.plural())),
            };
            r.push(d);
        }
        found
    }

    fn systems(&self, r: &mut Reader<'_>, node: &Node) -> Option<Declared> {
        let f = r.fields(node, "`systems`")?;
        let mut out = Declared::default();
        for (name, node) in f.all() {
            if let Some(system) = self.system(r, name, node) {
                out.good.insert(name.value.clone(), system);
            } else {
                out.bad.insert(name.value.clone());
            }
        }
        Some(out)
    }

    fn system(&self, r: &mut Reader<'_>, name: &Spanned<String>, node: &Node) -> Option<SystemDecl> {
        let f = r.fields(node, &format!("the system {}", quoted(&name.value)))?;
        let [(kind, body)] = f.all() else {
            r.push(
                Diagnostic::new(Code::WrongType, format!("{} must be of exactly one kind", quoted(&name.value)), node.span)
                    .help(format!("write `{}: {{postgres: {{}}}}`", name.value)),
            );
            return None;
        };
        let spec = self.kind(r, Class::System, Code::UnknownSystemKind, kind)?;
        let mut inner = r.fields(body, &format!("a system of kind `{}`", spec.name))?;
        let params = read_params(r, &mut inner, spec.params);
        inner.finish(r);
        Some(SystemDecl { kind: spec.name.to_string(), params, span: node.span })
    }

    fn workload(&self, r: &mut Reader<'_>, node: &Node) -> Option<WorkloadDecl> {
        let mut f = r.fields(node, "a workload")?;
        let kind = f.req(r, "kind", "linked").and_then(|n| r.text(n));
        let spec = kind.and_then(|k| self.kind(r, Class::Workload, Code::UnknownWorkload, &k).copied())?;
        let params = read_params(r, &mut f, spec.params);
        f.finish(r);
        Some(WorkloadDecl { kind: spec.name.into(), params, span: node.span })
    }

    fn backup(&self, r: &mut Reader<'_>, node: &Node, systems: &Declared) -> Option<BackupDecl> {
        let mut f = r.fields(node, "a backup")?;
        let method = f.req(r, "with", "basebackup-wal").and_then(|n| r.text(n));
        let spec = method.and_then(|m| self.kind(r, Class::Method, Code::UnknownMethod, &m).copied());
        let of = f.req(r, "of", "db").and_then(|n| system(r, n, systems, spec.map_or(&[][..], |s| s.on)));
        let to = f.req(r, "to", "store").and_then(|n| system(r, n, systems, &["s3"]));
        let spec = spec?;
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

    fn expectation(&self, r: &mut Reader<'_>, node: &Node) -> Option<Spanned<String>> {
        let text = r.text(node)?;
        let ids: Vec<&str> = self.catalog.expectations.iter().map(|e| e.id).collect();
        if ids.contains(&text.value.as_str()) {
            return Some(text);
        }
        let mut d = Diagnostic::new(Code::UnknownExpectation, format!("there is no expectation {}", quoted(&text.value)), text.span);
        d = match did_you_mean(&text.value, ids.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d.help("`passmuster list expectations` names those that there are"),
        };
        r.push(d);
        None
    }

    /// Says so where nothing in the scenario can show what is expected or promised: it would never be judged.
    fn applicable(&self, r: &mut Reader<'_>, scenario: &Node, expect: &[Spanned<String>], backup: Option<&BackupDecl>, steps: &[Step]) {
        for wanted in expect {
            let Some(spec) = self.catalog.expectations.iter().find(|e| e.id == wanted.value) else { continue };
            self.needed(r, spec.needs, &format!("the expectation `{}`", spec.id), wanted.span, backup, steps);
        }
        let objective = |key| Some(scenario.get("objectives")?.get(key)?.span);
        if let Some((span, spec)) = objective("rewind").zip(self.catalog.expectations.iter().find(|e| e.id == "rewind")) {
            self.needed(r, spec.needs, "the objective `rewind`", span, backup, steps);
        }
        let human = steps.iter().find(|s| s.human);
        match (objective("human_delay"), human) {
            (Some(span), None) => r.push(
                Diagnostic::new(Code::NotApplicable, "`human_delay` is never added: no step is a human one", span)
                    .help("write `human: true` in each step that a person would do, or remove `human_delay`"),
            ),
            // A person who takes no time would make the recovery faster than it is.
            (None, Some(step)) => r.push(
                Diagnostic::new(Code::MissingKey, "a human step needs `human_delay` among the objectives", step.span)
                    .help("say how long a person takes: `objectives: {…, human_delay: 10m}`"),
            ),
            _ => {}
        }
    }

    fn needed(&self, r: &mut Reader<'_>, needs: Needs, what: &str, span: Span, backup: Option<&BackupDecl>, steps: &[Step]) {
        let here: Vec<&str> = steps.iter().filter_map(Step::recovery).collect();
        let d = |message: String, help: String| Diagnostic::new(Code::NotApplicable, message, span).help(help);
        match needs {
            Needs::Recovery(kinds) if !here.iter().any(|k| kinds.contains(k)) => {
                let kinds = kinds.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(" or ");
                let d = d(format!("{what} needs a recovery by {kinds}"), format!("recover by {kinds}, or remove it"));
                r.push(d.label(format!("this scenario recovers by {}", listed(&here))));
            }
            Needs::Encryption if backup.is_some_and(|b| b.params.cipher("encrypt").is_none()) => {
                r.push(d(format!("{what} needs an encrypted backup"), "set `backup.encrypt`, or remove it".into()));
            }
            _ => {}
        }
    }

    fn steps(&self, r: &mut Reader<'_>, node: &Node, systems: &Declared) -> Option<Vec<Step>> {
        let Kind::Seq(items) = &node.kind else {
            r.wrong(node, "a list of steps", "[{fault: drop-table, on: db}]");
            return None;
        };
        let mut earlier = Earlier::default();
        for item in items {
            match self.step(r, item, systems, &earlier) {
                Some(step) => earlier.steps.push(step),
                None => earlier.incomplete = true,
            }
            earlier.faulty |= item.get("fault").is_some();
            if item.get("recover").is_some() && item.get("fault").is_none() && item.get("detect").is_none() {
                earlier.recovery.get_or_insert(item.span);
            }
        }
        let Earlier { steps, incomplete, faulty, recovery } = earlier;
        let recovers = recovery.is_some();
        if !(incomplete || faulty && recovers) {
            r.push(
                Diagnostic::new(Code::BadOrder, "a drill has at least one fault and one recovery", node.span)
                    .help("add `- {fault: …}` and `- {recover: …}`"),
            );
        }
        (!incomplete).then_some(steps)
    }

    fn step(&self, r: &mut Reader<'_>, node: &Node, systems: &Declared, earlier: &Earlier) -> Option<Step> {
        if let Some(recovery) = earlier.recovery {
            r.push(
                Diagnostic::new(Code::BadOrder, "a drill ends with its recovery, and this step comes after it", node.span)
                    .also(recovery, "the recovery")
                    .help("put it before the recovery, or into a scenario of its own: nothing that it does would be judged"),
            );
            return None;
        }
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
        let human = f.opt("human").map_or(Some(false), |n| r.boolean(n).map(|b| b.value));
        let (class, code) = match key.value.as_str() {
            "fault" => (Class::Fault, Code::UnknownFault),
            "detect" => (Class::Probe, Code::UnknownProbe),
            _ => (Class::Recovery, Code::UnknownRecovery),
        };
        let spec = *self.kind(r, class, code, &name)?;
        f.rename(format!("the {} `{}`", class.singular(), spec.name));
        let action = match class {
            Class::Fault => self.fault(r, &mut f, spec, systems),
            Class::Probe => self.detect(r, &mut f, spec, earlier, key.span),
            _ => self.recover(r, &mut f, spec, systems, earlier, key.span),
        };
        f.finish(r);
        Some(Step { action: action?, human: human?, span: node.span })
    }

    fn on(&self, r: &mut Reader<'_>, f: &mut Fields<'_>, spec: KindSpec, systems: &Declared) -> Option<String> {
        f.req(r, "on", "db").and_then(|n| system(r, n, systems, spec.on))
    }

    fn fault(&self, r: &mut Reader<'_>, f: &mut Fields<'_>, spec: KindSpec, systems: &Declared) -> Option<Action> {
        let on = self.on(r, f, spec, systems);
        let params = read_params(r, f, spec.params);
        Some(Action::Fault { kind: spec.name.into(), on: on?, params })
    }

    fn detect(&self, r: &mut Reader<'_>, f: &mut Fields<'_>, spec: KindSpec, earlier: &Earlier, key: Span) -> Option<Action> {
        let within = f.req(r, "within", "30s").and_then(|n| r.duration(n));
        let every = f.opt("every").map_or(Some(Duration::from_millis(50)), |n| r.duration(n).map(|d| d.value));
        let needed_node = f.opt("needed");
        let needed = needed_node.map_or(Some(2), |n| r.integer(n, 1, 100).map(|i| i.value as usize));
        let of = f.opt("of").map_or(Some(3), |n| r.integer(n, 1, 100).map(|i| i.value as usize));
        let mut params = read_params(r, f, spec.params);
        if !earlier.faulty {
            r.push(Diagnostic::new(Code::BadOrder, "nothing has gone wrong before this detection", key).help("put a `fault` step before it"));
            return None;
        }
        let fault = earlier.steps.iter().rev().find_map(|s| match &s.action {
            Action::Fault { params, .. } => Some(params),
            _ => None,
        })?;
        // What the probe looks at is what the fault hits, unless it is said.
        if let (None, Some(table)) = (params.get("table"), fault.get("table")) {
            params.set("table", table.clone(), key);
        }
        let (needed, of) = (needed?, of?);
        if needed > of {
            let at = needed_node.map_or(key, |n| n.span);
            r.push(Diagnostic::new(Code::OutOfRange, format!("{needed} of {of} can never be reached"), at).help("`needed` is at most `of`"));
            return None;
        }
        Some(Action::Detect { probe: spec.name.into(), within: within?.value, every: every?, needed, of, params })
    }

    fn recover(&self, r: &mut Reader<'_>, f: &mut Fields<'_>, spec: KindSpec, systems: &Declared, earlier: &Earlier, key: Span) -> Option<Action> {
        let on = self.on(r, f, spec, systems);
        let within = f.opt("within").map_or(Some(Duration::from_secs(600)), |n| r.duration(n).map(|d| d.value));
        let params = read_params(r, f, spec.params);
        let to = if spec.name == "pitr" { Some(f.req(r, "to", "{before: drop-table, known_from: wal}")?) } else { None };
        if !earlier.faulty {
            r.push(Diagnostic::new(Code::BadOrder, "there is nothing to recover from yet", key).help("put a `fault` step before it"));
            return None;
        }
        let target = match to {
            Some(node) => Some(self.target(r, node, earlier)?),
            None => None,
        };
        Some(Action::Recover { kind: spec.name.into(), on: on?, within: within?, target, params })
    }

    fn target(&self, r: &mut Reader<'_>, node: &Node, earlier: &Earlier) -> Option<TargetDecl> {
        let mut f = r.fields(node, "a target")?;
        let before = f.req(r, "before", "drop-table").and_then(|n| r.text(n));
        let known = f.opt("known_from").map_or(Some(Spanned::new("wal", node.span)), |n| r.choice(n, &KnownFrom::WORDS));
        let kind = f.opt("kind").map(|n| r.choice(n, &["name", "lsn", "time", "xid"]));
        let margin_node = f.opt("margin");
        let margin = margin_node.map(|n| r.duration(n));
        let timeline_node = f.opt("timeline");
        let timeline = timeline_node.map_or(Some("latest"), |n| r.choice(n, &["latest", "located"]).map(|c| c.value));
        f.finish(r);
        let (before, known) = (before?, known?);
        let known_from = KnownFrom::from_word(known.value)?;
        let faults = earlier.steps.iter().enumerate().filter_map(|(i, s)| match &s.action {
            Action::Fault { kind, .. } => Some((i, kind.as_str())),
            _ => None,
        });
        let faults: Vec<(usize, &str)> = faults.collect();
        let Some(before_step) = faults.iter().find(|(_, kind)| *kind == before.value).map(|(i, _)| *i) else {
            // With a step that could not be read, it may well be that one.
            if !earlier.incomplete {
                let names: Vec<&str> = faults.iter().map(|(_, kind)| *kind).collect();
                r.push(
                    Diagnostic::new(Code::BadOrder, format!("no fault {} happens before this recovery", quoted(&before.value)), before.span)
                        .help(format!("name the fault of an earlier step: {}", listed(&names))),
                );
            }
            return None;
        };
        if known_from == KnownFrom::Alert && !(earlier.incomplete || earlier.detects_after(before_step)) {
            r.push(
                Diagnostic::new(Code::BadOrder, "no detection comes between the damage and this recovery, so there is no alert", known.span)
                    .help("put a `detect` step between them, or find the target in the log: `known_from: wal`"),
            );
            return None;
        }
        if known_from == KnownFrom::Alert && margin.as_ref().is_none_or(|m| m.as_ref().is_some_and(|m| m.value.is_zero())) {
            r.push(
                Diagnostic::new(Code::NoMargin, "the alert comes after the damage", margin_node.map_or(known.span, |n| n.span))
                    .help("add `margin: 5s`: how long before the alert to stop; what lies between counts as loss"),
            );
            return None;
        }
        let only = |r: &mut Reader<'_>, node: Option<&Node>, key: &str, of: KnownFrom| {
            if let Some(node) = node.filter(|_| known_from != of) {
                let message = format!("`{key}` has no meaning with `known_from: {}`", known_from.word());
                r.push(Diagnostic::new(Code::NotApplicable, message, node.span).help(format!("remove it, or write `known_from: {}`", of.word())));
            }
        };
        only(r, margin_node, "margin", KnownFrom::Alert);
        only(r, timeline_node.filter(|n| n.text() == Some("located")), "timeline: located", KnownFrom::Wal);
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

/// The systems of a scenario as far as they could be read. What is said about one that could not is said once.
#[derive(Default)]
struct Declared {
    good: BTreeMap<String, SystemDecl>,
    bad: BTreeSet<String>,
    unreadable: bool,
}

/// The steps before one, and what is known of those that could not be read.
#[derive(Default)]
struct Earlier {
    steps: Vec<Step>,
    incomplete: bool,
    faulty: bool,
    recovery: Option<Span>,
}

impl Earlier {
    fn detects_after(&self, step: usize) -> bool {
        self.steps.iter().skip(step).any(|s| matches!(s.action, Action::Detect { .. }))
    }
}

impl Step {
    /// The kind of recovery, if it is one.
    pub fn recovery(&self) -> Option<&str> {
        match &self.action {
            Action::Recover { kind, .. } => Some(kind),
            _ => None,
        }
    }
}

/// Refuses systems that the drill would never start. What the backup names decides, so an unreadable backup says nothing.
fn unused(r: &mut Reader<'_>, systems: &Declared, backup: &BackupDecl) {
    for (name, system) in &systems.good {
        if *name == backup.of || *name == backup.to {
            continue;
        }
        let one = if system.kind == "postgres" { "one database, the one that is backed up" } else { "one store, the one that it is backed up to" };
        r.push(
            Diagnostic::new(Code::UnusedSystem, format!("{} would not be started: a drill runs {one}", quoted(name)), system.span)
                .also(backup.span, format!("`{}` is backed up to `{}`", backup.of, backup.to))
                .help("remove it, or rehearse its disaster in a scenario of its own"),
        );
    }
}

fn there_are(names: &[&str]) -> String {
    match names {
        [] => "there are none".into(),
        [one] => format!("there is only `{one}`"),
        several => format!("there are {}", listed(several)),
    }
}

fn system(r: &mut Reader<'_>, node: &Node, systems: &Declared, kinds: &[&str]) -> Option<String> {
    let name = r.text(node)?;
    let Some(found) = systems.good.get(&name.value) else {
        if systems.unreadable || systems.bad.contains(&name.value) {
            return None;
        }
        let names: Vec<&str> = systems.good.keys().chain(&systems.bad).map(String::as_str).collect();
        let mut d = Diagnostic::new(Code::UnknownSystem, format!("this scenario has no system {}", quoted(&name.value)), name.span);
        d = match did_you_mean(&name.value, names.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None if names.is_empty() => d.help("declare it under `systems`"),
            None => d.help(format!("{}; or declare it under `systems`", there_are(&names))),
        };
        r.push(d);
        return None;
    };
    if !kinds.is_empty() && !kinds.contains(&found.kind.as_str()) {
        r.push(
            Diagnostic::new(Code::WrongSystemKind, format!("`{}` is a system of kind `{}`", name.value, found.kind), name.span)
                .also(found.span, "declared here")
                .help(format!("name a system of kind {}", kinds.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(" or "))),
        );
        return None;
    }
    Some(name.value)
}

/// Requirement rows: five sources, and the highest number of each.
pub const ROWS: [(&str, u32); 5] = [("S1", 7), ("S2", 10), ("S3", 13), ("S4", 9), ("S5", 13)];

fn row(r: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = r.text(node)?;
    let known = text.value.split_once('-').is_some_and(|(source, number)| {
        let number: u32 = number.parse().unwrap_or(0);
        ROWS.iter().any(|(s, max)| *s == source && (1..=*max).contains(&number))
    });
    if !known {
        r.push(
            Diagnostic::new(Code::UnknownRow, format!("{} is not a row of the requirements", quoted(&text.value)), text.span)
                .help(format!("rows are {}", ROWS.map(|(source, last)| format!("{source}-1 to {source}-{last}")).join(", "))),
        );
        return None;
    }
    Some(text.value)
}
