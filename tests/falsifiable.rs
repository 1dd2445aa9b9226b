//! Every check ships the sabotage that turns it red, and the documentation says which.

use passmuster::cli::catalog::catalog;
use std::collections::BTreeSet;

/// Expectations that no shipped sabotage can turn red, with the reason. Unit tests turn each of them red.
const WITHOUT: [(&str, &str); 2] = [
    ("slack", "with `known_from: wal` it needs a target that was located wrongly, which no seam of the harness allows"),
    ("rewind", "it needs a damage that goes unnoticed for longer than `rewind`, 15 minutes where it is promised"),
];

#[test]
fn every_expectation_is_named_by_a_sabotage() {
    let catalog = catalog();
    let named: BTreeSet<&str> = catalog.sabotages.iter().flat_map(|s| s.caught_by.iter().copied()).collect();
    for e in &catalog.expectations {
        let without = WITHOUT.iter().find(|(id, _)| *id == e.id);
        assert_eq!(named.contains(e.id), without.is_none(), "`{}`: a sabotage names it, or a reason is given here, and not both", e.id);
    }
}

#[test]
fn sabotages_have_names_of_their_own_and_scenarios_to_act_in() {
    let catalog = catalog();
    let names: BTreeSet<&str> = catalog.sabotages.iter().map(|s| s.name).collect();
    assert_eq!(names.len(), catalog.sabotages.len());
    for s in &catalog.sabotages {
        assert!(!s.scenarios.is_empty() && !s.caught_by.is_empty(), "{}", s.name);
    }
}

#[test]
fn the_documentation_has_each_expectation_and_each_sabotage() {
    let catalog = catalog();
    let page = include_str!("../docs/SCENARIOS.md");
    let section = |id: &str| page.split(&format!("\n### {id}\n")).nth(1).and_then(|rest| rest.split("\n##").next());
    for e in &catalog.expectations {
        assert!(section(e.id).is_some(), "docs/SCENARIOS.md has no heading `{}`", e.id);
    }
    for s in &catalog.sabotages {
        // Some failure classes have the name of a sabotage, and a table of their own.
        let table = page.split("\n## Sabotages\n").nth(1).unwrap_or_default();
        let row = table.lines().find(|l| l.starts_with(&format!("| `{}` |", s.name)));
        let row = row.unwrap_or_else(|| panic!("docs/SCENARIOS.md has no row for `{}`", s.name));
        for id in s.caught_by {
            assert!(row.contains(&format!("`{id}`")), "the row of `{}` does not name `{id}`", s.name);
            if catalog.expectations.iter().any(|e| e.id == *id) {
                assert!(
                    section(id).is_some_and(|text| text.contains(&format!("`{}`", s.name))),
                    "`{id}` does not say that `{}` turns it red",
                    s.name
                );
            }
        }
        for (letter, scenario) in [("D", "postgres-drop-table"), ("L", "postgres-instance-lost"), ("C", "postgres-crash")] {
            let last = row.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default();
            assert_eq!(last.split(' ').any(|l| l == letter), s.scenarios.contains(&scenario), "the row of `{}`, {scenario}", s.name);
        }
    }
}
