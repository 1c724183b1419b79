//! Tables in Markdown.

use super::figures::Figure;
use super::matrix::Matrix;

/// One figure of a matrix: a row for each program, and for each load the figure and its ratios to
/// those of other rows.
pub(super) fn of_matrix(matrix: &Matrix, figure: Figure, ratios_to: &[&str]) -> String {
    let mut head = vec![String::new()];
    for column in &matrix.columns {
        head.push(column.clone());
        head.extend(ratios_to.iter().map(|name| format!("÷ {name}")));
    }
    let value = |row: &str, column: &str| matrix.get(row, column).map_or(f64::NAN, figure.of);
    let rows = matrix.rows.iter().map(|row| {
        let mut cells = vec![row.clone()];
        for column in &matrix.columns {
            let own = value(row, column);
            cells.push(number(own));
            let ratios = ratios_to
                .iter()
                .map(|to| matrix.ratio(figure, row, to, column));
            cells.extend(ratios.map(number));
        }
        cells
    });
    format!("{}\n\n{}", figure.title, markdown(&head, rows))
}

/// A table of cells.
pub(super) fn markdown(head: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(head);
    table += "|---|";
    table += &"---:|".repeat(head.len().saturating_sub(1));
    table.push('\n');
    for row in rows {
        table += &line(&row);
    }
    table
}

/// A figure with as many digits as it is worth.
pub(super) fn number(figure: f64) -> String {
    match figure.abs() {
        _ if !figure.is_finite() => "–".to_owned(),
        size if size >= 10_000.0 => thousands(figure),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_they_are_worth() {
        for (figure, text) in [
            (0.0, "0.000"),
            (0.125, "0.125"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (1_234.5, "1234"),
            (1_234_567.0, "1,234,567"),
            (-123_456.0, "-123,456"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(number(figure), text);
        }
    }

    #[test]
    fn a_table_has_its_names_left_and_its_figures_right() {
        let head = ["".to_owned(), "x".to_owned()];
        let table = markdown(&head, [vec!["a".to_owned(), "1".to_owned()]]);
        assert_eq!(table, "|  | x |\n|---|---:|\n| a | 1 |\n");
    }
}
