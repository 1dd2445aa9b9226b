//! The archive acknowledges segments and does not store them: the one with the target, an earlier one, or the last one.

use super::{ArchiveDeed, Deed, Point, Sabotage, Stage};
use crate::harness::error::{Doing, Outcome};
use crate::harness::system::postgres::Instance;
use crate::model::catalog::{Consequence, SabotageSpec};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

const TARGET: SabotageSpec = SabotageSpec {
    name: "archive-skips-segment",
    summary: "The archive acknowledges the segment with the target and does not store it",
    consequence: Consequence::Fail,
    caught_by: &["archive-complete", "archive-gap"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: true,
};

const EARLIER: SabotageSpec = SabotageSpec {
    name: "archive-skips-earlier-segment",
    summary: "The archive acknowledges a segment between the base backup and the fault and does not store it",
    consequence: Consequence::Fail,
    caught_by: &["archive-complete", "archive-gap"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

const LAST: SabotageSpec = SabotageSpec {
    name: "archive-skips-last-segment",
    summary: "The archive acknowledges the last segment and does not store it",
    consequence: Consequence::Fail,
    caught_by: &["archive-complete"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Which segment is skipped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Target,
    Earlier,
    Last,
}

/// Acknowledges without storing.
pub struct SkipSegment {
    which: Which,
    names: Mutex<BTreeSet<String>>,
}

impl SkipSegment {
    /// Skips the segment with the target.
    pub fn target() -> SkipSegment {
        SkipSegment { which: Which::Target, names: Mutex::default() }
    }

    /// Skips a segment between the base backup and the fault.
    pub fn earlier() -> SkipSegment {
        SkipSegment { which: Which::Earlier, names: Mutex::default() }
    }

    /// Skips the last one.
    pub fn last() -> SkipSegment {
        SkipSegment { which: Which::Last, names: Mutex::default() }
    }

    async fn mark_current(&self, origin: &Instance) -> Outcome<()> {
        let client = origin.connect().await.doing(|| "connect to the server".into())?;
        let row = client.query_one("SELECT pg_walfile_name(pg_current_wal_insert_lsn())", &[]).await.doing(|| "ask the current segment".into())?;
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(row.get(0));
        Ok(())
    }
}

async fn switch(origin: &Instance) -> Outcome<()> {
    let client = origin.connect().await.doing(|| "connect to the server".into())?;
    client.batch_execute("SELECT pg_current_xact_id(); SELECT pg_switch_wal()").await.doing(|| "switch the segment".into())
}

impl Sabotage for SkipSegment {
    fn spec(&self) -> &'static SabotageSpec {
        match self.which {
            Which::Target => &TARGET,
            Which::Earlier => &EARLIER,
            Which::Last => &LAST,
        }
    }

    fn archiving(&self, name: &str) -> ArchiveDeed {
        if self.names.lock().unwrap_or_else(PoisonError::into_inner).contains(name) { ArchiveDeed::AcknowledgeOnly } else { ArchiveDeed::Store }
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let origin = stage.origin;
            let instance_will_be_lost = stage.loses_instance;
            match (self.which, point) {
                // The damage is in the segment of before or after it; then later ones follow, so that a gap remains.
                (Which::Target, Point::BeforeFault) => self.mark_current(origin).await,
                (Which::Target, Point::Faulted) => {
                    self.mark_current(origin).await?;
                    switch(origin).await
                }
                (Which::Earlier, Point::BackedUp) => {
                    self.mark_current(origin).await?;
                    switch(origin).await
                }
                // A lost instance archives nothing after its loss, so the last one is made before it.
                (Which::Last, Point::BeforeFault) if instance_will_be_lost => {
                    self.mark_current(origin).await?;
                    switch(origin).await
                }
                (Which::Last, Point::Faulted) if !instance_will_be_lost => {
                    switch(origin).await?;
                    self.mark_current(origin).await
                }
                _ => Ok(()),
            }
        })
    }
}
