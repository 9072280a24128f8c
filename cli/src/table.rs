//! Tables that fit a terminal.

use gpuwarden_proto::vocab::Severity;

use crate::text::{Paint, WIDTH, clean, cut};

const GAP: &str = "  ";
/// A column is never cut to less.
const NARROWEST: usize = 8;

/// A column: its title, and whether it may be cut so that the table fits.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// Whether it may be cut.
    pub may_shrink: bool,
}

/// A column that keeps its width.
pub const fn fixed(title: &'static str) -> Column {
    Column { title, may_shrink: false }
}

/// A column that may be cut.
pub const fn flexible(title: &'static str) -> Column {
    Column { title, may_shrink: true }
}

/// One entry of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    severity: Option<Severity>,
}

impl From<&str> for Cell {
    /// Text from anywhere; it is made harmless here.
    fn from(text: &str) -> Self {
        Self { text: clean(text), severity: None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Severity> for Cell {
    fn from(severity: Severity) -> Self {
        Self { text: severity.as_str().to_owned(), severity: Some(severity) }
    }
}

/// The table as text, at most [`WIDTH`] columns wide.
pub fn render<const N: usize>(columns: [Column; N], rows: &[[Cell; N]], paint: Paint) -> String {
    let widths = widths(&columns, rows);
    let head = columns.map(|column| Cell { text: column.title.to_owned(), severity: None });
    let mut text = line(&head, &widths, paint);
    for row in rows {
        text += &line(row, &widths, paint);
    }
    text
}

fn widths<const N: usize>(columns: &[Column; N], rows: &[[Cell; N]]) -> [usize; N] {
    let mut widths: [usize; N] = std::array::from_fn(|index| {
        let cells = rows.iter().map(|row| row[index].text.chars().count());
        cells.chain([columns[index].title.chars().count()]).max().unwrap_or_default()
    });
    let room = WIDTH - GAP.len() * N.saturating_sub(1);
    while widths.iter().sum::<usize>() > room {
        // The fixed ones give way only when the flexible have nothing left to give.
        let can = |wanted: bool| {
            let wide = widths.iter().enumerate().filter(|(_, width)| **width > NARROWEST);
            let of = wide.filter(|(index, _)| columns[*index].may_shrink || !wanted);
            of.max_by_key(|(_, width)| **width).map(|(index, _)| index)
        };
        let Some(index) = can(true).or_else(|| can(false)) else { break };
        widths[index] -= 1;
    }
    widths
}

fn line<const N: usize>(cells: &[Cell; N], widths: &[usize; N], paint: Paint) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let text = cut(&cell.text, *width);
        let padding = width - text.chars().count();
        line += &cell.severity.map_or_else(|| text.clone(), |of| paint.severity(of, &text));
        line += &" ".repeat(padding);
        line += GAP;
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [
            ["1".into(), Severity::P2.into(), "short".into()],
            ["22".into(), Severity::P1.into(), "".into()],
        ];
        let table = render([fixed("ID"), fixed("SEV"), flexible("TITLE")], &rows, Paint::Plain);
        assert_eq!(table, "ID  SEV  TITLE\n1   P2   short\n22  P1\n");
    }

    #[test]
    fn a_table_never_is_wider_than_the_terminal() {
        let long = "word ".repeat(60);
        let rows = [["node-a".into(), long.as_str().into(), long.as_str().into()]];
        let table = render([fixed("NODE"), flexible("A"), flexible("B")], &rows, Paint::Plain);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        assert!(table.contains("node-a  word"), "{table}");
        assert!(table.contains('…'), "{table}");
    }

    #[test]
    fn colour_does_not_move_the_columns() {
        let rows = [[Severity::P1.into(), "x".into()]];
        let table = render([fixed("SEVERITY"), fixed("T")], &rows, Paint::Colour);
        assert_eq!(table, "SEVERITY  T\n\u{1b}[1;31mP1\u{1b}[0m        x\n");
    }

    #[test]
    fn what_comes_from_outside_cannot_leave_its_cell() {
        let table = render([fixed("NODE")], &[["a\u{1b}[2J\nb".into()]], Paint::Plain);
        assert_eq!(table, "NODE\na\\u{1b}[2J\\nb\n");
    }
}
