//! Tables on a terminal.

use super::style::Style;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

/// A table with a heading, in the house style: no frame, columns aligned. Cells hold plain text; colour is added when it
/// is rendered, so that widths are counted right.
pub fn table(headings: &[&str], style: Style) -> Table {
    let mut t = Table::new();
    t.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(style.width as u16);
    t.set_header(headings.to_vec());
    t
}

/// Never breaks a column, such as one of names that people copy.
pub fn keep_whole(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

/// Text broken between words to a width; line breaks stay.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut column = 0;
        for word in line.split(' ').filter(|w| !w.is_empty()) {
            let len = word.chars().count();
            if column > 0 && column + 1 + len > width {
                out.push('\n');
                column = 0;
            }
            if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += len;
        }
        out.push('\n');
    }
    out
}

/// The same, each line indented.
pub fn indented(text: &str, by: usize, width: usize) -> String {
    wrapped(text, width.saturating_sub(by).max(20)).lines().map(|l| format!("{}{l}\n", " ".repeat(by))).collect()
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
