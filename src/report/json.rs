//! The machine view on standard output: runs, each as in its `run.json`.

use crate::evidence::view::RunView;
use serde::Serialize;

/// Version of this view.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Runs<'a> {
    version: u32,
    runs: Vec<&'a RunView>,
}

/// `{"version": 1, "runs": […]}`, however many there are.
pub fn runs<'a>(views: impl IntoIterator<Item = &'a RunView>) -> String {
    let all = Runs { version: VERSION, runs: views.into_iter().collect() };
    serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::verify;
    use crate::verdict::Record;

    #[test]
    fn none_one_and_several_runs_have_the_same_shape() {
        let view = verify::recompute(&Record::default());
        for n in 0..3 {
            let views = vec![view.clone(); n];
            let value: serde_json::Value = serde_json::from_str(&runs(&views)).unwrap();
            assert_eq!(value["version"], 1);
            assert_eq!(value["runs"].as_array().map(Vec::len), Some(n));
            assert!(value["runs"].as_array().unwrap().iter().all(|r| r["verdict"]["outcome"].is_string()));
        }
    }
}
