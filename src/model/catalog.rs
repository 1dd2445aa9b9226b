//! What can be named in files: the kinds that the other rooms register, described as data.
//!
//! The registries live where the behaviour is (`harness`, `verdict`); reading files needs only these
//! descriptions, so this room stays free of I/O.

use super::params::ParamSpec;

/// What sort of thing a kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A kind of service.
    System,
    /// What goes wrong.
    Fault,
    /// How it is noticed, and how a steady state is known.
    Probe,
    /// What is done about it.
    Recovery,
    /// A way to back up and restore.
    Method,
    /// A load.
    Workload,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 6] = [Class::System, Class::Fault, Class::Probe, Class::Recovery, Class::Method, Class::Workload];

    /// The word in messages.
    pub fn singular(self) -> &'static str {
        match self {
            Class::System => "kind of system",
            Class::Fault => "fault",
            Class::Probe => "probe",
            Class::Recovery => "recovery",
            Class::Method => "backup method",
            Class::Workload => "workload",
        }
    }

    /// The word in `list` and in docs, plural.
    pub fn plural(self) -> &'static str {
        match self {
            Class::System => "systems",
            Class::Fault => "faults",
            Class::Probe => "probes",
            Class::Recovery => "recoveries",
            Class::Method => "methods",
            Class::Workload => "workloads",
        }
    }
}

/// One registered kind, as far as files and people are concerned.
#[derive(Debug, Clone, Copy)]
pub struct KindSpec {
    /// What sort it is.
    pub class: Class,
    /// The name in files.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// A paragraph: what it does, what survives it, what it does not prove.
    pub doc: &'static str,
    /// Kinds of system that it works on; empty for any.
    pub on: &'static [&'static str],
    /// Its parameters.
    pub params: &'static [ParamSpec],
    /// Sabotages that turn a green run with it red. Required for faults and methods.
    pub sabotages: &'static [&'static str],
}

/// What a sabotage must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// The run fails, by one of the names.
    Fail,
    /// The run cannot be judged, by one of the names.
    Inconclusive,
    /// The run passes and shows the healing with its proof, under one of the names.
    Healed,
}

impl Consequence {
    /// The word in `list`.
    pub fn word(self) -> &'static str {
        match self {
            Consequence::Fail => "fail",
            Consequence::Inconclusive => "inconclusive",
            Consequence::Healed => "healed",
        }
    }

    /// The same in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Consequence::Fail => "The run must fail",
            Consequence::Inconclusive => "The run must be inconclusive",
            Consequence::Healed => "The run must pass and show the healing with its proof",
        }
    }
}

/// A deliberate defect, as far as files and people are concerned.
#[derive(Debug, Clone, Copy)]
pub struct SabotageSpec {
    /// The name on the command line.
    pub name: &'static str,
    /// What it breaks, one sentence.
    pub summary: &'static str,
    /// What it must lead to.
    pub consequence: Consequence,
    /// The expectations or failure classes of which at least one must have caught it.
    pub caught_by: &'static [&'static str],
    /// Shipped scenarios that it applies to.
    pub scenarios: &'static [&'static str],
    /// Whether it behaves differently per lab, so that it is run on both.
    pub differs_by_lab: bool,
}

/// What a scenario must have for an expectation to be judged at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing special.
    Nothing,
    /// One of these recoveries.
    Recovery(&'static [&'static str]),
    /// A backup that is stored encrypted.
    Encryption,
}

/// Something that the verdict judges.
#[derive(Debug, Clone, Copy)]
pub struct ExpectationSpec {
    /// Stable id.
    pub id: &'static str,
    /// What must hold, one sentence.
    pub summary: &'static str,
    /// Judged in every run to which it applies; otherwise only if a scenario lists it.
    pub always: bool,
    /// What it applies to.
    pub needs: Needs,
}

/// All that can be named.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Kinds of every class.
    pub kinds: Vec<KindSpec>,
    /// Sabotages.
    pub sabotages: Vec<SabotageSpec>,
    /// Expectations.
    pub expectations: Vec<ExpectationSpec>,
}

impl Catalog {
    /// A kind by class and name.
    pub fn kind(&self, class: Class, name: &str) -> Option<&KindSpec> {
        self.kinds.iter().find(|k| k.class == class && k.name == name)
    }

    /// The names of a class, in the order of registration.
    pub fn names(&self, class: Class) -> Vec<&'static str> {
        self.kinds.iter().filter(|k| k.class == class).map(|k| k.name).collect()
    }

    /// A sabotage by name.
    pub fn sabotage(&self, name: &str) -> Option<&SabotageSpec> {
        self.sabotages.iter().find(|s| s.name == name)
    }
}
