//! What is read: every output format, one file each. Made from records and verdicts alone; never from the harness.

pub mod diagnostics;
pub mod figures;
pub mod html;
pub mod json;
pub mod style;
pub mod table;
pub mod terminal;
pub mod timeline;
