//! The machine view on standard output: the same as `run.json`.

use crate::evidence::view::RunView;

/// One run is an object, several are an array.
pub fn runs(views: &[RunView]) -> String {
    match views {
        [one] => one.to_json(),
        several => serde_json::to_string_pretty(several).unwrap_or_default() + "\n",
    }
}
