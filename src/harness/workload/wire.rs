//! The ledger's own PostgreSQL client: the simple query protocol with everything that the outcome rules
//! need and drivers hide, the command tags, the warnings, and whether a statement was sent.

use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use fallible::fields;

/// An error or notice as the server words it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerSays {
    /// `ERROR`, `FATAL`, `WARNING`, … never translated.
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    /// Message.
    pub message: String,
}

/// All that came back for one query string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Command tags in order.
    pub tags: Vec<String>,
    /// First column of the last row.
    pub value: Option<String>,
    /// Notices and warnings.
    pub notices: Vec<ServerSays>,
    /// The error that ended it.
    pub error: Option<ServerSays>,
}

/// Why a connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The server said FATAL or PANIC.
    Fatal(ServerSays),
    /// The connection ended, or nothing could be sent.
    Lost(String),
}

impl Gone {
    /// What was said, for people.
    pub fn words(self) -> String {
        match self {
            Gone::Fatal(says) => says.message,
            Gone::Lost(why) => why,
        }
    }

    /// A short word for the ledger.
    pub fn why(&self) -> String {
        match self {
            Gone::Fatal(says) => says.code.clone(),
            Gone::Lost(_) => "disconnect".into(),
        }
    }
}

/// How to log in.
#[derive(Clone)]
pub struct Login {
    /// User.
    pub user: String,
    /// Database.
    pub database: String,
    /// Password.
    pub password: String,
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Wire {
    /// Connects and logs in (SCRAM-SHA-256, or no password at all).
    pub async fn connect(address: SocketAddr, login: &Login) -> Result<Wire, Gone> {
        let stream = TcpStream::connect(address).await.map_err(lost)?;
        let _ = stream.set_nodelay(true);
        let mut wire = Wire { stream, buffer: BytesMut::with_capacity(4096) };
        let parameters =
            [("user", login.user.as_str()), ("database", login.database.as_str()), ("client_encoding", "UTF8"), ("application_name", "passmuster")];
        let mut out = BytesMut::new();
        frontend::startup_message(parameters, &mut out).map_err(lost)?;
        wire.send(&out).await?;
        let mut scram: Option<ScramSha256> = None;
        loop {
            let mut out = BytesMut::new();
            match wire.message().await? {
                Message::AuthenticationOk | Message::ParameterStatus(_) | Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
                Message::AuthenticationSasl(_) => {
                    let s = scram.insert(ScramSha256::new(login.password.as_bytes(), ChannelBinding::unsupported()));
                    frontend::sasl_initial_response(SCRAM_SHA_256, s.message(), &mut out).map_err(lost)?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    let Some(s) = scram.as_mut() else { return Err(Gone::Lost("unexpected authentication".into())) };
                    s.update(body.data()).map_err(lost)?;
                    frontend::sasl_response(s.message(), &mut out).map_err(lost)?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let Some(s) = scram.as_mut() else { return Err(Gone::Lost("unexpected authentication".into())) };
                    s.finish(body.data()).map_err(lost)?;
                }
                Message::ErrorResponse(body) => return Err(Gone::Fatal(fields(body.fields()))),
                Message::ReadyForQuery(_) => return Ok(wire),
                _ => return Err(Gone::Lost("the server wants another kind of authentication".into())),
            }
            if !out.is_empty() {
                wire.send(&out).await?;
            }
        }
    }

    /// Sends a query string and reads everything until the server is ready again.
    pub async fn query(&mut self, sql: &str) -> Result<Reply, Gone> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out).map_err(lost)?;
        self.send(&out).await?;
        let mut reply = Reply::default();
        loop {
            match self.message().await? {
                Message::CommandComplete(body) => reply.tags.push(body.tag().map_err(lost)?.to_string()),
                Message::DataRow(body) => reply.value = first_column(&body),
                Message::NoticeResponse(body) => reply.notices.push(fields(body.fields())),
                Message::ErrorResponse(body) => {
                    let says = fields(body.fields());
                    if matches!(says.severity.as_str(), "FATAL" | "PANIC") {
                        return Err(Gone::Fatal(says));
                    }
                    reply.error = Some(says);
                }
                Message::ReadyForQuery(_) => return Ok(reply),
                _ => {}
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.stream.write_all(bytes).await.map_err(lost)
    }

    async fn message(&mut self) -> Result<Message, Gone> {
        loop {
            if let Some(message) = Message::parse(&mut self.buffer).map_err(lost)? {
                return Ok(message);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(Gone::Lost("the connection was closed".into())),
                Ok(_) => {}
                Err(e) => return Err(lost(e)),
            }
        }
    }
}

fn lost(e: io::Error) -> Gone {
    Gone::Lost(e.to_string())
}

fn first_column(body: &postgres_protocol::message::backend::DataRowBody) -> Option<String> {
    use fallible_iterator::FallibleIterator;
    let range = body.ranges().next().ok().flatten().flatten()?;
    String::from_utf8(body.buffer().get(range)?.to_vec()).ok()
}

mod fallible {
    use super::{ErrorFields, ServerSays};
    use fallible_iterator::FallibleIterator;

    /// Severity (the untranslated one where the server sends it), code and message of an error or notice.
    pub fn fields(mut fields: ErrorFields<'_>) -> ServerSays {
        let mut says = ServerSays::default();
        let mut untranslated = None;
        while let Ok(Some(field)) = fields.next() {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'S' => says.severity = text,
                b'V' => untranslated = Some(text),
                b'C' => says.code = text,
                b'M' => says.message = text,
                _ => {}
            }
        }
        if let Some(severity) = untranslated {
            says.severity = severity;
        }
        says
    }
}

/// What the answer to COMMIT means (docs/EVIDENCE.md, "ledger.jsonl").
pub fn commit_outcome(answer: Result<Reply, Gone>) -> (crate::model::ledger::OpOutcome, Option<String>) {
    use crate::model::ledger::OpOutcome;
    match answer {
        Err(gone) => (OpOutcome::Unknown, Some(gone.why())),
        Ok(reply) => match (&reply.error, reply.tags.last().map(String::as_str)) {
            (Some(error), _) => (OpOutcome::Fail, Some(error.code.clone())),
            (None, Some("COMMIT")) => match reply.notices.iter().find(|n| wait_was_cancelled(n)) {
                // Committed here, and not known to be anywhere else.
                Some(warning) => (OpOutcome::Unknown, Some(format!("wait cancelled: {}", warning.code))),
                None => (OpOutcome::Ok, None),
            },
            // COMMIT of an aborted transaction answers ROLLBACK, without an error.
            (None, Some("ROLLBACK")) => (OpOutcome::Fail, Some("rolled back".into())),
            (None, other) => (OpOutcome::Unknown, Some(format!("answered {}", other.unwrap_or("nothing")))),
        },
    }
}

/// "canceling wait for synchronous replication due to user request", a warning beside COMMIT.
fn wait_was_cancelled(notice: &ServerSays) -> bool {
    notice.severity == "WARNING" && notice.message.contains("wait for synchronous replication")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ledger::OpOutcome;

    fn says(severity: &str, code: &str, message: &str) -> ServerSays {
        ServerSays { severity: severity.into(), code: code.into(), message: message.into() }
    }

    fn reply(tag: &str) -> Reply {
        Reply { tags: vec![tag.into()], ..Default::default() }
    }

    #[test]
    fn only_a_commit_without_a_cancelled_wait_is_ok() {
        assert_eq!(commit_outcome(Ok(reply("COMMIT"))).0, OpOutcome::Ok);
        assert_eq!(commit_outcome(Ok(reply("ROLLBACK"))).0, OpOutcome::Fail);
        let mut cancelled = reply("COMMIT");
        cancelled.notices.push(says("WARNING", "01000", "canceling wait for synchronous replication due to user request"));
        assert_eq!(commit_outcome(Ok(cancelled)).0, OpOutcome::Unknown);
        let failed = Reply { error: Some(says("ERROR", "40001", "could not serialize")), ..Default::default() };
        assert_eq!(commit_outcome(Ok(failed)), (OpOutcome::Fail, Some("40001".into())));
        assert_eq!(commit_outcome(Err(Gone::Fatal(says("FATAL", "57P01", "terminating")))).0, OpOutcome::Unknown);
        assert_eq!(commit_outcome(Err(Gone::Lost("x".into()))).0, OpOutcome::Unknown);
        assert_eq!(commit_outcome(Ok(Reply::default())).0, OpOutcome::Unknown);
    }
}
