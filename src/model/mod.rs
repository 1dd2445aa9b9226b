//! What people write and what is recorded.
//!
//! This room reads text that it is given and turns it into types that cannot be wrong; it defines the
//! events, the ledger and the read-back that a run records. It does no I/O and uses no other room.

pub mod algebra;
pub mod catalog;
pub mod codes;
pub mod decode;
pub mod diag;
pub mod digits;
pub mod event;
pub mod ledger;
pub mod params;
pub mod plan;
pub mod readback;
pub mod scenario;
pub mod secrecy;
pub mod seed;
pub mod set;
pub mod source;
pub mod time;
pub mod units;
pub mod wal;
pub mod yaml;
