//! What is judged: one function and one line of the table each.

use super::archive;
use super::exact::{self, CommitOrder, Exactness};
use super::judge::{Case, Judgement};
use super::loss;
use super::seen::{OddKind, Seen};
use super::words::{count, transactions};
use crate::model::catalog::ExpectationSpec;
use crate::model::event::{Event, Moment, Role};
use crate::model::units::human_duration;
use crate::model::wal::TargetKind;
use std::collections::BTreeSet;
use std::time::Duration;

/// A judged expectation: `None` where it does not apply.
pub type JudgeFn = fn(&Case<'_>) -> Option<Judgement>;

const fn spec(id: &'static str, always: bool, summary: &'static str) -> ExpectationSpec {
    ExpectationSpec { id, summary, always }
}

/// Every expectation, in the order in which they are shown.
pub const ALL: &[(ExpectationSpec, JudgeFn)] = &[
    (spec("recovery", true, "The recovery came about, and everything was read back"), recovery),
    (spec("rto", true, "Verified recovery time, with simulated human steps, is within the objective"), rto),
    (spec("archive-loss", true, "Acknowledged before the loss and absent from a restore to the end of what survived: within `rpo`"), archive_loss),
    (
        spec("slack", true, "Good writes given up because the target was not exact: within `rpo`, and none where the target was found in the log"),
        slack,
    ),
    (spec("rewind", true, "Good writes made after the damage and given up: within `rewind`"), rewind),
    (spec("exact", false, "Present are the operations whose commit lies before the cut, and nothing else; the destroyed table is back"), exact),
    (spec("control-restore-differs", false, "The same archive without a target shows what the target cut off"), control_differs),
    (spec("control-complete", true, "The control restore shows every operation whose commit the archive holds"), control_complete),
    (spec("no-lost-before-cut", true, "Nothing that the archive held before the cut is absent"), no_lost_before_cut),
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
    (spec("no-dangling-rows", true, "Every object that a row names is there with its content"), |c| {
        odd(c, "no-dangling-rows", OddKind::DanglingRow, "none")
    }),
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
    (spec("archive-complete", true, "Everything that PostgreSQL was told is archived is in the archive"), archive_complete),
    (spec("archive-consistent", true, "No name is archived twice with different content"), archive_consistent),
    (spec("one-timeline", true, "The archive names no timeline that no instance of the run made"), one_timeline),
    (spec("one-cluster", true, "Clusters of the run have identifiers of their own, and the backup is of the right one"), one_cluster),
    (spec("encrypted-at-rest", true, "Every stored object is encrypted, by its header, and opens with the key"), encrypted),
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
    let total = measured + c.times.human_ns;
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

fn no_orphans(c: &Case<'_>) -> Option<Judgement> {
    let seen = c.seen().filter(|s| s.with_objects)?;
    let orphans = loss::orphan_objects(c.record.book.as_ref()?, seen);
    let j = Judgement::new("no-orphan-objects");
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
    let j = Judgement::new("archive-consistent");
    Some(if names.is_empty() { j.pass("no conflict") } else { j.fail("the same name came with other content, and was refused").examples(names) })
}

fn one_timeline(c: &Case<'_>) -> Option<Judgement> {
    let listed = c.record.events.iter().any(|e| matches!(e.event, Event::ArchiveListed { .. }));
    if !listed {
        return None;
    }
    let names: Vec<String> = c
        .record
        .events
        .iter()
        .filter_map(|e| match &e.event {
            Event::ForeignTimeline { name } => Some(name.clone()),
            _ => None,
        })
        .collect();
    let j = Judgement::new("one-timeline");
    Some(if names.is_empty() {
        j.pass("none but the origin's")
    } else {
        j.fail("something else archived into the same place: a restored copy with archiving left on?").examples(names.into_iter().take(5).collect())
    })
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
    let backups = c.record.events.iter().filter_map(|e| match &e.event {
        Event::BaseBackup { system_identifier, id, .. } if system_identifier != own => {
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
    let gone = c.record.events.iter().find_map(|e| match &e.event {
        Event::InstanceGone { left, how, .. } => Some((*left, how.as_str())),
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
        (Some((who, _)), _) => Some(j.fail(format!("{who} answers there"))),
        (None, _) => c.record.failures().next().map(|_| j.fail("nobody answers there".to_string())),
    }
}

fn steady_again(c: &Case<'_>) -> Option<Judgement> {
    c.times.write?;
    let j = Judgement::new("steady-again");
    match c.record.moments(Moment::SteadyAgain).next() {
        Some((_, _, proof)) => Some(j.pass(proof.to_string())),
        None => c.record.failures().next().map(|(class, ..)| j.fail(format!("not reached: {}", class.word()))),
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
