//! Plain tables of commands (Ceph: `TextTable`): headings at the left, two spaces between columns, each
//! column as wide as its widest cell, the last one too.

/// Cells under headings. Short rows are filled up with empty cells.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    heading: String,
    right: bool,
}

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    /// A column with its cells at the left.
    #[must_use]
    pub fn left(self, heading: &str) -> Self {
        self.column(heading, false)
    }

    /// A column with its cells at the right.
    #[must_use]
    pub fn right(self, heading: &str) -> Self {
        self.column(heading, true)
    }

    fn column(mut self, heading: &str, right: bool) -> Self {
        self.columns.push(Column { heading: heading.to_owned(), right });
        self
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, a newline after each line.
    pub fn render(&self) -> String {
        let wide = |s: &str| s.chars().count();
        let cell = |row: &'_ Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
        let width = |i: usize| {
            let cells = self.rows.iter().map(|row| wide(&cell(row, i)));
            cells.chain([wide(&self.columns[i].heading)]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut lines = Vec::with_capacity(self.rows.len() + 2);
        let padded = |text: &str, width: usize, right: bool| match right {
            true => format!("{text:>width$}"),
            false => format!("{text:<width$}"),
        };
        let heads = self.columns.iter().zip(&widths).map(|(c, w)| padded(&c.heading, *w, false));
        lines.push(heads.collect::<Vec<_>>().join("  "));
        for row in &self.rows {
            let cells = self.columns.iter().zip(&widths).enumerate();
            let cells = cells.map(|(i, (c, w))| padded(&cell(row, i), *w, c.right));
            lines.push(cells.collect::<Vec<_>>().join("  "));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_are_padded() {
        let mut t = Table::new().right("ID").left("NAME");
        t.row(["-10".to_owned(), "a".to_owned()]);
        t.row(["1".to_owned()]);
        assert_eq!(t.render(), "ID   NAME\n-10  a   \n  1      \n");
    }
}
