//! A recorded run as plain data: everything that a verdict is computed from.

use super::book::Book;
use super::seen::Seen;
use crate::model::event::{Event, FailureClass, Moment, Role, Stamped};
use crate::model::plan::Plan;
use crate::model::time::Stamp;
use crate::model::wal::{Target, WalLine};
use std::collections::BTreeMap;

/// A recorded run.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The plan; `None` if the run broke before it had one.
    pub plan: Option<Plan>,
    /// Events in order.
    pub events: Vec<Stamped>,
    /// The ledger, if one was begun.
    pub book: Option<Book>,
    /// What was read back from the recovered server.
    pub recovered: Option<Seen>,
    /// What was read back from the control restore.
    pub control: Option<Seen>,
    /// The commit order of the archive, if it could be read.
    pub wal: Option<Vec<WalLine>>,
    /// Lines of the record that could not be read.
    pub unreadable: Vec<String>,
}

impl Record {
    /// The first stamp of a moment.
    pub fn moment(&self, wanted: Moment) -> Option<Stamp> {
        self.moments(wanted).next().map(|(t, ..)| t)
    }

    /// Every stamp of a moment, with its step and proof.
    pub fn moments(&self, wanted: Moment) -> impl Iterator<Item = (Stamp, Option<usize>, &str)> {
        self.events.iter().filter_map(move |e| match &e.event {
            Event::Moment { moment, step, proof } if *moment == wanted => Some((e.t, *step, proof.as_str())),
            _ => None,
        })
    }

    /// The target as located, before the recovery began.
    pub fn target(&self) -> Option<&Target> {
        self.events.iter().find_map(|e| match &e.event {
            Event::TargetLocated { target } => Some(target),
            _ => None,
        })
    }

    /// Instances by role, in the order of their starts: `system identifier/start number`.
    pub fn instances(&self, wanted: Role) -> Vec<&str> {
        let all = self.events.iter().filter_map(|e| match &e.event {
            Event::InstanceStarted { role, instance, .. } if *role == wanted => Some(instance.as_str()),
            _ => None,
        });
        all.collect()
    }

    /// Settings of the first instance of a role.
    pub fn settings(&self, wanted: Role) -> Option<&BTreeMap<String, String>> {
        self.events.iter().find_map(|e| match &e.event {
            Event::InstanceStarted { role, settings, .. } if *role == wanted => Some(settings),
            _ => None,
        })
    }

    /// Failures: class, restore, details.
    pub fn failures(&self) -> impl Iterator<Item = (FailureClass, Option<Role>, &str)> {
        self.events.iter().filter_map(|e| match &e.event {
            Event::Failed { class, role, detail, .. } => Some((*class, *role, detail.as_str())),
            _ => None,
        })
    }

    /// What broke the harness.
    pub fn broken(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.events.iter().filter_map(|e| match &e.event {
            Event::Broke { message, hint } => Some((message.as_str(), hint.as_deref())),
            _ => None,
        })
    }

    /// `completed`, `aborted`, `interrupted`, or `torn` for a run without an end.
    pub fn status(&self) -> &str {
        self.events
            .iter()
            .rev()
            .find_map(|e| match &e.event {
                Event::RunEnded { status, .. } => Some(status.as_str()),
                _ => None,
            })
            .unwrap_or("torn")
    }
}
