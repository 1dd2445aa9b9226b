//! Something of the lost instance lives on: its archiver ships a segment after the loss, so that the loss looks smaller than
//! it was.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Doing;
use crate::harness::lab::Call;
use crate::harness::recorder::poll;
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::wal::WalFile;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SPEC: SabotageSpec = SabotageSpec {
    name: "archiver-survives",
    summary: "The archiver of the lost instance still ships a segment after the loss",
    consequence: Consequence::Fail,
    caught_by: &["old-instance-gone"],
    scenarios: &["postgres-instance-lost"],
    differs_by_lab: true,
};

/// Ships a segment after the loss.
#[derive(Default)]
pub struct ArchiverSurvives {
    segment: Mutex<Option<(String, Vec<u8>)>>,
}

impl Sabotage for ArchiverSurvives {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let origin = stage.origin;
            match point {
                Point::BeforeFault => {
                    let client = origin.connect().await.doing(|| "connect to the server".into())?;
                    let name: String = client
                        .query_one("SELECT pg_walfile_name(pg_current_wal_insert_lsn())", &[])
                        .await
                        .doing(|| "ask the current segment".into())?
                        .get(0);
                    let path = format!("{}/pg_wal/{name}", origin.node.data());
                    let content = origin.node.run(&Call::new("cat", [path])).await?.success("cat")?.stdout;
                    *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = Some((name, content));
                    Ok(())
                }
                Point::Faulted => {
                    let kept = self.segment.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let (Some((name, content)), Some(spool)) = (kept, stage.spool) else { return Ok(()) };
                    // The load went on until the loss: what was being written then comes after the last archived segment.
                    let size = stage.cluster.segment;
                    let archived: Vec<String> = spool.state().acknowledged().keys().cloned().collect();
                    let last = archived.iter().filter_map(|n| match WalFile::parse(n, size) {
                        Some(WalFile::Segment(timeline, number)) => Some((timeline, number)),
                        _ => None,
                    });
                    let name = match last.max() {
                        Some((timeline, number)) if archived.contains(&name) => WalFile::segment_name(timeline, number + 1, size),
                        _ => name,
                    };
                    spool.submit(&name, &content)?;
                    told(self, stage, format!("shipped {name} after the loss"));
                    poll("the late segment", Duration::from_secs(30), Duration::from_millis(5), || async {
                        Ok(spool.state().acknowledged().contains_key(&name).then_some(()))
                    })
                    .await
                }
                _ => Ok(()),
            }
        })
    }
}
