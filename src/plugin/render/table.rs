//! How do people read a table? Columns under each other, two blanks apart, as kubectl's.

use super::paint::{Paint, Tone};

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text with a tone. Nothing is shown as a dash, and what would move the cursor as a blank.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text: String = text.into().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { text: if text.is_empty() { "-".into() } else { text }, tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Lines of text: the heading, then the rows. Colours do not count for the width.
pub fn table(heading: &[&str], rows: &[Vec<Cell>], paint: Paint) -> String {
    let heading: Vec<Cell> = heading.iter().map(|it| Cell::new(*it, Tone::Heading)).collect();
    let all: Vec<&Vec<Cell>> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|it| it.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    for row in all {
        let last = row.len().saturating_sub(1);
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text.push_str(&paint.paint(cell.tone, &cell.text));
            if column < last {
                let blanks = width - cell.text.chars().count() + 2;
                text.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_with_and_without_colours() {
        let rows = [vec![Cell::from("é"), Cell::new("yes", Tone::Good)], vec![Cell::from("long"), Cell::from("")]];
        assert_eq!(table(&["NAME", "READY"], &rows, Paint(false)), "NAME  READY\né     yes\nlong  -\n");
        let coloured = table(&["NAME", "READY"], &rows, Paint(true));
        assert!(coloured.contains("é     \u{1b}[32myes\u{1b}[0m\n"), "{coloured:?}");
    }

    #[test]
    fn what_a_cluster_says_cannot_move_the_cursor() {
        let shown = table(&["A"], &[vec![Cell::from("a\u{1b}[2Jb\nc")]], Paint(false));
        assert_eq!(shown, "A\na [2Jb c\n");
    }
}
