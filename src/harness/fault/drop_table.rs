//! Someone drops a table that is in use.

use super::super::drill::{Boxed, Drill};
use super::super::error::{Doing, Error, Outcome};
use super::Fault;
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::Moment;
use crate::model::params::{ParamSpec, ParamType, Params};

/// Registration.
pub const FAULT: Fault = Fault { spec: SPEC, inject: |drill, step, params| inject(drill, step, params) };

const SPEC: KindSpec = KindSpec {
    class: Class::Fault,
    name: "drop-table",
    summary: "Someone drops a table that is in use",
    doc: "Logical damage: it is committed like any other change, so replication carries it on at once and the archive replays it. \
          What survives is every copy that can be recovered to a point before it. Clients of other tables go on writing, \
          and what they write until the recovery is given up by a whole-cluster recovery: the collateral.",
    on: &["postgres"],
    params: &[ParamSpec::new("table", ParamType::Choice(&["ledger_a", "ledger_b", "base_data"]), "ledger_b", "Which table.")],
    sabotages: &["target-too-late", "target-too-early"],
};

fn inject<'a>(drill: &'a mut Drill, step: usize, params: &'a Params) -> Boxed<'a, Outcome<()>> {
    Box::pin(async move {
        let table = params.text("table").unwrap_or("ledger_b");
        let client = drill.origin.connect().await.doing(|| "connect to the server".into())?;
        drill.recorder.moment(Moment::Inject, Some(step), format!("DROP TABLE {table}"));
        client.batch_execute(&format!("DROP TABLE {table}")).await.doing(|| format!("drop {table}"))?;
        drill.recorder.moment(Moment::Fault, Some(step), "the server acknowledged the DROP");
        let there: bool = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await.doing(|| "look for the table".into())?.get(0);
        if there {
            return Err(Error::Other(format!("{table} is still there after it was dropped")));
        }
        Ok(())
    })
}
