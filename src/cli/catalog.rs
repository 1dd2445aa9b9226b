//! Everything that can be named, from the rooms that register it.

use crate::harness;
use crate::model::catalog::Catalog;
use crate::verdict::expectations;

/// The whole catalog.
pub fn catalog() -> Catalog {
    let mut catalog = harness::catalog();
    catalog.expectations = expectations::specs();
    catalog
}
