//! Somebody tested a restore with archiving left on: the archive holds another timeline with its history file.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::backup::basebackup_wal;
use crate::harness::backup::spool::ArchiveSpool;
use crate::harness::error::{Error, Outcome};
use crate::harness::recorder::poll;
use crate::harness::recovery::restore::{self, Order};
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::event::Role;
use crate::model::wal::{Target, TargetKind};
use std::sync::Arc;
use std::time::Duration;

const SPEC: SabotageSpec = SabotageSpec {
    name: "foreign-timeline",
    summary: "The archive holds the log of another timeline with its history file",
    consequence: Consequence::Fail,
    caught_by: &["one-timeline"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Leaves another timeline in the archive.
pub struct ForeignTimeline;

impl Sabotage for ForeignTimeline {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::BeforeFault, Some(note)) = (point, stage.backup) else { return Ok(()) };
            stray_restore(stage, note).await?;
            told(self, stage, "restored a copy, promoted it, and let it archive into the same place".into());
            Ok(())
        })
    }
}

async fn stray_restore(stage: &Stage<'_>, note: &basebackup_wal::BackupNote) -> Outcome<()> {
    let node = Arc::new(stage.lab.node("stray", stage.origin.node.same_build()).await?);
    let vault = stage.vault;
    restore::base(vault, note, &node, Role::Stranger).await?;
    let snapshot = crate::harness::backup::spool::Snapshot::take(vault).await?;
    let bringing = crate::harness::backup::spool::Bringing::start(&node, Role::Stranger, vault.clone(), &snapshot)?;
    ArchiveSpool::prepare(&node)?;
    let spool = ArchiveSpool::open(&node, vault.clone(), "stray".into())?;
    let target = Target {
        kind: TargetKind::End,
        value: String::new(),
        inclusive: true,
        timeline: "latest".into(),
        known_from: "stray".into(),
        at: stage.lab.recorder.now(),
        found: Vec::new(),
        damage: None,
        clock_us: None,
    };
    let mut settings =
        vec![("archive_mode", "on".to_string()), ("archive_command", ArchiveSpool::command(&node)), ("archive_timeout", "1s".to_string())];
    settings.extend(restore::target_settings(&target));
    let order = Order { vault, note, node: node.clone(), role: Role::Stranger, target: &target, bringing, snapshot, wal: None, step: 0 };
    let stray = restore::bring_up(&order, stage.cluster, &stage.origin.login, &stage.lab.recorder, "stray", &settings).await?;
    let history = "00000002.history";
    poll("the stray server's history file", Duration::from_secs(30), Duration::from_millis(5), || async {
        if let Ok(client) = stray.connect().await {
            let _ = client.batch_execute("SELECT pg_current_xact_id(); SELECT pg_switch_wal()").await;
        }
        let done = spool.state().acknowledged();
        Ok::<_, Error>((done.contains_key(history) && done.keys().any(|n| n.starts_with("00000002") && n.len() == 24)).then_some(()))
    })
    .await?;
    stray.node.release().await
}
