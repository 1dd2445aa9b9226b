//! Parameters of registered kinds: declared once, read, checked, documented and put into the schema
//! from the same declaration.

use super::codes::Code;
use super::decode::Reader;
use super::diag::{Diagnostic, quoted};
use super::source::{Span, Spanned};
use super::units;
use super::yaml::{Kind, Node};
use serde::Serialize;
use serde::ser::Serializer;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamType {
    /// `15m`
    Duration,
    /// `60s`: whole seconds within bounds, since the server counts in seconds.
    Seconds(u64, u64),
    /// `16MiB`
    Size,
    /// `16MiB`: a power of two within bounds.
    PowerOfTwo(u64, u64),
    /// `200/s`
    Rate,
    /// `25%`
    Share,
    /// A whole number within bounds.
    Int(i64, i64),
    /// `true` or `false`
    Bool,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `env:NAME`, `file:PATH` or `ephemeral`
    Secret,
    /// A mapping of names to text: settings of a server, except those that the harness itself must set.
    Settings,
    /// `{age: env:NAME}` or `none`
    Cipher,
    /// A duration, a share, or one of these words (`random`, `before-switch`, `40%`).
    ShareOr(&'static [&'static str]),
}

/// One parameter of a registered kind.
#[derive(Debug, Clone, Copy)]
pub struct ParamSpec {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParamType,
    /// As it would be written; `None`: it must be given, or is absent (`optional`).
    pub default: Option<&'static str>,
    /// May be left out without a default.
    pub optional: bool,
    /// What it does, one sentence.
    pub doc: &'static str,
}

impl ParamSpec {
    /// A parameter with a default.
    pub const fn new(name: &'static str, kind: ParamType, default: &'static str, doc: &'static str) -> Self {
        Self { name, kind, default: Some(default), optional: false, doc }
    }

    /// A parameter that must be given.
    pub const fn required(name: &'static str, kind: ParamType, doc: &'static str) -> Self {
        Self { name, kind, default: None, optional: false, doc }
    }

    /// A parameter that may be absent.
    pub const fn optional(name: &'static str, kind: ParamType, doc: &'static str) -> Self {
        Self { name, kind, default: None, optional: true, doc }
    }
}

/// Where a secret comes from. The secret itself is never in a model type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// The content of a file, without its last line break.
    File(String),
    /// Made for the run and gone with it.
    Ephemeral,
}

impl SecretRef {
    /// Reads `env:NAME`, `file:PATH` or `ephemeral`.
    pub fn parse(text: &str) -> Option<SecretRef> {
        if text == "ephemeral" {
            return Some(SecretRef::Ephemeral);
        }
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                Some(SecretRef::Env(name.into()))
            }
            Some(("file", path)) if !path.is_empty() => Some(SecretRef::File(path.into())),
            _ => None,
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{path}"),
            SecretRef::Ephemeral => f.write_str("ephemeral"),
        }
    }
}

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A length of time.
    Duration(Duration),
    /// Bytes.
    Size(u64),
    /// Events per second.
    Rate(f64),
    /// From 0 to 1.
    Share(f64),
    /// A whole number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(String),
    /// A reference to a secret.
    Secret(SecretRef),
    /// Settings by name.
    Settings(BTreeMap<String, String>),
    /// What is stored is encrypted with age and this key, or not at all.
    Cipher(Option<SecretRef>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Duration(d) => f.write_str(&units::written_duration(*d)),
            Value::Size(s) => f.write_str(&units::written_size(*s)),
            Value::Rate(r) => write!(f, "{r}/s"),
            Value::Share(s) => write!(f, "{}%", units::percent(*s)),
            Value::Int(i) => write!(f, "{i}"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Text(t) => f.write_str(t),
            Value::Secret(s) => write!(f, "{s}"),
            Value::Settings(m) => {
                let all: Vec<_> = m.iter().map(|(k, v)| format!("{k}={v}")).collect();
                f.write_str(&all.join(", "))
            }
            Value::Cipher(Some(key)) => write!(f, "age with {key}"),
            Value::Cipher(None) => f.write_str("none"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Int(i) => s.serialize_i64(*i),
            Value::Bool(b) => s.serialize_bool(*b),
            Value::Settings(m) => m.serialize(s),
            other => s.serialize_str(&other.to_string()),
        }
    }
}

/// Checked values by name, each with its place (a default has the place of the whole).
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: BTreeMap<&'static str, Spanned<Value>>,
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.values.iter().map(|(k, v)| (k, &v.value)))
    }
}

impl Params {
    /// Where a parameter was written.
    pub fn span(&self, name: &str) -> Option<Span> {
        self.values.get(name).map(|v| v.span)
    }

    /// The value, if there is one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).map(|v| &v.value)
    }

    /// All values by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(k, v)| (*k, &v.value))
    }

    /// A duration parameter; zero if it is not there.
    pub fn duration(&self, name: &str) -> Duration {
        match self.get(name) {
            Some(Value::Duration(d)) => *d,
            _ => Duration::ZERO,
        }
    }

    /// A size parameter in bytes; zero if it is not there.
    pub fn size(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Value::Size(s)) => *s,
            _ => 0,
        }
    }

    /// A rate parameter in events per second; zero if it is not there.
    pub fn rate(&self, name: &str) -> f64 {
        match self.get(name) {
            Some(Value::Rate(r)) => *r,
            _ => 0.0,
        }
    }

    /// A share parameter from 0 to 1; `None` if it is not there or a word.
    pub fn share(&self, name: &str) -> Option<f64> {
        match self.get(name) {
            Some(Value::Share(s)) => Some(*s),
            _ => None,
        }
    }

    /// A number parameter; zero if it is not there.
    pub fn int(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Int(i)) => *i,
            _ => 0,
        }
    }

    /// A truth value; false if it is not there.
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    /// A text or choice parameter; `None` if it is not there.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(t)) => Some(t),
            _ => None,
        }
    }

    /// A reference to a secret.
    pub fn secret(&self, name: &str) -> Option<&SecretRef> {
        match self.get(name) {
            Some(Value::Secret(s)) => Some(s),
            _ => None,
        }
    }

    /// The key of the cipher, if there is one.
    pub fn cipher(&self, name: &str) -> Option<&SecretRef> {
        match self.get(name) {
            Some(Value::Cipher(key)) => key.as_ref(),
            _ => None,
        }
    }

    /// Server settings; empty if there are none.
    pub fn settings(&self, name: &str) -> BTreeMap<String, String> {
        match self.get(name) {
            Some(Value::Settings(m)) => m.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// Puts a value in, as a default or an override.
    pub fn set(&mut self, name: &'static str, value: Value, span: Span) {
        self.values.insert(name, Spanned::new(value, span));
    }
}

/// Reads one parameter.
pub fn read_value(r: &mut Reader<'_>, node: &Node, kind: ParamType) -> Option<Value> {
    Some(match kind {
        ParamType::Duration => Value::Duration(r.duration(node)?.value),
        ParamType::Seconds(min, max) => {
            let d = r.duration(node)?.value;
            let fits = d.subsec_nanos() == 0 && (min..=max).contains(&d.as_secs());
            within(r, node, fits, "whole seconds", &Value::Duration(Duration::from_secs(min)), &Value::Duration(Duration::from_secs(max)))?;
            Value::Duration(d)
        }
        ParamType::Size => Value::Size(r.size(node)?.value),
        ParamType::PowerOfTwo(min, max) => {
            let size = r.size(node)?.value;
            let fits = size.is_power_of_two() && (min..=max).contains(&size);
            within(r, node, fits, "a power of two", &Value::Size(min), &Value::Size(max))?;
            Value::Size(size)
        }
        ParamType::Rate => Value::Rate(r.rate(node)?.value),
        ParamType::Share => Value::Share(r.ratio(node)?.value),
        ParamType::Int(min, max) => Value::Int(r.integer(node, min, max)?.value),
        ParamType::Bool => Value::Bool(r.boolean(node)?.value),
        ParamType::Text => Value::Text(r.text(node)?.value),
        ParamType::Choice(choices) => Value::Text(r.choice(node, choices)?.value.to_string()),
        ParamType::Secret => Value::Secret(r.secret(node, true)?.value),
        ParamType::ShareOr(words) => match node.text().and_then(units::parse_ratio) {
            Some(share) => Value::Share(share),
            None if node.text().is_some_and(|t| t.ends_with('%')) => Value::Share(r.ratio(node)?.value),
            None => Value::Text(r.choice(node, words)?.value.to_string()),
        },
        ParamType::Cipher => {
            if node.text() == Some("none") {
                return Some(Value::Cipher(None));
            }
            let Kind::Map(entries) = &node.kind else {
                r.diags.conceal(node.span);
                r.wrong(node, "a cipher", "{age: env:DRILL_KEY}");
                return None;
            };
            // Whatever stands here may have been meant as a key.
            let open = entries.iter().filter(|(_, v)| v.text().and_then(SecretRef::parse).is_none());
            open.for_each(|(_, v)| r.diags.conceal(v.span));
            let mut fields = r.fields(node, "a cipher")?;
            let key = fields.req(r, "age", "env:DRILL_KEY");
            fields.finish(r);
            Value::Cipher(Some(r.secret(key?, true)?.value))
        }
        ParamType::Settings => {
            let Kind::Map(entries) = &node.kind else {
                r.wrong(node, "a mapping of settings", "{work_mem: 8MB}");
                return None;
            };
            r.fields(node, "`settings`")?;
            let mut out = BTreeMap::new();
            for (key, value) in entries {
                if MANAGED_SETTINGS.contains(&key.value.to_ascii_lowercase().as_str()) {
                    let message = format!("{} is kept by passmuster", quoted(&key.value));
                    let help = "leave it out: the lab and the backup method set it, and what they measure depends on it";
                    r.push(Diagnostic::new(Code::ManagedSetting, message, key.span).label("not to be set here").help(help));
                    continue;
                }
                // `off` is PostgreSQL's own spelling, so settings take any scalar as it stands.
                match value.text() {
                    Some(text) if !value.is_null() => {
                        out.insert(key.value.clone(), text.to_string());
                    }
                    _ => r.wrong(value, "text", "8MB"),
                }
            }
            Value::Settings(out)
        }
    })
}

/// Says so if a value is not `what` from `min` to `max`.
fn within(r: &mut Reader<'_>, node: &Node, fits: bool, what: &str, min: &Value, max: &Value) -> Option<()> {
    if !fits {
        let message = format!("{} is not {what} from {min} to {max}", quoted(node.text().unwrap_or_default()));
        r.push(Diagnostic::new(Code::OutOfRange, message, node.span).help(format!("write {what} from {min} to {max}")));
    }
    fits.then_some(())
}

/// Settings of a server that the lab, the endpoint or the backup method keep: another value would break the run, or be
/// overwritten without a word.
pub const MANAGED_SETTINGS: &[&str] = &[
    "allow_alter_system",
    "archive_cleanup_command",
    "archive_command",
    "archive_library",
    "archive_mode",
    "archive_timeout",
    "cluster_name",
    "config_file",
    "data_checksums",
    "data_directory",
    "dynamic_shared_memory_type",
    "external_pid_file",
    "hba_file",
    "hot_standby",
    "ident_file",
    "include",
    "include_dir",
    "include_if_exists",
    "lc_messages",
    "listen_addresses",
    "log_destination",
    "log_directory",
    "log_filename",
    "log_line_prefix",
    "log_timezone",
    "logging_collector",
    "port",
    "primary_conninfo",
    "recovery_end_command",
    "recovery_min_apply_delay",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "restore_command",
    "timezone",
    "unix_socket_directories",
    "wal_segment_size",
];

/// Reads the parameters that `specs` declare out of `fields`; defaults are filled in.
pub fn read_params(r: &mut Reader<'_>, fields: &mut super::decode::Fields<'_>, specs: &[ParamSpec]) -> Params {
    let mut params = Params::default();
    for spec in specs {
        let node = if spec.default.is_none() && !spec.optional { fields.req(r, spec.name, example(spec.kind)) } else { fields.opt(spec.name) };
        let span = node.map_or(fields.span, |n| n.span);
        let value = match node {
            Some(node) => read_value(r, node, spec.kind),
            None => spec.default.and_then(|text| default_value(spec.kind, text)),
        };
        if let Some(value) = value {
            params.set(spec.name, value, span);
        }
    }
    params
}

/// The value of a default as declared; `None` only for a declaration that a test refuses.
pub fn default_value(kind: ParamType, text: &str) -> Option<Value> {
    Some(match kind {
        ParamType::Duration | ParamType::Seconds(..) => Value::Duration(units::parse_duration(text)?),
        ParamType::Size | ParamType::PowerOfTwo(..) => Value::Size(units::parse_size(text)?),
        ParamType::Rate => Value::Rate(units::parse_rate(text)?),
        ParamType::Share => Value::Share(units::parse_ratio(text)?),
        ParamType::Int(min, max) => Value::Int(text.parse().ok().filter(|n| (min..=max).contains(n))?),
        ParamType::Bool => Value::Bool(text.parse().ok()?),
        ParamType::Text => Value::Text(text.to_string()),
        ParamType::Choice(choices) => Value::Text(choices.iter().find(|c| **c == text)?.to_string()),
        ParamType::Secret => Value::Secret(SecretRef::parse(text)?),
        ParamType::Settings => Value::Settings(BTreeMap::new()),
        ParamType::Cipher if text == "none" => Value::Cipher(None),
        ParamType::Cipher => Value::Cipher(Some(SecretRef::parse(text.strip_prefix("{age: ")?.strip_suffix('}')?)?)),
        ParamType::ShareOr(words) => match units::parse_ratio(text) {
            Some(share) => Value::Share(share),
            None => Value::Text(words.iter().find(|w| **w == text)?.to_string()),
        },
    })
}

/// How a value of this type looks, for help texts and docs.
pub fn example(kind: ParamType) -> &'static str {
    match kind {
        ParamType::Duration | ParamType::Seconds(..) => "30s",
        ParamType::Size | ParamType::PowerOfTwo(..) => "64MiB",
        ParamType::Rate => "200/s",
        ParamType::Share => "25%",
        ParamType::Int(..) => "4",
        ParamType::Bool => "true",
        ParamType::Text => "text",
        ParamType::Choice(choices) | ParamType::ShareOr(choices) => choices.first().copied().unwrap_or("word"),
        ParamType::Secret => "env:NAME",
        ParamType::Settings => "{work_mem: 8MB}",
        ParamType::Cipher => "{age: env:DRILL_KEY}",
    }
}

/// What a parameter takes, in words.
pub fn describe(kind: ParamType) -> String {
    match kind {
        ParamType::Duration => "duration".into(),
        ParamType::Seconds(min, max) => {
            let written = |s| units::written_duration(Duration::from_secs(s));
            format!("whole seconds, {} to {}", written(min), written(max))
        }
        ParamType::Size => "size".into(),
        ParamType::PowerOfTwo(min, max) => format!("power of two, {} to {}", units::written_size(min), units::written_size(max)),
        ParamType::Rate => "rate".into(),
        ParamType::Share => "share".into(),
        ParamType::Int(min, max) => format!("whole number {min} to {max}"),
        ParamType::Bool => "true or false".into(),
        ParamType::Text => "text".into(),
        ParamType::Choice(choices) => choices.join(" | "),
        ParamType::Secret => "env:NAME | file:PATH | ephemeral".into(),
        ParamType::Settings => "mapping of settings".into(),
        ParamType::Cipher => "{age: KEY} | none".into(),
        ParamType::ShareOr(words) => format!("share | {}", words.join(" | ")),
    }
}
