//! What is kept of a run, and how it is checked again with nothing running.

pub mod bundle;
pub mod seal;
pub mod verify;
pub mod view;
