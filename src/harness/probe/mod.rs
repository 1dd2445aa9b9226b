//! How a steady state is known, and how a disaster is noticed. One file and one registry line each.

pub mod reachable;
pub mod table_readable;
pub mod writable;

use super::drill::Boxed;
use super::error::{Error, Outcome};
use super::system::postgres;
use super::workload::wire::Login;
use crate::model::catalog::KindSpec;
use crate::model::params::Params;
use std::net::SocketAddr;
use std::time::Duration;

/// A registered probe. It asks where the clients connect, on a connection of its own.
pub struct Probe {
    /// Its description.
    pub spec: KindSpec,
    /// `Err` says what was wrong with the answer.
    pub ask: for<'a> fn(&'a Asking, &'a Params) -> Boxed<'a, Result<(), String>>,
}

/// Where and how a probe asks.
#[derive(Clone)]
pub struct Asking {
    /// The clients' endpoint.
    pub address: SocketAddr,
    /// How to log in.
    pub login: Login,
}

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Every probe.
pub const ALL: &[Probe] = &[reachable::PROBE, writable::PROBE, table_readable::PROBE];

/// A probe by name.
pub fn find(name: &str) -> Outcome<&'static Probe> {
    ALL.iter().find(|p| p.spec.name == name).ok_or_else(|| Error::Other(format!("there is no probe `{name}`")))
}

impl Asking {
    /// Runs one statement.
    async fn statement(&self, sql: &str) -> Result<(), String> {
        self.first(sql).await.map(|_| ())
    }

    /// Runs one statement; the first value of its first row.
    async fn first(&self, sql: &str) -> Result<Option<String>, String> {
        use tokio_postgres::SimpleQueryMessage::Row;
        let work = async {
            let client = postgres::connect(self.address, &self.login).await?;
            let answer = client.simple_query(sql).await?;
            Ok::<_, tokio_postgres::Error>(answer.iter().find_map(|m| match m {
                Row(row) => row.try_get(0).ok().flatten().map(String::from),
                _ => None,
            }))
        };
        match tokio::time::timeout(ANSWER, work).await {
            Ok(Ok(first)) => Ok(first),
            Ok(Err(e)) => Err(e.as_db_error().map_or_else(|| e.to_string(), |db| db.message().to_string())),
            Err(_) => Err("no answer in time".into()),
        }
    }
}
