//! Tables on a terminal.

use super::style::Style;
use comfy_table::{ContentArrangement, Table, presets};

/// A table with a heading, in the house style: no frame, columns aligned. Cells hold plain text; colour is added when it
/// is rendered, so that widths are counted right.
pub fn table(headings: &[&str], style: Style) -> Table {
    let mut t = Table::new();
    t.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(style.width as u16);
    t.set_header(headings.to_vec());
    t
}

/// Renders a table without white space at the ends of lines; outcomes stand out where there is colour.
pub fn render(table: &Table, style: Style) -> String {
    let text = table.to_string();
    let mut out = String::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_end();
        out.push_str(&if i == 0 { style.bold(line) } else { outcomes(line, style) });
        out.push('\n');
    }
    out
}

fn outcomes(line: &str, style: Style) -> String {
    use crate::verdict::Outcome;
    if !style.colour {
        return line.to_string();
    }
    for outcome in [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive, Outcome::Error, Outcome::Skipped] {
        let word = format!("  {}  ", outcome.word());
        if line.contains(&word) {
            return line.replacen(&word, &format!("  {}  ", style.outcome(outcome)), 1);
        }
    }
    line.to_string()
}
