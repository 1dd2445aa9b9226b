//! The stored base backup is damaged after it was stored: truncated, or one byte flipped.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::model::catalog::{Consequence, SabotageSpec};

const TRUNCATED: SabotageSpec = SabotageSpec {
    name: "object-truncated",
    summary: "The last third of the stored base backup is missing",
    consequence: Consequence::Fail,
    caught_by: &["object-corrupt"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: true,
};

const FLIPPED: SabotageSpec = SabotageSpec {
    name: "object-byte-flipped",
    summary: "One byte in the middle of the stored base backup is flipped",
    consequence: Consequence::Fail,
    caught_by: &["object-corrupt"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Damages the stored base backup.
pub struct ObjectDamaged {
    truncate: bool,
}

impl ObjectDamaged {
    /// Cuts off its end.
    pub fn truncated() -> ObjectDamaged {
        ObjectDamaged { truncate: true }
    }

    /// Flips one byte.
    pub fn flipped() -> ObjectDamaged {
        ObjectDamaged { truncate: false }
    }
}

impl Sabotage for ObjectDamaged {
    fn spec(&self) -> &'static SabotageSpec {
        if self.truncate { &TRUNCATED } else { &FLIPPED }
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::BackedUp, Some(backup)) = (point, stage.backup) else { return Ok(()) };
            let mut bytes = stage.vault.bucket.read(&backup.object).await?.to_vec();
            let whole = bytes.len();
            if self.truncate {
                bytes.truncate(whole / 3 * 2);
            } else {
                bytes[whole / 2] ^= 0x10;
            }
            stage.vault.bucket.put(&backup.object, bytes.into(), false).await?;
            told(self, stage, format!("damaged {} of {whole} bytes", backup.object));
            Ok(())
        })
    }
}
