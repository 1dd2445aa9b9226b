//! Stamps of the one monotonic clock, and the wall-clock labels beside them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds on the recorder's monotonic clock since the run began (docs/FIGURES.md, "The clock").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Time from an earlier stamp; zero if `earlier` is later.
    pub fn since(self, earlier: Stamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Seconds since the run began.
    pub fn secs(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add<Duration> for Stamp {
    type Output = Stamp;
    fn add(self, d: Duration) -> Stamp {
        Stamp(self.0.saturating_add(d.as_nanos() as u64))
    }
}

impl Sub<Duration> for Stamp {
    type Output = Stamp;
    fn sub(self, d: Duration) -> Stamp {
        Stamp(self.0.saturating_sub(d.as_nanos() as u64))
    }
}

/// A moment of wall-clock time, in microseconds since 1970 UTC: the resolution of PostgreSQL's own.
/// It labels; it is never subtracted from a stamp of another clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

impl Wall {
    /// The moment now. The only place that reads the wall clock.
    #[allow(clippy::disallowed_methods)]
    pub fn now() -> Wall {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Wall(since.as_micros() as i64)
    }

    /// RFC 3339 in UTC with microseconds and `Z`.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(ts) => format!("{ts:.6}"),
            Err(_) => format!("{}us", self.0),
        }
    }

    /// As PostgreSQL's configuration takes it: with a numeric zone, since it knows no names of zones yet when it reads it.
    pub fn postgres(self) -> String {
        self.rfc3339().replacen('T', " ", 1).replacen('Z', "+00", 1)
    }

    /// `20261121T141530Z`, for names.
    pub fn compact(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(ts) => ts.strftime("%Y%m%dT%H%M%SZ").to_string(),
            Err(_) => self.0.to_string(),
        }
    }

    /// Reads what PostgreSQL prints for a `timestamptz` in UTC (`2026-11-21 14:15:30.123456+00`, or
    /// with ` UTC` as `pg_waldump` has it), or RFC 3339.
    pub fn parse(text: &str) -> Option<Wall> {
        let text = text.trim();
        if let Ok(ts) = text.parse::<jiff::Timestamp>() {
            return Some(Wall(ts.as_microsecond()));
        }
        let bare = text.strip_suffix(" UTC").or_else(|| text.strip_suffix("+00")).or_else(|| text.strip_suffix(" GMT"))?;
        let civil: jiff::civil::DateTime = bare.trim().replacen(' ', "T", 1).parse().ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Wall(zoned.timestamp().as_microsecond()))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_spellings_of_one_moment() {
        let at = Wall::parse("2026-11-21T14:15:30.5Z").unwrap();
        assert_eq!(Wall::parse("2026-11-21 14:15:30.5+00"), Some(at));
        assert_eq!(Wall::parse("2026-11-21 14:15:30.500000 UTC"), Some(at));
        assert_eq!(at.rfc3339(), "2026-11-21T14:15:30.500000Z");
        assert_eq!(at.postgres(), "2026-11-21 14:15:30.500000+00");
        assert_eq!(Wall::parse(&at.postgres()), Some(at));
        assert_eq!(Wall::parse("yesterday"), None);
    }
}
