//! The resolved plan of a run as it is recorded (`plan.json`): what the verdict needs to judge it.

use super::scenario::{Action, KnownFrom, Scenario};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of `plan.json`.
pub const PLAN_VERSION: u32 = 1;

/// The frozen view of what a run set out to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this view.
    pub plan: u32,
    /// Run id.
    pub run: String,
    /// Scenario name.
    pub scenario: String,
    /// SHA-256 of the scenario's text.
    pub scenario_sha256: String,
    /// Requirement rows that it covers.
    pub rows: Vec<String>,
    /// `local` or `docker`.
    pub lab: String,
    /// Seed of everything random.
    pub seed: u64,
    /// The runs that it is one of, if they were more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// No control restore.
    pub quick: bool,
    /// The sabotage that is to act, if any.
    pub sabotage: Option<String>,
    /// Overrides from the command line.
    pub set: Vec<String>,
    /// Objectives in nanoseconds.
    pub objectives: PlanObjectives,
    /// Time that people take, added once for each simulated human step, in nanoseconds.
    pub human_delay: u64,
    /// Steps in order.
    pub steps: Vec<PlanStep>,
    /// Expectations beyond those that are always judged.
    pub expect: Vec<String>,
    /// Workload kind and its parameters.
    pub workload: BTreeMap<String, serde_json::Value>,
    /// Systems with their kind and parameters.
    pub systems: BTreeMap<String, serde_json::Value>,
    /// Backup method and its parameters.
    pub backup: BTreeMap<String, serde_json::Value>,
    /// Whether stored objects are to be encrypted.
    pub encrypted: bool,
    /// Bytes of base data asked for.
    pub data_bytes: u64,
}

/// Objectives in nanoseconds; absent ones are not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanObjectives {
    /// Verified recovery time.
    pub rto: Option<u64>,
    /// Loss.
    pub rpo: Option<u64>,
    /// Good writes made after the damage and given up.
    pub rewind: Option<u64>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// `fault`, `detect` or `recover`.
    pub action: String,
    /// Registered name.
    pub name: String,
    /// The system it acts on.
    pub on: Option<String>,
    /// A simulated human step.
    pub human: bool,
    /// Time limit in nanoseconds.
    pub within: Option<u64>,
    /// How the target is known.
    pub known_from: Option<String>,
    /// Other parameters.
    pub params: BTreeMap<String, serde_json::Value>,
}

/// The runs of one invocation. Their number and order are fixed before the first of them, so that one that is left out
/// shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Seed of the first run of each scenario, and of the order.
    pub seed: u64,
    /// How many runs were planned.
    pub runs: u32,
    /// Which of them this is, from 1, in the order in which they were made.
    pub position: u32,
}

/// What the command line adds to a scenario.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Run id.
    pub run: String,
    /// SHA-256 of the scenario's text.
    pub scenario_sha256: String,
    /// `local` or `docker`.
    pub lab: String,
    /// Seed.
    pub seed: u64,
    /// The runs that it is one of, if they are more than one.
    pub series: Option<Series>,
    /// No control restore.
    pub quick: bool,
    /// Sabotage.
    pub sabotage: Option<String>,
    /// `--set` as typed.
    pub set: Vec<String>,
}

impl Plan {
    /// Resolves a scenario with its invocation.
    pub fn new(scenario: &Scenario, how: &Invocation) -> Plan {
        let params = |p: &super::params::Params| -> BTreeMap<String, serde_json::Value> {
            p.iter().map(|(k, v)| (k.to_string(), serde_json::to_value(v).unwrap_or_default())).collect()
        };
        let ns = |d: std::time::Duration| d.as_nanos() as u64;
        let steps = scenario
            .steps
            .iter()
            .map(|step| match &step.action {
                Action::Fault { kind, on, params: p } => PlanStep {
                    action: "fault".into(),
                    name: kind.clone(),
                    on: Some(on.clone()),
                    human: step.human,
                    within: None,
                    known_from: None,
                    params: params(p),
                },
                Action::Detect { probe, within, params: p, .. } => PlanStep {
                    action: "detect".into(),
                    name: probe.clone(),
                    on: None,
                    human: step.human,
                    within: Some(ns(*within)),
                    known_from: None,
                    params: params(p),
                },
                Action::Recover { kind, on, within, target, params: p } => PlanStep {
                    action: "recover".into(),
                    name: kind.clone(),
                    on: Some(on.clone()),
                    human: step.human,
                    within: Some(ns(*within)),
                    known_from: target.as_ref().map(|t| t.known_from.word().to_string()),
                    params: {
                        let mut all = params(p);
                        if let Some(t) = target {
                            all.insert("before".into(), t.before.clone().into());
                            all.insert("kind".into(), t.kind.word().into());
                        }
                        all
                    },
                },
            })
            .collect();
        let mut workload = params(&scenario.workload.params);
        workload.insert("kind".into(), scenario.workload.kind.clone().into());
        let mut backup = params(&scenario.backup.params);
        backup.insert("with".into(), scenario.backup.method.clone().into());
        let systems = scenario
            .systems
            .iter()
            .map(|(name, s)| {
                let mut all = params(&s.params);
                all.insert("kind".into(), s.kind.clone().into());
                (name.clone(), serde_json::to_value(all).unwrap_or_default())
            })
            .collect();
        Plan {
            plan: PLAN_VERSION,
            run: how.run.clone(),
            scenario: scenario.name.clone(),
            scenario_sha256: how.scenario_sha256.clone(),
            rows: scenario.rows.clone(),
            lab: how.lab.clone(),
            seed: how.seed,
            series: how.series,
            quick: how.quick,
            sabotage: how.sabotage.clone(),
            set: how.set.clone(),
            objectives: PlanObjectives {
                rto: scenario.objectives.rto.map(ns),
                rpo: scenario.objectives.rpo.map(ns),
                rewind: scenario.objectives.rewind.map(ns),
            },
            human_delay: ns(scenario.objectives.human_delay.unwrap_or_default()),
            steps,
            expect: scenario.expect.clone(),
            workload,
            systems,
            backup,
            encrypted: scenario.backup.params.cipher("encrypt").is_some(),
            data_bytes: scenario.systems.get(&scenario.backup.of).map_or(0, |s| s.params.size("data")),
        }
    }

    /// The step of the first recovery to a target, with how it is known.
    pub fn target_step(&self) -> Option<(usize, KnownFrom)> {
        self.steps.iter().enumerate().find_map(|(i, s)| Some((i, KnownFrom::from_word(s.known_from.as_deref()?)?)))
    }

    /// Whether the plan recovers to a point in time (and so has a control restore).
    pub fn point_in_time(&self) -> bool {
        self.target_step().is_some()
    }

    /// Steps that a person would do.
    pub fn human_steps(&self) -> impl Iterator<Item = (usize, &PlanStep)> {
        self.steps.iter().enumerate().filter(|(_, s)| s.human)
    }
}
