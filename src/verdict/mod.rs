//! Pure arithmetic over a record: times, loss, exactness, and what they mean for the promises.
//!
//! Nothing here reads a clock, a file or a network; the same record always gives the same verdict, on any
//! machine. This room uses `model` only.

pub mod archive;
pub mod book;
pub mod exact;
pub mod expectations;
pub mod judge;
pub mod loss;
pub mod outcome;
pub mod record;
pub mod seen;
pub mod stats;
#[cfg(test)]
mod testbed;
pub mod times;
pub mod trust;
pub mod words;

pub use judge::{Judgement, Verdict, judge};
pub use outcome::Outcome;
pub use record::Record;
