//! What is judged: one function and one line of the table each.

use super::archive;
use super::exact::{self, CommitOrder, Exactness};
use super::judge::{Case, Judgement};
use super::loss;
use super::seen::{OddKind, Seen};
use super::words::{count, transactions};
use crate::model::catalog::{ExpectationSpec, Needs};
use crate::model::event::{Event, FailureClass, Moment, Role};
use crate::model::units::human_duration;
use crate::model::wal::TargetKind;
use std::collections::BTreeSet;
use std::time::Duration;

/// A judged expectation: `None` where it does not apply.
pub type JudgeFn = fn(&Case<'_>) -> Option<Judgement>;

const fn spec(id: &'static str, always: bool, summary: &'static str) -> ExpectationSpec {
    ExpectationSpec { id, summary, always, needs: Needs::Nothing }
}

/// One that only some recoveries can show.
const fn of(recoveries: &'static [&'static str], spec: ExpectationSpec) -> ExpectationSpec {
    ExpectationSpec { needs: Needs::Recovery(recoveries), ..spec }
}

/// Recoveries with a cut and a control restore.
const TO_A_TARGET: &[&str] = &["pitr"];
/// Recoveries that read the archive.
const FROM_ARCHIVE: &[&str] = &["pitr", "archive-end"];

/// Every expectation, in the order in which they are shown.
pub const ALL: &[(ExpectationSpec, JudgeFn)] = &[
    (spec("recovery", true, "The recovery came about, and everything was read back"), recovery),
    (spec("rto", true, "Verified recovery time, with simulated human steps, is within the objective"), rto),
    (spec("archive-loss", true, "Acknowledged before the loss and absent from a restore to the end of what survived: within `rpo`"), archive_loss),
    (
        of(
            TO_A_TARGET,
            spec(
                "slack",
                true,
                "Good writes given up because the target was not exact: within `rpo`, and none where the target was found in the log",
            ),
        ),
        slack,
    ),
    (of(TO_A_TARGET, spec("rewind", true, "Good writes made after the damage and given up: within `rewind`")), rewind),
    (
        of(
            TO_A_TARGET,
            spec("exact", false, "Present are the operations whose commit lies before the cut, and nothing else; the destroyed table is back"),
        ),
        exact,
    ),
    (of(TO_A_TARGET, spec("control-restore-differs", false, "The same archive without a target shows what the target cut off")), control_differs),
    (of(TO_A_TARGET, spec("control-complete", true, "The control restore shows every operation whose commit the archive holds")), control_complete),
    (of(FROM_ARCHIVE, spec("no-lost-before-cut", true, "Nothing that the archive held before the cut is absent")), no_lost_before_cut),
    (spec("no-holes", true, "What is lost is the end of the history, never something in its middle"), no_holes),
    (spec("no-phantoms", true, "Nothing is read back that was never attempted"), |c| odd(c, "no-phantoms", OddKind::Phantom, "none")),
    (spec("no-resurrected", true, "Nothing is read back that definitely failed"), |c| odd(c, "no-resurrected", OddKind::Resurrected, "none")),
    (spec("no-duplicates", true, "Nothing is read back twice"), |c| odd(c, "no-duplicates", OddKind::Duplicate, "none")),
    (spec("no-hash-mismatches", true, "Every row, chain and object has the content that was written"), |c| {
        odd(c, "no-hash-mismatches", OddKind::HashMismatch, "none")
    }),
    (spec("no-partial-transactions", true, "A transaction is there whole or not at all"), |c| {
        odd(c, "no-partial-transactions", OddKind::Partial, "none")
    }),
    (spec("no-dangling-rows", true, "Every object that a row names is there with its content"), no_dangling),
    (
        spec("no-orphan-objects", true, "Every object without a row is explained by an operation that was lost, rewound, failed or in doubt"),
        no_orphans,
    ),
    (spec("tables-present", true, "Every table is there, those that the damage destroyed included"), |c| {
        odd(c, "tables-present", OddKind::MissingTable, "all of them")
    }),
    (spec("base-data", true, "The base data is what was loaded, row by row"), |c| odd(c, "base-data", OddKind::BaseData, "as it was loaded")),
    (spec("readable", true, "Every relation and object could be read"), |c| odd(c, "readable", OddKind::Unreadable, "all of them")),
    (spec("kept-after-recovery", true, "What was acknowledged after the recovery is there"), kept_after_recovery),
    (of(FROM_ARCHIVE, spec("archive-complete", true, "Everything that PostgreSQL was told is archived is in the archive")), archive_complete),
    (spec("archive-consistent", true, "No name is archived twice with different content"), archive_consistent),
    (of(FROM_ARCHIVE, spec("one-timeline", true, "The archive names no timeline that no instance of the run made")), one_timeline),
    (spec("one-cluster", true, "Clusters of the run have identifiers of their own, and the backup is of the right one"), one_cluster),
    (
        ExpectationSpec {
            needs: Needs::Encryption,
            ..spec("encrypted-at-rest", true, "Every stored object is encrypted, by its header, and opens with the key")
        },
        encrypted,
    ),
    (spec("old-instance-gone", true, "No process of the lost instance is left, and nothing that it wrote arrives after the loss"), old_instance_gone),
    (spec("endpoint-moved", true, "Where the clients connect, the recovered server answers, out of recovery"), endpoint_moved),
    (spec("steady-again", true, "After the recovery the steady state holds again"), steady_again),
    (spec("structure", true, "Indexes and tables of the recovered server are sound (amcheck)"), structure),
    (spec("ledger-intact", true, "The ledger's own chains show that nothing in it was changed"), ledger_intact),
];

/// The descriptions, for files and for `list`.
pub fn specs() -> Vec<ExpectationSpec> {
    ALL.iter().map(|(s, _)| *s).collect()
}

fn human(d: Duration) -> String {
    human_duration(d)
}

fn ns(n: u64) -> String {
    human_duration(Duration::from_nanos(n))
}

fn recovery(c: &Case<'_>) -> Option<Judgement> {
    let failures: Vec<_> = c.record.failures().collect();
    let j = Judgement::new("recovery");
    if let Some((class, role, detail)) = failures.first() {
        let of = role.map_or(String::new(), |r| format!(" ({})", r.word()));
        return Some(j.fail(format!("{}{of}: {detail}", class.word())).advise(class.advice()));
    }
    match (c.times.verified, c.record.moment(Moment::Fault)) {
        (Some(_), _) => Some(j.pass("came about, and everything was read back")),
        // Broken or interrupted before: judged as that, not as a failed recovery.
        (None, _) => None,
    }
}

fn rto(c: &Case<'_>) -> Option<Judgement> {
    let plan = c.record.plan.as_ref()?;
    let promised = plan.objectives.rto?;
    let j = Judgement::new("rto").promised(ns(promised));
    let Some(measured) = c.times.verified_rto_ns else {
        // Right-censored: over its limit, or never; a failure that stays in the statistics.
        return c.record.failures().next().map(|_| j.fail("never reached: the recovery did not come about".to_string()));
    };
    let total = measured.saturating_add(c.times.human_ns);
    let shown = if c.times.human_ns > 0 {
        format!("{} ({} measured, {} for simulated human steps)", ns(total), ns(measured), ns(c.times.human_ns))
    } else {
        ns(total)
    };
    Some(if total <= promised { j.pass(shown) } else { j.fail(shown) })
}

fn archive_loss(c: &Case<'_>) -> Option<Judgement> {
    let lost = c.archive_loss.as_ref()?;
    let stop = c.times.stop?;
    let age = lost.age_at(stop);
    let j = Judgement::new("archive-loss");
    let shown = if lost.transactions == 0 {
        let resolution = c.resolution.map_or("unknown resolution".to_string(), |r| format!("to a resolution of {}", human(r)));
        format!("none, {resolution}")
    } else {
        format!("{} in {}, {}", human(age), transactions(lost.transactions), count(lost.bytes, "byte", "bytes"))
    };
    let examples = lost.examples.clone();
    // A server that only crashed may lose nothing, whatever is promised for worse.
    if c.only_crashed && lost.transactions > 0 {
        return Some(j.promised("none: the disk was not lost").fail(shown).examples(examples));
    }
    let promised = Duration::from_nanos(c.record.plan.as_ref()?.objectives.rpo?);
    let j = j.promised(human(promised));
    Some(if age <= promised { j.pass(shown) } else { j.fail(shown).examples(examples) })
}

fn slack(c: &Case<'_>) -> Option<Judgement> {
    let d = c.division.as_ref()?;
    let age = d.slack.age_at(c.times.fault?);
    let from_log = c.record.target().is_some_and(|t| t.known_from == "wal");
    let j = Judgement::new("slack");
    let shown = if d.slack.transactions == 0 { "none".to_string() } else { format!("{} in {}", human(age), transactions(d.slack.transactions)) };
    let examples = d.slack.examples.clone();
    if from_log {
        let j = j.promised("none: the target was found in the log");
        return Some(if d.slack.transactions == 0 { j.pass(shown) } else { j.fail(shown).examples(examples) });
    }
    let promised = Duration::from_nanos(c.record.plan.as_ref()?.objectives.rpo?);
    let j = j.promised(human(promised));
    Some(match age <= promised {
        false => j.fail(shown).examples(examples),
        // Some of it may lie before the cut, where nothing may be lost at all.
        true if !c.cut_known && d.slack.transactions > 0 => j.inconclusive(format!("{shown}; {CUT_UNKNOWN}")).examples(examples),
        true => j.pass(shown),
    })
}

fn rewind(c: &Case<'_>) -> Option<Judgement> {
    let d = c.division.as_ref()?;
    let promised = Duration::from_nanos(c.record.plan.as_ref()?.objectives.rewind?);
    let age = d.collateral.age_at(c.times.stop?);
    let shown = if d.collateral.transactions == 0 {
        "none".to_string()
    } else {
        format!("{} in {}, {}", human(age), transactions(d.collateral.transactions), count(d.collateral.bytes, "byte", "bytes"))
    };
    let j = Judgement::new("rewind").promised(human(promised));
    Some(if age <= promised { j.pass(shown) } else { j.fail(shown).examples(d.collateral.examples.clone()) })
}

fn exact(c: &Case<'_>) -> Option<Judgement> {
    let plan = c.record.plan.as_ref()?;
    if !plan.point_in_time() || !c.readable() {
        return None;
    }
    let j = Judgement::new("exact");
    let Some(target) = c.record.target() else { return Some(j.inconclusive("no target was recorded")) };
    let (book, seen, instance) = (c.record.book.as_ref()?, c.record.recovered.as_ref()?, c.origin?);
    if let Some(table) = c.destroyed.as_ref().filter(|t| seen.missing_tables.contains(*t)) {
        return Some(j.fail(format!("{table} is not back")));
    }
    let mut ways: Vec<(String, Exactness)> = Vec::new();
    if let Some(order) = &c.order {
        let cut = match order.cut(target) {
            Ok(cut) => cut,
            Err(why) => return Some(j.inconclusive(format!("the target denotes no place in the archive: {why}"))),
        };
        if target.kind == TargetKind::Time
            && let (Some(clear), Some(bracket)) = (order.clearance_us(target), target.clock_us)
            && clear <= bracket
            && target.known_from == "oracle"
        {
            return Some(j.inconclusive(format!("a commit lies {clear} µs from the target, the server's clock is known to ±{bracket} µs")));
        }
        ways.push(("by the commit order of the archive".into(), exact::by_commit_order(book, seen, order, cut, instance)));
    }
    if let Some((drained, resumed, ..)) = c.fence {
        ways.push(("by the fence".into(), exact::by_fence(book, seen, drained, resumed, instance)));
        if !seen.markers.contains("M1") || seen.markers.contains("M2") {
            return Some(j.fail(format!("of the fence's markers there are: {}", listed(&seen.markers))));
        }
    }
    let Some((_, first)) = ways.first() else {
        return Some(j.inconclusive("neither the commit order of the archive nor a fence says what should be there"));
    };
    let expected = first.expected;
    if let Some((way, bad)) = ways.iter().find(|(_, e)| !e.holds()) {
        let name = |ids: &[(u32, u64)]| ids.iter().take(5).map(|(c, n)| format!("{c}.{n}")).collect::<Vec<_>>();
        let mut examples: Vec<String> = name(&bad.missing).into_iter().map(|i| format!("{i} is missing")).collect();
        examples.extend(name(&bad.extra).into_iter().map(|i| format!("{i} should not be there")));
        return Some(j.fail(format!("{} missing and {} too many, {way}", bad.missing.len(), bad.extra.len())).examples(examples));
    }
    if expected == 0 {
        return Some(j.inconclusive("no transaction of the ledger lies before the cut: there is nothing to compare"));
    }
    let ways: Vec<&str> = ways.iter().map(|(w, _)| w.as_str()).collect();
    Some(j.pass(format!("exactly the {} before the cut, {}", transactions(expected), ways.join(" and "))))
}

fn listed(set: &BTreeSet<String>) -> String {
    if set.is_empty() { "none".into() } else { set.iter().cloned().collect::<Vec<_>>().join(", ") }
}

fn control_differs(c: &Case<'_>) -> Option<Judgement> {
    let plan = c.record.plan.as_ref()?;
    if !plan.point_in_time() || plan.quick || !c.readable() {
        return None;
    }
    let j = Judgement::new("control-restore-differs");
    let Some(control) = c.control() else { return Some(j.inconclusive("the control restore was not read back")) };
    let (book, recovered, instance) = (c.record.book.as_ref()?, c.record.recovered.as_ref()?, c.origin?);
    let cut_off =
        book.all().filter(|(id, client, n, _)| client.instance == instance && control.present(*id, *n) && !recovered.present(*id, *n)).count();
    let replayed_damage = c.destroyed.as_deref().is_some_and(|t| control.missing_tables.contains(t));
    let fence = c.fence.is_some().then(|| control.markers.contains("M2"));
    let shown = format!("{} that the target cut off{}", transactions(cut_off as u64), if replayed_damage { ", and the damage" } else { "" });
    Some(match (cut_off > 0 || fence == Some(true), replayed_damage, fence) {
        (_, _, Some(false)) => j.fail("the fence's second marker is not there: the archive itself ends before it".to_string()),
        (true, true, _) => j.pass(shown),
        (false, true, _) => j.inconclusive("it shows the damage, and nobody wrote anything after it that a target could cut off"),
        (false, ..) => j.fail("it shows nothing that the target cut off: the archive ends there, or the target was never applied".to_string()),
        (_, false, _) => j.fail("it does not show the damage: the archive ends before it".to_string()),
    })
}

fn control_complete(c: &Case<'_>) -> Option<Judgement> {
    let (control, order) = (c.control()?, c.order.as_ref()?);
    let lost = loss::held_and_lost(c.record.book.as_ref()?, control, order, c.origin?);
    let j = Judgement::new("control-complete");
    Some(if lost.transactions == 0 {
        j.pass("every commit that the archive holds was replayed")
    } else {
        let were = if lost.transactions == 1 { "was" } else { "were" };
        let commits = count(lost.transactions, "commit", "commits");
        j.fail(format!("{commits} that the archive holds {were} not replayed: recovery ended early")).examples(lost.examples)
    })
}

/// Why nothing can be said about a place in commit order.
const CUT_UNKNOWN: &str = "neither the commit order of the archive nor a fence says what lies before the cut";

fn no_lost_before_cut(c: &Case<'_>) -> Option<Judgement> {
    let j = Judgement::new("no-lost-before-cut");
    let lost = if c.record.plan.as_ref()?.point_in_time() {
        let division = c.division.as_ref()?;
        if !c.cut_known {
            return Some(j.inconclusive(CUT_UNKNOWN));
        }
        division.before_cut.clone()
    } else {
        // A recovery to the end of the archive: its cut is the archive's end.
        loss::held_and_lost(c.record.book.as_ref()?, c.seen()?, c.order.as_ref()?, c.origin?)
    };
    Some(if lost.transactions == 0 {
        j.pass("none")
    } else {
        j.fail(format!("{} that the archive held", transactions(lost.transactions))).examples(lost.examples)
    })
}

fn no_holes(c: &Case<'_>) -> Option<Judgement> {
    let (book, instance) = (c.record.book.as_ref()?, c.origin?);
    let j = Judgement::new("no-holes");
    // Where there is a target, the end of the archive is what the control restore shows.
    let seen = if c.division.is_some() { c.control()? } else { c.seen()? };
    let holes = loss::holes(book, seen, instance, |_, _, _| false);
    Some(if holes.is_empty() {
        j.pass("none")
    } else {
        let lost = count(holes.len() as u64, "lost operation", "lost operations");
        j.fail(format!("{lost} ended before surviving ones began")).examples(holes.into_iter().take(5).collect())
    })
}

/// A violation that shows in the read-backs themselves.
fn odd(c: &Case<'_>, id: &'static str, kind: OddKind, good: &str) -> Option<Judgement> {
    let read: Vec<(&str, &Seen)> = [("recovered", c.seen()), ("control", c.control())].into_iter().filter_map(|(n, s)| s.map(|s| (n, s))).collect();
    if read.is_empty() {
        return None;
    }
    let mut examples = Vec::new();
    let mut total = 0;
    for (name, seen) in read {
        let (count, some) = seen.of(kind);
        total += count;
        examples.extend(some.into_iter().map(|e| format!("{e} ({name})")));
    }
    let j = Judgement::new(id);
    Some(if total == 0 { j.pass(good) } else { j.fail(format!("{total} found")).examples(examples) })
}

/// Whether the workload of the run has objects at all: without any there is nothing to look for.
fn with_objects(c: &Case<'_>, seen: &Seen) -> bool {
    seen.naming > 0 || c.record.book.as_ref().is_some_and(|b| b.all().any(|(.., e)| e.linked))
}

fn no_dangling(c: &Case<'_>) -> Option<Judgement> {
    let seen = c.seen()?;
    let j = Judgement::new("no-dangling-rows");
    if !with_objects(c, seen) {
        return Some(j.pass("no row names an object"));
    }
    if let Some(why) = seen.objects_unknown() {
        return Some(j.inconclusive(why));
    }
    let rows = |n| count(n, "row names an object", "rows name an object");
    Some(match seen.of(OddKind::DanglingRow) {
        (0, _) => j.pass(format!("none: {} that is there", rows(seen.naming))),
        (found, examples) => j.fail(format!("{} that is not there, or cannot be read", rows(found))).examples(examples),
    })
}

fn no_orphans(c: &Case<'_>) -> Option<Judgement> {
    let (book, seen) = (c.record.book.as_ref()?, c.seen()?);
    let j = Judgement::new("no-orphan-objects");
    if let Some(why) = seen.objects_unknown() {
        return with_objects(c, seen).then(|| j.inconclusive(why));
    }
    let orphans = loss::orphan_objects(book, seen);
    Some(if orphans.is_empty() { j.pass("none") } else { j.fail(format!("{} found", orphans.len())).examples(orphans.into_iter().take(5).collect()) })
}

fn kept_after_recovery(c: &Case<'_>) -> Option<Judgement> {
    let seen = c.seen()?;
    let (due, lost) = loss::lost_after_recovery(c.record.book.as_ref()?, seen, &seen.instance);
    let j = Judgement::new("kept-after-recovery");
    Some(if lost.transactions > 0 {
        let are = if lost.transactions == 1 { "is" } else { "are" };
        j.fail(format!("{} acknowledged by the recovered server {are} absent", transactions(lost.transactions))).examples(lost.examples)
    } else if due == 0 {
        j.inconclusive("nothing was acknowledged by the recovered server before its read-back")
    } else {
        j.pass(format!("all of it: {} before the read-back", transactions(due)))
    })
}

fn archive_complete(c: &Case<'_>) -> Option<Judgement> {
    let (needed, missing) = archive::acknowledged_and_missing(c.record)?;
    let j = Judgement::new("archive-complete");
    let files = |n: usize| count(n as u64, "file", "files");
    Some(if !missing.is_empty() {
        let are = if missing.len() == 1 { "is" } else { "are" };
        let what = format!("{} that PostgreSQL was told {are} archived {are} not there", files(missing.len()));
        j.fail(what).examples(missing.into_iter().take(5).collect())
    } else if needed == 0 {
        j.inconclusive("PostgreSQL was told of no file that it is archived")
    } else {
        j.pass(format!("all of it: {}", files(needed)))
    })
}

fn archive_consistent(c: &Case<'_>) -> Option<Judgement> {
    c.record.moment(Moment::BackedUp)?;
    let names: Vec<String> = c
        .record
        .events
        .iter()
        .filter_map(|e| match &e.event {
            Event::ArchiveConflict { name } => Some(name.clone()),
            _ => None,
        })
        .collect();
    // A store that lets anyone write over what is there would not have told.
    let overwrites = c.record.events.iter().any(|e| matches!(&e.event, Event::StoreStarted { conditional_put: false, .. }));
    let j = Judgement::new("archive-consistent");
    Some(if !names.is_empty() {
        j.fail("the same name came with other content, and was refused").examples(names)
    } else if overwrites {
        j.inconclusive("the store does not refuse to write over what is there, so nobody would have noticed")
    } else {
        j.pass("no conflict")
    })
}

/// Names alone show it: a segment of a later timeline than the base backup's was made by no instance of the run.
fn one_timeline(c: &Case<'_>) -> Option<Judgement> {
    let files = c.record.events.iter().filter_map(|e| match &e.event {
        Event::ForeignTimeline { name } => Some(name.clone()),
        _ => None,
    });
    let mut foreign: Vec<String> = files.collect();
    let mut looked = None;
    for e in &c.record.events {
        if let Event::TimelinesSeen { found, expected } = &e.event {
            looked = Some(*expected);
            let later = found.iter().filter(|t| *t > expected).map(|t| format!("timeline {t}"));
            foreign.extend(later.collect::<Vec<_>>());
        }
    }
    let j = Judgement::new("one-timeline");
    if !foreign.is_empty() {
        let what = "something else archived into the same place: a restored copy with archiving left on?";
        return Some(j.fail(what).examples(foreign.into_iter().take(5).collect()));
    }
    let listed = c.record.events.iter().any(|e| matches!(e.event, Event::ArchiveListed { .. }));
    match looked {
        Some(own) => Some(j.pass(format!("none but the origin's, {own}"))),
        None if listed => Some(j.inconclusive("the archive was listed, and nobody looked for timelines in it")),
        None => None,
    }
}

fn one_cluster(c: &Case<'_>) -> Option<Judgement> {
    let of = |wanted: Role| -> BTreeSet<&str> {
        let all = c.record.events.iter().filter_map(|e| match &e.event {
            Event::InstanceStarted { role, system_identifier, .. } if *role == wanted => Some(system_identifier.as_str()),
            _ => None,
        });
        all.collect()
    };
    let (origin, strangers) = (of(Role::Origin), of(Role::Stranger));
    let own = *origin.first()?;
    let j = Judgement::new("one-cluster");
    if strangers.contains(own) {
        return Some(
            j.fail(format!("two clusters of the run have the identifier {own}: the log of one can be replayed over the other, without an error")),
        );
    }
    // The note beside a backup and the place where it lies can say anything; what a restore opened says what it is.
    let backups = c.record.events.iter().filter_map(|e| match &e.event {
        Event::BaseBackup { system_identifier, id, .. } | Event::BackupOpened { system_identifier, id, .. } if system_identifier != own => {
            Some(format!("base backup {id} is of cluster {system_identifier}"))
        }
        _ => None,
    });
    let wrong: Vec<String> = backups.collect();
    Some(if wrong.is_empty() { j.pass(format!("cluster {own}")) } else { j.fail("the backup is of another cluster").examples(wrong) })
}

fn encrypted(c: &Case<'_>) -> Option<Judgement> {
    let plan = c.record.plan.as_ref().filter(|p| p.encrypted)?;
    let ciphers = archive::ciphers(c.record);
    let j = Judgement::new("encrypted-at-rest").promised(plan.backup.get("encrypt").and_then(|v| v.as_str()).unwrap_or("age"));
    if ciphers.is_empty() {
        return (c.record.status() == "completed" && c.record.failures().next().is_none()).then(|| j.inconclusive("no stored object was looked at"));
    }
    let plain: Vec<String> = ciphers.iter().filter(|(_, cipher)| **cipher == "none").map(|(key, _)| key.to_string()).collect();
    if !plain.is_empty() {
        return Some(
            j.fail(format!("{} of {} can be read without a key", plain.len(), count(ciphers.len() as u64, "stored object", "stored objects")))
                .examples(plain.into_iter().take(5).collect()),
        );
    }
    let closed = archive::unopened(c.record);
    if !closed.is_empty() {
        let (objects, open) = (count(closed.len() as u64, "stored object", "stored objects"), if closed.len() == 1 { "does" } else { "do" });
        return Some(j.fail(format!("{objects} {open} not open with the key")).examples(closed.into_iter().take(5).collect()));
    }
    let opened = archive::opened(c.record);
    if opened == 0 {
        return Some(j.inconclusive("no object was opened with the key"));
    }
    let objects = count(ciphers.len() as u64, "object", "objects");
    Some(j.pass(format!("{objects} by their headers, {opened} opened with the key and read to the end")))
}

fn old_instance_gone(c: &Case<'_>) -> Option<Judgement> {
    let origin = c.origin?;
    let gone = c.record.events.iter().find_map(|e| match &e.event {
        Event::InstanceGone { instance, left, how } if instance == origin => Some((*left, how.as_str())),
        _ => None,
    });
    let late: Vec<String> = c
        .record
        .events
        .iter()
        .filter_map(|e| match &e.event {
            Event::LateWrite { instance, what } => Some(format!("{what} from {instance}")),
            _ => None,
        })
        .collect();
    let j = Judgement::new("old-instance-gone");
    match gone {
        _ if !late.is_empty() => Some(j.fail("something of the lost instance went on writing after the loss").examples(late)),
        Some((Some(0), how)) => Some(j.pass(how.to_string())),
        Some((Some(1), _)) => Some(j.fail("1 process of it was still there")),
        Some((Some(left), _)) => Some(j.fail(format!("{left} processes of it were still there"))),
        Some((None, how)) => Some(j.inconclusive(format!("{how}; nobody could look whether processes of it are left"))),
        None => c.record.moment(Moment::Consistent).map(|_| j.fail("the old instance was never stopped: two servers could take writes".to_string())),
    }
}

fn endpoint_moved(c: &Case<'_>) -> Option<Judgement> {
    c.record.moment(Moment::Consistent)?;
    let answers: Vec<(&str, bool)> = c
        .record
        .events
        .iter()
        .filter_map(|e| match &e.event {
            Event::EndpointAnswered { instance, in_recovery } => Some((instance.as_str(), *in_recovery)),
            _ => None,
        })
        .collect();
    let j = Judgement::new("endpoint-moved");
    match (answers.last(), c.times.write) {
        (Some((who, false)), Some(_)) => Some(j.pass(format!("{who} answers and takes writes"))),
        // It leads to the right server, which is not what was promised yet.
        (Some((who, false)), None) if c.record.failures().any(|(class, ..)| class == FailureClass::NotWritable) => {
            Some(j.fail(format!("{who} answers there, out of recovery, and takes no write")))
        }
        (Some((who, _)), _) => Some(j.fail(format!("{who} answers there"))),
        (None, _) => c.record.failures().next().map(|_| j.fail("nobody answers there".to_string())),
    }
}

fn steady_again(c: &Case<'_>) -> Option<Judgement> {
    c.times.write?;
    let j = Judgement::new("steady-again");
    match c.record.moments(Moment::SteadyAgain).next() {
        Some((_, _, proof)) => Some(j.pass(proof.to_string())),
        None => match c.record.failures().next() {
            Some((class, ..)) => Some(j.fail(format!("not reached: {}", class.word()))),
            // Whoever stopped the run, or what broke it, is said elsewhere.
            None => (c.record.status() == "completed").then(|| j.fail("not reached, and nothing says why")),
        },
    }
}

fn structure(c: &Case<'_>) -> Option<Judgement> {
    let checks: Vec<(&str, bool, &str)> = c
        .record
        .events
        .iter()
        .filter_map(|e| match &e.event {
            Event::Structure { check, ok, detail, .. } => Some((check.as_str(), *ok, detail.as_str())),
            _ => None,
        })
        .collect();
    if checks.is_empty() {
        return None;
    }
    let bad: Vec<String> = checks.iter().filter(|(_, ok, _)| !ok).map(|(check, _, detail)| format!("{check}: {detail}")).collect();
    let j = Judgement::new("structure");
    let all: Vec<String> = checks.iter().map(|(check, _, detail)| format!("{check} ({detail})")).collect();
    Some(if bad.is_empty() { j.pass(all.join(", ")) } else { j.fail("the recovered server's structure is damaged").examples(bad) })
}

fn ledger_intact(c: &Case<'_>) -> Option<Judgement> {
    let book = c.record.book.as_ref()?;
    let j = Judgement::new("ledger-intact");
    Some(if book.problems.is_empty() {
        j.pass(format!("{}, every chain unbroken", count(book.operations, "operation", "operations")))
    } else {
        j.fail("the ledger was changed after it was written").examples(book.problems.iter().take(5).cloned().collect())
    })
}

/// Applies a commit order to the record's lines, once for all expectations.
pub fn commit_order(c: &super::record::Record) -> Option<CommitOrder> {
    c.wal.as_ref().map(|lines| CommitOrder::new(lines))
}

#[cfg(test)]
mod tests {
    use super::super::testbed::{EACH, MS, ORIGIN, RawOp, World, payload};
    use super::super::{Outcome, Verdict, judge};
    use super::*;
    use crate::model::event::FailureClass;
    use crate::model::ledger::OpOutcome;
    use crate::model::readback::{PRESENCE, ReadLine, Row};

    /// Expectation, a green run, and the one change that turns exactly this expectation red.
    type Red = (&'static str, fn() -> World, fn(&mut World));

    const RED: &[Red] = &[
        ("recovery", World::dropped, |w| {
            let (class, detail) = (FailureClass::BackupFailed, "no space".to_string());
            w.event(460 * MS, Event::Failed { step: None, role: Some(Role::Recovered), class, detail });
        }),
        ("rto", World::dropped, |w| w.plan.objectives.rto = Some(267 * MS)),
        ("rto", World::dropped, |w| {
            w.plan.human_delay = 60_000 * MS;
            w.event(155 * MS, Event::HumanStep { what: "step 2".into(), step: 1 });
        }),
        ("archive-loss", World::lost, |w| w.plan.objectives.rpo = Some(22 * MS)),
        ("archive-loss", World::crashed, |w| World::unread(&mut w.recovered, 2, EACH - 1, None)),
        ("slack", World::alerted, |w| w.plan.objectives.rpo = Some(22 * MS)),
        ("slack", World::alerted, |w| {
            w.events_mut(|e| {
                if let Event::TargetLocated { target } = e {
                    target.known_from = "wal".into();
                }
            });
        }),
        ("rewind", World::dropped, |w| w.plan.objectives.rewind = Some(MS)),
        ("exact", World::dropped, |w| {
            let rows = w.rows_of(1, EACH + 1);
            w.read_too(rows);
        }),
        // The damage was not replayed: what ended before it was not the target's doing.
        ("control-restore-differs", World::dropped, |w| {
            for line in w.control.as_mut().unwrap() {
                if let ReadLine::Table { name, exists } = line
                    && name == "ledger_b"
                {
                    *exists = true;
                }
            }
        }),
        ("control-complete", World::dropped, |w| World::unread(w.control.as_mut().unwrap(), 1, EACH + 4, None)),
        ("no-lost-before-cut", World::lost, |w| {
            let lost = w.ops.iter().find(|op| op.outcome == OpOutcome::Ok && op.lsn.is_none()).and_then(|op| op.xid).unwrap();
            let held = crate::model::wal::Commit { lsn: crate::model::wal::Lsn(4500), tli: 1, xid: lost, ts: Default::default(), committed: true };
            w.wal.as_mut().unwrap().push(crate::model::wal::WalLine::Commit(held));
        }),
        ("no-holes", World::dropped, |w| {
            w.clients.push((4, "ledger_a", ORIGIN));
            w.ops.push(RawOp {
                c: 4,
                n: 0,
                invoked: 141 * MS,
                completed: 145 * MS,
                outcome: OpOutcome::Ok,
                xid: Some(2500),
                lsn: None,
                linked: false,
                payload: None,
            });
        }),
        ("no-phantoms", World::dropped, |w| {
            let row = Row { table: PRESENCE.into(), client: 1, seq: 100_000, payload: None, object: None, chain: None };
            w.read_too(vec![ReadLine::Row(row)]);
        }),
        ("no-resurrected", World::lost, |w| {
            let rows = w.rows_of(2, EACH);
            w.read_too(rows);
        }),
        ("no-duplicates", World::dropped, |w| {
            let row = w.rows_of(1, 0).remove(0);
            w.read_too(vec![row]);
        }),
        ("no-hash-mismatches", World::dropped, |w| {
            let of_ledger_a = |row: &&mut Row| row.payload.is_some() && row.table == "ledger_a";
            rows(&mut w.recovered).find(of_ledger_a).unwrap().payload = Some(payload(1, 999));
        }),
        ("no-partial-transactions", World::dropped, |w| World::unread(&mut w.recovered, 1, 0, Some("ledger_a"))),
        ("no-dangling-rows", World::dropped, |w| objects(w, |keys| keys.truncate(keys.len() - 1))),
        ("no-dangling-rows", World::dropped, |w| objects(w, Vec::clear)),
        ("no-orphan-objects", World::dropped, |w| {
            objects(w, |keys| keys.push(ReadLine::Object { key: "ledger/9.0".into(), version: None, sha: Some(String::new()) }));
        }),
        ("tables-present", World::dropped, |w| {
            for line in &mut w.recovered {
                if let ReadLine::Table { name, exists } = line
                    && name == "base_data"
                {
                    *exists = false;
                }
            }
        }),
        ("base-data", World::dropped, |w| {
            for line in &mut w.recovered {
                if let ReadLine::Base { sha, .. } = line {
                    *sha = "0".repeat(64);
                }
            }
        }),
        ("readable", World::dropped, |w| {
            w.read_too(vec![ReadLine::Unreadable { what: "journal".into(), why: "invalid page in block 0".into() }]);
        }),
        ("kept-after-recovery", World::dropped, |w| World::unread(&mut w.recovered, 3, 0, None)),
        ("archive-complete", World::dropped, |w| {
            w.events_mut(|e| {
                if let Event::ArchiveListed { files } = e {
                    files.pop();
                }
            });
        }),
        ("archive-consistent", World::dropped, |w| w.event(90 * MS, Event::ArchiveConflict { name: "000000010000000000000003".into() })),
        ("one-timeline", World::dropped, |w| {
            w.events_mut(|e| {
                if let Event::TimelinesSeen { found, .. } = e {
                    found.push(2);
                }
            });
        }),
        ("one-timeline", World::lost, |w| w.event(213 * MS, Event::ForeignTimeline { name: "00000002.history".into() })),
        ("one-cluster", World::dropped, |w| {
            w.events_mut(|e| {
                if let Event::BackupOpened { system_identifier, .. } = e {
                    *system_identifier = "72".into();
                }
            });
        }),
        ("encrypted-at-rest", World::dropped, |w| {
            w.event(701 * MS, Event::ObjectInspected { key: "71/wal/2".into(), cipher: "none".into(), opened: Some(true) });
        }),
        ("encrypted-at-rest", World::dropped, |w| {
            w.event(701 * MS, Event::ObjectInspected { key: "71/wal/2".into(), cipher: "age".into(), opened: Some(false) });
        }),
        ("old-instance-gone", World::lost, |w| {
            w.events_mut(|e| {
                if let Event::InstanceGone { left, .. } = e {
                    *left = Some(1);
                }
            });
        }),
        ("old-instance-gone", World::lost, |w| w.event(250 * MS, Event::LateWrite { instance: "origin".into(), what: "a segment".into() })),
        ("endpoint-moved", World::dropped, |w| {
            w.events_mut(|e| {
                if let Event::EndpointAnswered { in_recovery, .. } = e {
                    *in_recovery = true;
                }
            });
        }),
        ("steady-again", World::dropped, |w| w.events.retain(|e| !matches!(e.event, Event::Moment { moment: Moment::SteadyAgain, .. }))),
        ("structure", World::dropped, |w| {
            w.events_mut(|e| {
                if let Event::Structure { ok, .. } = e {
                    *ok = false;
                }
            });
        }),
        ("ledger-intact", World::dropped, |w| w.ops[0].payload = Some(payload(1, 999))),
    ];

    fn rows(lines: &mut [ReadLine]) -> impl Iterator<Item = &mut Row> {
        lines.iter_mut().filter_map(|line| if let ReadLine::Row(row) = line { Some(row) } else { None })
    }

    /// Changes the objects that were listed, and the listing with them.
    fn objects(w: &mut World, change: impl Fn(&mut Vec<ReadLine>)) {
        let (mut keys, mut rest): (Vec<ReadLine>, Vec<ReadLine>) = w.recovered.drain(..).partition(|line| matches!(line, ReadLine::Object { .. }));
        change(&mut keys);
        let end = rest.pop();
        for line in &mut rest {
            if let ReadLine::Objects { listed } = line {
                *listed = keys.len() as u64;
            }
        }
        rest.extend(keys);
        rest.extend(end);
        w.recovered = rest;
    }

    fn not_green(v: &Verdict) -> Vec<String> {
        v.judgements.iter().filter(|j| j.outcome != Outcome::Pass).map(|j| format!("{} {}: {}", j.id, j.outcome, j.measured)).collect()
    }

    fn of<'v>(v: &'v Verdict, id: &str) -> &'v Judgement {
        v.judgements.iter().find(|j| j.id == id).unwrap_or_else(|| panic!("{id} was judged"))
    }

    #[test]
    fn the_beds_are_green_and_show_every_expectation() {
        let mut held = BTreeSet::new();
        for (name, bed) in
            [("dropped", World::dropped as fn() -> World), ("alerted", World::alerted), ("lost", World::lost), ("crashed", World::crashed)]
        {
            let v = judge(&bed().record());
            assert_eq!(not_green(&v), Vec::<String>::new(), "{name}");
            assert_eq!(v.outcome, Outcome::Pass, "{name}");
            held.extend(v.judgements.iter().map(|j| j.id.clone()));
        }
        for (spec, _) in ALL {
            assert!(held.contains(spec.id), "no bed shows that `{}` holds", spec.id);
        }
    }

    #[test]
    fn every_expectation_can_go_red_and_alone() {
        for (spec, _) in ALL {
            assert!(RED.iter().any(|(id, ..)| *id == spec.id), "nothing here turns `{}` red", spec.id);
        }
        for (i, (id, bed, change)) in RED.iter().enumerate() {
            let mut world = bed();
            change(&mut world);
            let v = judge(&world.record());
            let red = not_green(&v);
            assert!(red.len() == 1 && red[0].starts_with(&format!("{id} fail: ")), "case {i}, `{id}`: {red:#?}");
            assert_eq!(v.outcome, Outcome::Fail, "{id}");
        }
    }

    #[test]
    fn what_nobody_looked_at_is_inconclusive() {
        let judged = |bed: fn() -> World, change: &dyn Fn(&mut World)| {
            let mut w = bed();
            change(&mut w);
            judge(&w.record())
        };
        type Doubtful<'a> = (&'a str, fn() -> World, &'a dyn Fn(&mut World), &'a str);
        let cases: &[Doubtful<'_>] = &[
            ("one-timeline", World::lost, &|w| w.events.retain(|e| !matches!(e.event, Event::TimelinesSeen { .. })), "nobody looked for timelines"),
            ("no-dangling-rows", World::dropped, &|w| w.recovered.retain(|l| !matches!(l, ReadLine::Objects { .. })), "nobody looked for objects"),
            ("no-orphan-objects", World::dropped, &|w| w.recovered.retain(|l| !matches!(l, ReadLine::Objects { .. })), "nobody looked for objects"),
            (
                "no-dangling-rows",
                World::dropped,
                &|w| {
                    let at = w.recovered.iter().position(|l| matches!(l, ReadLine::Object { .. })).unwrap();
                    w.recovered.remove(at);
                },
                "6 objects were listed, and 5 recorded",
            ),
            ("no-lost-before-cut", World::dropped, &|w| w.wal = None, "neither the commit order"),
            ("slack", World::alerted, &|w| w.wal = None, "neither the commit order"),
            ("exact", World::dropped, &|w| w.wal = None, "neither the commit order"),
            ("kept-after-recovery", World::dropped, &|w| w.ops.retain(|op| op.c != 3), "nothing was acknowledged"),
            (
                "archive-complete",
                World::dropped,
                &|w| w.events.retain(|e| !matches!(e.event, Event::SegmentAcknowledged { .. })),
                "was told of no file",
            ),
            (
                "archive-consistent",
                World::dropped,
                &|w| {
                    w.events_mut(|e| {
                        if let Event::StoreStarted { conditional_put, .. } = e {
                            *conditional_put = false;
                        }
                    });
                },
                "does not refuse",
            ),
            (
                "old-instance-gone",
                World::lost,
                &|w| {
                    w.events_mut(|e| {
                        if let Event::InstanceGone { left, .. } = e {
                            *left = None;
                        }
                    });
                },
                "nobody could look",
            ),
        ];
        for (id, bed, change, why) in cases {
            let v = judged(*bed, change);
            let j = of(&v, id);
            assert_eq!((j.outcome, j.measured.contains(why)), (Outcome::Inconclusive, true), "{id}: {}", j.measured);
            assert_ne!(v.outcome, Outcome::Pass, "{id}");
        }
    }

    #[test]
    fn without_a_commit_order_what_was_lost_before_the_cut_does_not_pass_as_slack() {
        let mut w = World::alerted();
        World::unread(&mut w.recovered, 1, 0, None);
        let v = judge(&w.record());
        assert_eq!(of(&v, "no-lost-before-cut").outcome, Outcome::Fail);
        w.wal = None;
        let v = judge(&w.record());
        assert_eq!(of(&v, "no-lost-before-cut").outcome, Outcome::Inconclusive);
        assert_eq!(of(&v, "slack").outcome, Outcome::Inconclusive);
    }

    #[test]
    fn what_is_asked_for_and_not_judged_is_inconclusive_with_the_reason() {
        let verdict = |bed: fn() -> World, change: fn(&mut World)| {
            let mut w = bed();
            change(&mut w);
            judge(&w.record())
        };
        let no_point = "asked for, but nothing of this drill can show it: it has no recovery to a point in time";
        let v = verdict(World::lost, |w| w.plan.expect = vec!["exact".into()]);
        assert_eq!((v.outcome, of(&v, "exact").measured.as_str()), (Outcome::Inconclusive, no_point));
        let v = verdict(World::lost, |w| w.plan.objectives.rewind = Some(1_000 * MS));
        assert_eq!(of(&v, "rewind").measured, no_point);
        assert_eq!(of(&v, "rewind").promised.as_deref(), Some("1.00 s"));
        let v = verdict(World::dropped, |w| (w.plan.quick, w.control) = (true, None));
        assert_eq!(not_green(&v).len(), 2, "{:?}", not_green(&v));
        for id in ["archive-loss", "control-restore-differs"] {
            assert!(of(&v, id).measured.ends_with("--quick left the control restore out"), "{id}");
        }
        let v = verdict(World::crashed, |w| w.plan.expect = vec!["one-timeline".into(), "no-such-thing".into()]);
        assert_eq!(of(&v, "one-timeline").measured, "asked for, but nothing of this drill can show it");
        assert_eq!(of(&v, "no-such-thing").outcome, Outcome::Inconclusive);
        // An expectation that nobody asked for in so many words stays away where it does not apply.
        let v = verdict(World::crashed, |_| ());
        assert!(!v.judgements.iter().any(|j| ["exact", "rewind", "one-timeline"].contains(&j.id.as_str())));
    }

    #[test]
    fn a_run_that_ended_before_its_disaster_says_so_once() {
        let mut w = World::dropped();
        w.events.retain(|e| e.t.0 < 100 * MS);
        w.event(101 * MS, Event::Broke { message: "the disk is full".into(), hint: None });
        w.event(102 * MS, Event::RunEnded { status: "aborted".into(), peak_rss: None });
        let mut record = w.record();
        (record.recovered, record.control, record.wal) = (None, None, None);
        let v = judge(&record);
        assert_eq!(v.outcome, Outcome::Error);
        assert_eq!(not_green(&v), Vec::<String>::new());
        assert!(v.not_proven.is_empty());
    }

    #[test]
    fn nothing_before_the_cut_is_nothing_to_be_exact_about() {
        let mut w = World::dropped();
        w.wal.as_mut().unwrap().retain(|line| matches!(line, crate::model::wal::WalLine::Commit(c) if c.lsn >= super::super::testbed::DAMAGE));
        let origins: Vec<(u32, u64)> = w.ops.iter().filter(|op| op.c != 3 && op.outcome == OpOutcome::Ok).map(|op| (op.c, op.n)).collect();
        w.recovered.retain(|line| !matches!(line, ReadLine::Row(row) if origins.contains(&(row.client, row.seq))));
        assert_eq!(of(&judge(&w.record()), "exact").outcome, Outcome::Inconclusive);
    }
}
