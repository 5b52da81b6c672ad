//! Plain tables of commands (Ceph: `TextTable`): two spaces between columns, each column as wide as its
//! widest cell, the last one too.

/// Cells under headings; a table whose headings are all empty shows only its rows. Short rows are filled up with empty cells.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    heading: String,
    heading_right: bool,
    right: bool,
}

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    /// A column with heading and cells at the left.
    #[must_use]
    pub fn left(self, heading: &str) -> Self {
        self.column(heading, false, false)
    }

    /// A column with its heading at the left and its cells at the right.
    #[must_use]
    pub fn right(self, heading: &str) -> Self {
        self.column(heading, false, true)
    }

    /// A column with heading and cells at the right.
    #[must_use]
    pub fn far_right(self, heading: &str) -> Self {
        self.column(heading, true, true)
    }

    fn column(mut self, heading: &str, heading_right: bool, right: bool) -> Self {
        self.columns.push(Column { heading: heading.to_owned(), heading_right, right });
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
        if self.columns.iter().any(|c| !c.heading.is_empty()) {
            let heads = self.columns.iter().zip(&widths).map(|(c, w)| padded(&c.heading, *w, c.heading_right));
            lines.push(heads.collect::<Vec<_>>().join("  "));
        }
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
