//! Rows of cells to a table for people, or to CSV.

use super::rows::Row;

/// What stands in a place of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// As it is.
    Text(String),
    /// A number as it is, and its value.
    Number(String, f64),
    /// Nothing is known.
    Unknown,
}

impl Cell {
    pub(crate) fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }

    /// NaN is unknown.
    pub(crate) fn number<N: Into<f64> + ToString + Copy>(number: N) -> Self {
        if number.into().is_finite() {
            Self::Number(number.to_string(), number.into())
        } else {
            Self::Unknown
        }
    }

    pub(crate) fn maybe(number: Option<f64>) -> Self {
        number.map_or(Self::Unknown, Self::number)
    }

    fn exact(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text, _) => text,
            Self::Unknown => "",
        }
    }

    fn short(&self) -> String {
        match self {
            Self::Text(text) => text.replace(['\n', '\r', '\t'], " "),
            Self::Number(_, value) => short(*value),
            Self::Unknown => "-".to_owned(),
        }
    }
}

/// Four digits that count, or all before the point.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 1_000.0 => 0,
        middle if middle >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Headers, and rows of as many cells.
#[derive(Debug)]
pub(crate) struct Sheet {
    headers: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Sheet {
    pub(crate) fn of<T: Row>(rows: &[T]) -> Self {
        Self {
            headers: T::headers(rows),
            rows: rows.iter().flat_map(Row::cells).collect(),
        }
    }

    /// With a header, each number as exact as it is kept.
    pub(crate) fn csv(&self) -> anyhow::Result<String> {
        let mut out = csv::Writer::from_writer(Vec::new());
        out.write_record(&self.headers)?;
        Ok(String::from_utf8(out.into_inner()?)? + &self.csv_rows()?)
    }

    /// The same without the header, for rows that follow others.
    pub(super) fn csv_rows(&self) -> anyhow::Result<String> {
        let mut out = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            out.write_record(row.iter().map(Cell::exact))?;
        }
        Ok(String::from_utf8(out.into_inner()?)?)
    }

    /// In columns; numbers are rounded and stand at the right.
    pub(crate) fn table(&self) -> String {
        let texts: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::short).collect())
            .collect();
        let width = |column: usize| {
            let cells = texts.iter().filter_map(|row| row.get(column));
            cells
                .chain(self.headers.get(column))
                .map(|text| text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headers.len()).map(width).collect();
        let is_number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.all(|cell| !matches!(cell, Cell::Text(_)))
        };
        let numbers: Vec<bool> = (0..self.headers.len()).map(is_number).collect();
        let line = |cells: &[String]| {
            let padded = cells
                .iter()
                .zip(&widths)
                .zip(&numbers)
                .map(|((cell, &width), &number)| {
                    if number {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                });
            let line = padded.collect::<Vec<_>>().join("  ");
            format!("{}\n", line.trim_end())
        };
        let mut table = line(&self.headers);
        for row in &texts {
            table += &line(row);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(&'static str, f64);

    impl Row for Pair {
        fn headers(_: &[Self]) -> Vec<String> {
            vec!["host".to_owned(), "power_w".to_owned()]
        }

        fn cells(&self) -> Vec<Vec<Cell>> {
            vec![vec![Cell::text(self.0), Cell::number(self.1)]]
        }
    }

    #[test]
    fn a_table_is_for_people_and_csv_is_exact() {
        let sheet = Sheet::of(&[
            Pair("a", 1_234.567),
            Pair("web, \"1\"\n", f64::NAN),
            Pair("c", 0.123_456),
        ]);
        assert_eq!(
            sheet.table(),
            "host       power_w\na             1235\nweb, \"1\"         -\nc           0.1235\n"
        );
        let rows = "a,1234.567\n\"web, \"\"1\"\"\n\",\nc,0.123456\n";
        assert_eq!(sheet.csv().unwrap(), format!("host,power_w\n{rows}"));
        assert_eq!(sheet.csv_rows().unwrap(), rows);
    }

    #[test]
    fn numbers_are_as_short_as_they_say_something() {
        for (value, told) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (12.0, "12"),
            (12.345, "12.35"),
            (-0.000_01, "-0"),
            (1e9, "1000000000"),
        ] {
            assert_eq!(short(value), told);
        }
    }
}
