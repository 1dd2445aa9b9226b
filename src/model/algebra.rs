//! Static algebra: promises that cannot hold, found before anything is started.

use super::codes::Code;
use super::diag::{Diagnostic, Diagnostics};
use super::scenario::Scenario;
use super::units::written_duration;
use std::time::Duration;

/// PostgreSQL's checkpointer looks at `archive_timeout` about once a second.
const SWITCH_GRANULARITY: Duration = Duration::from_secs(1);

/// Worst-case loss of an archive-based recovery after the instance is gone (docs/FIGURES.md, "archive loss"):
/// a write just after a switch waits for `archive_timeout`, then for the switch to be noticed. The time
/// until the segment is durable comes on top and is not known statically, so it counts as zero here:
/// what is refused cannot hold even with an infinitely fast store.
pub fn worst_case_loss(archive_timeout: Duration) -> Duration {
    archive_timeout + SWITCH_GRANULARITY
}

/// Checks a scenario's objectives against what its method can reach.
pub fn scenario(s: &Scenario, diags: &mut Diagnostics) {
    loss(s, diags);
    load(s, diags);
}

fn loss(s: &Scenario, diags: &mut Diagnostics) {
    let loses_instance = s.steps.iter().any(|step| step.recovery() == Some("archive-end"));
    let (Some(rpo), Some(rpo_span)) = (s.objectives.rpo, s.objectives.rpo_span) else { return };
    let Some(db) = s.systems.get(&s.backup.of) else { return };
    let timeout = db.params.duration("archive_timeout");
    let worst = worst_case_loss(timeout);
    if loses_instance && worst > rpo {
        diags.push(
            Diagnostic::new(
                Code::RpoBelowWorstCase,
                format!("a loss of up to {} is possible, {} is promised", written_duration(worst), written_duration(rpo)),
                rpo_span,
            )
            .label("promised here")
            .also(db.params.span("archive_timeout").unwrap_or(db.span), "segments leave the instance this often")
            .note(format!(
                "{} archive interval + {} until the switch is noticed + time to durable (counted as 0)",
                written_duration(timeout),
                written_duration(SWITCH_GRANULARITY)
            ))
            .help(format!("promise at least {}, or lower `archive_timeout`, or replicate synchronously", written_duration(worst))),
        );
    }
}

/// Without a write between the backup and the fault nothing is measured, whatever is promised.
fn load(s: &Scenario, diags: &mut Diagnostics) {
    if s.workload.params.duration("lead").is_zero() {
        diags.push(
            Diagnostic::new(
                Code::NothingBeforeFault,
                "no write would lie between the backup and the fault",
                s.workload.params.span("lead").unwrap_or(s.workload.span),
            )
            .help("set `lead` to some seconds: loss is measured from acknowledged writes"),
        );
    }
}
