//! A new server from the base backup and all of the archive.

use super::super::drill::{Boxed, Drill};
use super::super::error::{Error, Outcome};
use super::super::locate::first_gap;
use super::Recovery;
use super::restore::{self, Order};
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::{FailureClass, Moment, Role};
use crate::model::scenario::TargetDecl;
use crate::model::wal::{Target, TargetKind};

/// Registration.
pub const RECOVERY: Recovery = Recovery { spec: SPEC, run: |drill, step, _: Option<&TargetDecl>| run(drill, step) };

const SPEC: KindSpec = KindSpec {
    class: Class::Recovery,
    name: "archive-end",
    summary: "A new server from the base backup and everything that the archive has",
    doc: "What was acknowledged and had not left the lost instance is gone: the archive loss, judged against `rpo`. The archive \
          must be without gaps from the base backup on; a server would end recovery at the first gap without a word. It follows \
          the timeline of the base backup, and any later one in the archive is shown (`one-timeline`).",
    on: &["postgres"],
    params: &[],
    sabotages: &[],
};

fn run(drill: &mut Drill, step: usize) -> Boxed<'_, Outcome<()>> {
    Box::pin(async move {
        drill.recorder.moment(Moment::Start, Some(step), "a new server is to be made from the store");
        let vault = restore::opening_vault(drill);
        let node = restore::node(drill, "recovered").await?;
        let note = restore::find_backup(&vault).await?;
        let base = restore::base_of(drill, step, &vault, &note, &node);
        let archive = async {
            let (snapshot, bringing) = restore::archive(&vault, &node, Role::Recovered, &note).await?;
            if let Some(gap) = first_gap(snapshot.files.keys().map(String::as_str), note.timeline, note.start, note.segment) {
                return Err(Error::failed(FailureClass::ArchiveGap, format!("segment {gap} is not in the archive, and later ones are")));
            }
            Ok((snapshot, bringing))
        };
        let (restored, archived) = restore::both(base, archive).await?;
        let (snapshot, bringing) = archived;
        let target = Target {
            kind: TargetKind::End,
            value: String::new(),
            inclusive: true,
            // As a number: `latest` would follow any stray timeline that the archive names, away from what the instance wrote.
            timeline: note.timeline.to_string(),
            known_from: "end of the archive".into(),
            at: drill.recorder.now(),
            found: Vec::new(),
            damage: None,
            clock_us: None,
        };
        let wal = restore::check_base(&vault, &note, &restored, &node, None, None, &bringing, &drill.recorder).await?;
        let order = Order { vault: &vault, note: &note, node, role: Role::Recovered, target: &target, bringing, snapshot, wal, step };
        restore::start(drill, order).await
    })
}
