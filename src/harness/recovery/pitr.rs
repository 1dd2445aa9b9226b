//! Point-in-time recovery of the whole cluster to just before the damage.

use super::super::drill::{Boxed, Drill};
use super::super::error::{Error, Outcome};
use super::super::locate::{self, WalMap};
use super::super::sabotage::Point;
use super::Recovery;
use super::restore::{self, Order};
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::{Event, FailureClass, Moment, Role};
use crate::model::scenario::{KnownFrom, TargetDecl};
use crate::model::wal::{Target, TargetKind};

/// Registration.
pub const RECOVERY: Recovery = Recovery { spec: SPEC, run: |drill, step, target| run(drill, step, target) };

const SPEC: KindSpec = KindSpec {
    class: Class::Recovery,
    name: "pitr",
    summary: "Point-in-time recovery of the whole cluster to just before the damage, into a new server",
    doc: "The old instance is stopped cleanly, so that its archiver ships the last segment; the target is found \
          (`known_from: wal` in the archive alone, as in a real incident; `alert` from the alert's time; `oracle` from a fence \
          of the drill, for testing exactness itself); the base backup is restored and the log replayed to it. What was \
          written between the damage and the stop is given up: the collateral, judged against `rewind`.",
    on: &["postgres"],
    params: &[],
    sabotages: &["paused-at-target", "endpoint-not-moved"],
};

fn run<'a>(drill: &'a mut Drill, step: usize, decl: Option<&'a TargetDecl>) -> Boxed<'a, Outcome<()>> {
    Box::pin(async move {
        let decl = decl.ok_or_else(|| Error::Other("a point-in-time recovery needs a target".into()))?;
        drill.recorder.moment(Moment::Start, Some(step), "the runbook begins: stop the damage, find the target, restore");
        let vault = restore::opening_vault(drill);
        let node = restore::node(drill, "recovered").await?;
        let note = restore::find_backup(&vault).await?;
        // The base backup does not depend on the target, so it is restored while the target is looked for.
        let base = restore::base_of(drill, step, &vault, &note, &node);
        let target = async {
            stop_origin(drill, step).await?;
            drill.sabotage(Point::Stopped).await?;
            let (snapshot, mut bringing) = restore::archive(&vault, &node, Role::Recovered, &note).await?;
            let (target, wal) = match decl.known_from {
                KnownFrom::Wal => {
                    bringing.all_here().await?;
                    find_in_wal(drill, decl, &note, &node, &snapshot).await.map(|(t, w)| (t, Some(w)))?
                }
                KnownFrom::Alert => (from_alert(drill, decl)?, None),
                KnownFrom::Oracle => (from_fence(drill, decl)?, None),
            };
            drill.recorder.emit(Event::TargetLocated { target: target.clone() });
            drill.recorder.moment(Moment::Located, Some(step), target.found.last().cloned().unwrap_or_default());
            Ok((snapshot, bringing, target, wal))
        };
        let (restored, (snapshot, bringing, located, wal)) = restore::both(base, target).await?;
        let wal = restore::check_base(&vault, &note, &restored, &node, located.damage, wal, &bringing, &drill.recorder).await?;
        let empty = WalMap::default();
        let target = drill.saboteur.retarget(&located, wal.as_ref().unwrap_or(&empty), &drill.recorder);
        let order = Order { vault: &vault, note: &note, node, role: Role::Recovered, target: &target, bringing, snapshot, wal, step };
        restore::start(drill, order).await
    })
}

/// Stops the damaged instance in order: no write is lost to the stop, and the last segment leaves with it.
async fn stop_origin(drill: &Drill, step: usize) -> Outcome<()> {
    if drill.saboteur.leaves_origin_up(&drill.recorder) {
        return Ok(());
    }
    drill.origin.stop_fast().await?;
    drill.recorder.moment(Moment::Stop, Some(step), "the postmaster has ended");
    Ok(())
}

async fn find_in_wal(
    drill: &Drill,
    decl: &TargetDecl,
    note: &super::super::backup::basebackup_wal::BackupNote,
    node: &super::super::lab::Node,
    snapshot: &super::super::backup::spool::Snapshot,
) -> Outcome<(Target, WalMap)> {
    let table = damaged_table(drill, decl);
    let gap = locate::first_gap(snapshot.files.keys().map(String::as_str), note.timeline, note.start, note.segment);
    let dir = format!("{}/restore/ready", node.shared_inside());
    let wal = locate::read_wal(node, &dir, note.log(&snapshot.files), false, &drill.recorder).await?;
    let entry = note.tables.iter().find(|t| t.name == format!("public.{table}"));
    let entry = entry.ok_or_else(|| Error::failed(FailureClass::DamageNotFound, format!("{table} was not in the database when it was backed up")))?;
    let damage = locate::find_drop(&wal, entry).map_err(|e| match (&gap, e) {
        (Some(gap), Error::Failed { detail, .. }) => {
            Error::failed(FailureClass::ArchiveGap, format!("segment {gap} is not in the archive, and later ones are; {detail}"))
        }
        (_, other) => other,
    })?;
    let (value, inclusive) = match decl.kind {
        TargetKind::Lsn => (damage.commit.lsn.to_string(), false),
        _ => (damage.commit.xid.to_string(), false),
    };
    let timeline = if decl.timeline == "located" { wal.tli.to_string() } else { decl.timeline.clone() };
    let target = Target {
        kind: decl.kind,
        value,
        inclusive,
        timeline,
        known_from: KnownFrom::Wal.word().into(),
        at: drill.recorder.now(),
        found: damage.steps,
        damage: Some(damage.commit.lsn),
        clock_us: None,
    };
    Ok((target, wal))
}

fn damaged_table(drill: &Drill, decl: &TargetDecl) -> String {
    use crate::model::scenario::Action;
    match drill.scenario.steps.get(decl.before_step).map(|s| &s.action) {
        Some(Action::Fault { params, .. }) => params.text("table").unwrap_or("ledger_b").to_string(),
        _ => "ledger_b".to_string(),
    }
}

fn from_alert(drill: &Drill, decl: &TargetDecl) -> Outcome<Target> {
    let alert = drill.detected.ok_or_else(|| Error::failed(FailureClass::NotDetected, "there was no alert to take the time from"))?;
    let (time, clock_us) = drill.server_time(alert - decl.margin)?;
    let margin = crate::model::units::written_duration(decl.margin);
    Ok(Target {
        kind: TargetKind::Time,
        value: time.postgres(),
        inclusive: true,
        timeline: decl.timeline.replace("located", "latest"),
        known_from: KnownFrom::Alert.word().into(),
        at: drill.recorder.now(),
        found: vec![format!("the alert fired {margin} after {}, known to ±{clock_us} µs on the server's clock", time.rfc3339())],
        damage: None,
        clock_us: Some(clock_us),
    })
}

fn from_fence(drill: &Drill, decl: &TargetDecl) -> Outcome<Target> {
    let fence = drill.fence.as_ref().ok_or_else(|| Error::Other("the oracle put no fence before the fault".into()))?;
    let (value, inclusive) = match decl.kind {
        TargetKind::Lsn => (fence.lsn.to_string(), false),
        TargetKind::Time => (fence.time.postgres(), true),
        TargetKind::Xid => (fence.after_xid.to_string(), false),
        TargetKind::Name | TargetKind::End => (fence.name.clone(), true),
    };
    Ok(Target {
        kind: decl.kind,
        value,
        inclusive,
        timeline: decl.timeline.replace("located", "latest"),
        known_from: KnownFrom::Oracle.word().into(),
        at: drill.recorder.now(),
        found: vec![format!("the drill put a fence before the damage: restore point `{}` at {}", fence.name, fence.lsn)],
        damage: None,
        clock_us: (decl.kind == TargetKind::Time).then_some(fence.clock_us),
    })
}
