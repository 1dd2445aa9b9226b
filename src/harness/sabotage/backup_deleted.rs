//! The base backup is gone from the store when it is needed.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Error;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "backup-deleted",
    summary: "Every base backup is deleted from the store: the recovery never comes about",
    consequence: Consequence::Fail,
    caught_by: &["no-backup", "recovery", "rto"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Deletes the base backups.
pub struct BackupDeleted;

impl Sabotage for BackupDeleted {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            if point != Point::Faulted {
                return Ok(());
            }
            let stored = stage.vault.list("base").await?;
            if stored.is_empty() {
                return Err(Error::Other("there is no base backup to delete".into()));
            }
            for object in &stored {
                stage.vault.bucket.delete(&object.key).await?;
            }
            told(self, stage, format!("deleted {} objects of base backups", stored.len()));
            Ok(())
        })
    }
}
