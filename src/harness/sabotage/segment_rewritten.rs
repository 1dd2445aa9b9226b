//! Something hands over a segment that is archived already, with other content: a second server that archives into the same
//! place, or one that was restored and went on with the same names.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Error;
use crate::harness::recorder::poll;
use crate::model::catalog::{Consequence, SabotageSpec};
use std::time::Duration;

const SPEC: SabotageSpec = SabotageSpec {
    name: "segment-rewritten",
    summary: "A segment that is archived already comes again with other content",
    consequence: Consequence::Fail,
    caught_by: &["archive-consistent"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Hands a segment over again.
pub struct SegmentRewritten;

impl Sabotage for SegmentRewritten {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::BeforeFault, Some(spool)) = (point, stage.spool) else { return Ok(()) };
            let names = spool.state().acknowledged();
            let name = names.keys().find(|n| n.len() == 24).ok_or_else(|| Error::Other("no segment is archived yet".into()))?;
            spool.submit(name, b"not what this segment held")?;
            told(self, stage, format!("handed {name} over again, with other content"));
            // The answer is for nobody, and only shows that it was dealt with.
            let answer = stage.origin.node.shared.join(format!("archive/out/{name}@0"));
            poll("the answer to a segment", Duration::from_secs(30), Duration::from_millis(5), || async { Ok(answer.exists().then_some(())) }).await
        })
    }
}
