//! The backup job reads another server: one with an identifier of its own, or a sibling that shares it, as copies of a
//! template or of a clone do.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::backup::basebackup_wal::{self, BackupNote};
use crate::harness::error::{Doing, Error, Outcome};
use crate::harness::system::postgres::Instance;
use crate::harness::workload::linked;
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::event::Role;
use crate::model::wal::Lsn;
use std::sync::{Arc, Mutex, PoisonError};

const STRANGER: SabotageSpec = SabotageSpec {
    name: "base-of-another-cluster",
    summary: "The base backup is of another cluster, under the right name and with the right note",
    consequence: Consequence::Fail,
    caught_by: &["wrong-cluster"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

const SIBLING: SabotageSpec = SabotageSpec {
    name: "base-of-a-sibling",
    summary: "The base backup is of another cluster that has the same identifier",
    consequence: Consequence::Fail,
    caught_by: &["one-cluster"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: false,
};

const RECORDED: SabotageSpec = SabotageSpec {
    name: "backup-job-reads-another-cluster",
    summary: "The backup job reads another server and records what it took",
    consequence: Consequence::Fail,
    caught_by: &["one-cluster"],
    scenarios: &["postgres-instance-lost"],
    differs_by_lab: false,
};

/// Which cluster, and what is said of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Stranger,
    Sibling,
    Recorded,
}

/// Puts another cluster's base backup in the place of the right one.
pub struct BaseOfAnotherCluster {
    which: Which,
    clone: Mutex<Option<Instance>>,
}

impl BaseOfAnotherCluster {
    /// A cluster with an identifier of its own.
    pub fn stranger() -> BaseOfAnotherCluster {
        BaseOfAnotherCluster { which: Which::Stranger, clone: Mutex::default() }
    }

    /// A cluster that shares the identifier.
    pub fn sibling() -> BaseOfAnotherCluster {
        BaseOfAnotherCluster { which: Which::Sibling, clone: Mutex::default() }
    }

    /// A cluster with an identifier of its own, and a job that records what it took.
    pub fn recorded() -> BaseOfAnotherCluster {
        BaseOfAnotherCluster { which: Which::Recorded, clone: Mutex::default() }
    }
}

impl Sabotage for BaseOfAnotherCluster {
    fn spec(&self) -> &'static SabotageSpec {
        match self.which {
            Which::Stranger => &STRANGER,
            Which::Sibling => &SIBLING,
            Which::Recorded => &RECORDED,
        }
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            match point {
                Point::Started if self.which == Which::Sibling => {
                    let clone = clone_of(stage).await?;
                    *self.clone.lock().unwrap_or_else(PoisonError::into_inner) = Some(clone);
                    Ok(())
                }
                Point::BackedUp => {
                    let kept = self.clone.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let other = match kept {
                        Some(clone) => clone,
                        None => stranger(stage).await?,
                    };
                    replace(self, stage, &other).await?;
                    other.node.release().await
                }
                _ => Ok(()),
            }
        })
    }
}

/// A cluster of its own, with tables of the same names and other content.
async fn stranger(stage: &Stage<'_>) -> Outcome<Instance> {
    let node = Arc::new(stage.lab.node("stranger", stage.origin.node.same_build()).await?);
    let mut other = Instance::init(node, Role::Stranger, "stranger", stage.cluster, stage.lab.recorder.clone()).await?;
    let configuration = other.configuration(stage.cluster, &[]);
    other.start(&configuration, false).await?;
    fill(&other, stage.seed).await?;
    Ok(other)
}

/// A clone of the origin as it was when it had just been made: it keeps the system identifier.
async fn clone_of(stage: &Stage<'_>) -> Outcome<Instance> {
    let node = Arc::new(stage.lab.node("sibling", stage.origin.node.same_build()).await?);
    let note = basebackup_wal::take(stage.origin, stage.vault, "clone", stage.cluster.segment).await?;
    basebackup_wal::restore(stage.vault, &note, &node, Role::Stranger).await?;
    for object in ["base.tar", "backup.json"] {
        stage.vault.bucket.delete(&stage.vault.base_key("clone", object)).await?;
    }
    let mut clone =
        Instance::restored(node, Role::Stranger, &stage.origin.system_identifier, "sibling", stage.origin.login.clone(), stage.lab.recorder.clone());
    let configuration = clone.configuration(stage.cluster, &[]);
    clone.start(&configuration, false).await?;
    fill(&clone, stage.seed).await?;
    Ok(clone)
}

async fn fill(other: &Instance, seed: u64) -> Outcome<()> {
    let client = other.connect().await.doing(|| "connect to the other cluster".into())?;
    linked::load_base(&client, seed.wrapping_add(1), 1 << 20, |_| ()).await.map(|_| ())
}

/// Stores the other cluster's base backup where the right one was, its log at the same segment, and leaves a note that
/// says that all is as it should be.
async fn replace(me: &BaseOfAnotherCluster, stage: &Stage<'_>, other: &Instance) -> Outcome<()> {
    let Some(right) = stage.backup else { return Ok(()) };
    advance_to(other, Lsn(right.start.0 - stage.cluster.segment), stage.cluster.segment).await?;
    let wrong = basebackup_wal::take(other, stage.vault, &right.id, stage.cluster.segment).await?;
    if me.which == Which::Recorded {
        // As the job of the drill does: of which cluster it is, the backup itself says.
        basebackup_wal::announce(&wrong, 0, &stage.lab.recorder);
    }
    let forged = BackupNote { object_sha256: wrong.object_sha256, raw_bytes: wrong.raw_bytes, ..right.clone() };
    let body = serde_json::to_vec(&forged).map_err(|e| Error::Other(e.to_string()))?;
    stage.vault.put(&stage.vault.base_key(&right.id, "backup.json"), body, false).await?;
    told(
        me,
        stage,
        format!("the base backup is of cluster {}, from {}; the right one began at {}", other.system_identifier, wrong.start, right.start),
    );
    Ok(())
}

/// Switches segments until the log has reached a position: a base backup begins at a segment's start, so that the two logs
/// fit together without an error.
async fn advance_to(other: &Instance, wanted: Lsn, segment: u64) -> Outcome<()> {
    let client = other.connect().await.doing(|| "connect to the other cluster".into())?;
    loop {
        let at: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.doing(|| "ask the log's position".into())?.get(0);
        let at: Lsn = at.parse().unwrap_or_default();
        if at.0 / segment >= wanted.0 / segment {
            return Ok(());
        }
        client.batch_execute("SELECT pg_current_xact_id(); SELECT pg_switch_wal()").await.doing(|| "switch the segment".into())?;
    }
}
