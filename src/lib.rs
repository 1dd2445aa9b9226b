//! passmuster checks recovery promises written as policy, rehearses the disasters for real, and keeps
//! evidence that an auditor can recompute.
//!
//! Six rooms, arrows one way: files → [`model`] → plan → [`harness`] → events → [`verdict`] →
//! [`evidence`] → [`report`]; [`cli`] opens the doors. `verdict`, `evidence` and `report` never use
//! `harness`: a recorded run is judged, verified and rendered again with nothing running.

pub mod cli;
pub mod evidence;
pub mod harness;
pub mod model;
pub mod report;
pub mod verdict;
