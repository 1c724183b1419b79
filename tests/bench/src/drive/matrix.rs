//! Programs by loads: measured in rounds, medians kept.

use std::fmt;

use anyhow::{Context, Result};

use super::figures::Figure;
use crate::report::Report;

/// The figures of each row under each column.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) rows: Vec<String>,
    pub(super) columns: Vec<String>,
    cells: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug)]
struct Cell {
    rounds: Vec<Report>,
    median: Report,
}

impl Matrix {
    /// Measures each cell once a round.
    pub(super) fn measure<L: fmt::Display>(
        rounds: usize,
        rows: Vec<String>,
        loads: &[L],
        mut measure: impl FnMut(usize, &L) -> Result<Report>,
    ) -> Result<Self> {
        let mut samples = vec![vec![Vec::with_capacity(rounds); loads.len()]; rows.len()];
        for _ in 0..rounds {
            for (column, load) in loads.iter().enumerate() {
                for (row, name) in rows.iter().enumerate() {
                    let report = measure(row, load).with_context(|| format!("{name}, {load}"))?;
                    samples[row][column].push(report);
                }
            }
        }
        let cell = |rounds: Vec<Report>| Cell {
            median: median(&rounds),
            rounds,
        };
        let cells = |row: Vec<Vec<Report>>| row.into_iter().map(cell).collect();
        Ok(Self {
            rows,
            columns: loads.iter().map(ToString::to_string).collect(),
            cells: samples.into_iter().map(cells).collect(),
        })
    }

    /// The medians of a cell, by its names.
    pub(super) fn get(&self, row: &str, column: &str) -> Option<&Report> {
        Some(&self.cell(row, column)?.median)
    }

    /// The median over the rounds of a figure's ratio to that of another row: what the machine does
    /// to one round it does to both.
    pub(super) fn ratio(&self, figure: Figure, row: &str, to: &str, column: &str) -> f64 {
        let (Some(cell), Some(to)) = (self.cell(row, column), self.cell(to, column)) else {
            return f64::NAN;
        };
        let rounds = cell.rounds.iter().zip(&to.rounds);
        middle(
            rounds
                .map(|(own, to)| (figure.of)(own) / (figure.of)(to))
                .collect(),
        )
    }

    fn cell(&self, row: &str, column: &str) -> Option<&Cell> {
        let row = self.rows.iter().position(|name| name == row)?;
        let column = self.columns.iter().position(|name| name == column)?;
        self.cells.get(row)?.get(column)
    }
}

/// The median of each figure by itself.
fn median(reports: &[Report]) -> Report {
    let figure = |of: fn(&Report) -> f64| middle(reports.iter().map(of).collect());
    let server: Vec<f64> = reports
        .iter()
        .filter_map(|report| report.server_cpu_us_per_call)
        .collect();
    Report {
        calls: reports.iter().map(|report| report.calls).sum(),
        calls_per_s: figure(|report| report.calls_per_s),
        p50_us: figure(|report| report.p50_us),
        p99_us: figure(|report| report.p99_us),
        p999_us: figure(|report| report.p999_us),
        cpu_us_per_call: figure(|report| report.cpu_us_per_call),
        server_cpu_us_per_call: (!server.is_empty()).then(|| middle(server)),
    }
}

/// The middle one, or the mean of the middle two; of none, no number.
pub(super) fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match (figures.get(half), figures.len() % 2) {
        (None, _) => f64::NAN,
        (Some(&middle), 1) => middle,
        (Some(&upper), _) => f64::midpoint(figures[half - 1], upper),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::CALLS;
    use super::*;

    fn report(figure: f64) -> Report {
        Report {
            calls: 1,
            calls_per_s: figure,
            p50_us: figure,
            p99_us: figure,
            p999_us: figure,
            cpu_us_per_call: figure,
            server_cpu_us_per_call: Some(figure),
        }
    }

    #[test]
    fn the_middle_of_figures_does_not_depend_on_their_order() {
        assert_eq!(middle(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(middle(vec![4.0, 1.0, 100.0, 2.0]), 3.0);
        assert!(middle(vec![]).is_nan());
    }

    #[test]
    fn cells_are_measured_in_turns_and_are_medians() {
        let mut order = Vec::new();
        let rows = vec!["a".to_owned(), "b".to_owned()];
        let matrix = Matrix::measure(3, rows, &["x", "y"], |row, load| {
            order.push((row, *load));
            Ok(report(order.len() as f64))
        })
        .unwrap();
        assert_eq!(
            order[..5],
            [(0, "x"), (1, "x"), (0, "y"), (1, "y"), (0, "x")]
        );
        let cell = matrix.get("b", "y").unwrap();
        assert_eq!((cell.calls_per_s, cell.calls), (8.0, 3));
        assert!(matrix.get("c", "y").is_none());
    }

    #[test]
    fn a_ratio_is_of_figures_of_one_round() {
        // One round is slow, for one row more than for the other.
        let figures = [[1.0, 2.0], [30.0, 90.0], [1.1, 2.2]];
        let mut rounds = [0; 2];
        let rows = vec!["a".to_owned(), "b".to_owned()];
        let matrix = Matrix::measure(3, rows, &["x"], |row, _| {
            rounds[row] += 1;
            Ok(report(figures[rounds[row] - 1][row]))
        })
        .unwrap();
        assert_eq!(matrix.ratio(CALLS, "b", "a", "x"), 2.0);
        assert!(matrix.ratio(CALLS, "b", "c", "x").is_nan());
    }

    #[test]
    fn a_failure_names_the_cell() {
        let rows = vec!["a".to_owned()];
        let failed = Matrix::measure(1, rows, &["x"], |_, _| anyhow::bail!("broken"));
        assert_eq!(failed.unwrap_err().to_string(), "a, x");
    }
}
