//! The budgets of the design and the measured values: for the native engine, with the other beside
//! it.

use super::figures::{CALLS, CLIENT_CPU, P99_TO_P50, SERVER_CPU};
use super::matrix::Matrix;
use super::memory::Held;
use super::pairs::ECHO;
use super::programs::{FLOOR, SOCKET, TONIC};
use super::table::{markdown, number};
use super::variants::Variant;
use crate::engine::Engine;

/// All that budgets are about.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    pub(super) servers: &'a Matrix,
    pub(super) clients: &'a Matrix,
    /// The CPU of the client, balanced ÷ by hand, of each engine.
    pub(super) balancing: &'a [(String, f64)],
    pub(super) variants: &'a [Variant],
    pub(super) echo: &'a Matrix,
    pub(super) memory: &'a [Held],
    pub(super) allocations: &'a [(String, f64)],
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {}", number(most)),
            Self::AtLeast(least) => format!("≥ {}", number(least)),
        }
    }
}

/// The table: a row for each budget, and a column for each of rgrpc's programs under it.
pub(super) fn table(measured: &Measured<'_>) -> String {
    let head = ["budget", "of", "bound", "measured", ""].map(str::to_owned);
    let rows = of_servers(measured)
        .chain(of_clients(measured))
        .chain(of_balancing(measured))
        .chain(of_variants(measured))
        .chain(of_echo(measured))
        .chain(of_counts(measured));
    markdown(&head, rows)
}

type Row = Vec<String>;

fn row(budget: &str, of: &str, bound: Bound, figure: f64) -> Row {
    let (bound, verdict) = match has_budgets(of) {
        true if bound.holds(figure) => (bound.text(), "holds"),
        true => (bound.text(), "MISSED"),
        false => (String::new(), "for comparison"),
    };
    let cells = [budget, of, &bound, &number(figure), verdict];
    cells.map(str::to_owned).to_vec()
}

/// Returns whether the budgets apply to a program of rgrpc: they are the native engine's.
fn has_budgets(name: &str) -> bool {
    name.split(", ").any(|part| part == Engine::Native.name())
}

fn ours(matrix: &Matrix) -> impl Iterator<Item = &String> {
    matrix.rows.iter().filter(|name| name.starts_with("rgrpc"))
}

const FULL: &str = "10 × 100";
const ONE: &str = "1 × 1";

fn of_servers<'a>(measured: &'a Measured<'_>) -> impl Iterator<Item = Row> + 'a {
    let matrix = measured.servers;
    let budgets = [
        (FULL, TONIC, Bound::AtMost(1.0 / 8.0)),
        (FULL, FLOOR, Bound::AtMost(2.5)),
        (ONE, FLOOR, Bound::AtMost(1.15)),
    ];
    budgets.into_iter().flat_map(move |(load, to, bound)| {
        ours(matrix).map(move |name| {
            let budget = format!("CPU of the server, unary {load}, ÷ {to}");
            row(
                &budget,
                name,
                bound,
                matrix.ratio(SERVER_CPU, name, to, load),
            )
        })
    })
}

fn of_clients<'a>(measured: &'a Measured<'_>) -> impl Iterator<Item = Row> + 'a {
    let matrix = measured.clients;
    ours(matrix).flat_map(move |name| {
        let cpu = matrix.ratio(CLIENT_CPU, name, TONIC, FULL);
        let tail = matrix.get(name, FULL).map_or(f64::NAN, P99_TO_P50.of);
        [
            row(
                "CPU of the client, unary 10 × 100, ÷ tonic",
                name,
                Bound::AtMost(1.0 / 6.0),
                cpu,
            ),
            row(
                "latency of the client, unary 10 × 100, p99 ÷ p50",
                name,
                Bound::AtMost(3.0),
                tail,
            ),
        ]
    })
}

fn of_balancing<'a>(measured: &'a Measured<'_>) -> impl Iterator<Item = Row> + 'a {
    measured.balancing.iter().map(|(name, ratio)| {
        let budget = format!("CPU of the client, unary {FULL}, balanced ÷ spread by hand");
        row(&budget, name, Bound::AtMost(1.1), *ratio)
    })
}

fn of_variants<'a>(measured: &'a Measured<'_>) -> impl Iterator<Item = Row> + 'a {
    measured.variants.iter().filter_map(|variant| {
        let budget = format!(
            "additional CPU, unary {FULL}, ÷ a whole call's: {}",
            variant.name
        );
        Some(row(
            &budget,
            &format!("rgrpc, {}", Engine::Native.name()),
            Bound::AtMost(0.05),
            variant.share?,
        ))
    })
}

fn of_echo<'a>(measured: &'a Measured<'_>) -> impl Iterator<Item = Row> + 'a {
    let matrix = measured.echo;
    let load = ECHO[0].to_string();
    ours(matrix).flat_map(move |name| {
        [(TONIC, 2.0), (SOCKET, 0.6)].map(|(to, least)| {
            let budget = format!("messages of 1 MiB echoed a second, ÷ {to}");
            let figure = matrix.ratio(CALLS, name, to, &load);
            row(&budget, name, Bound::AtLeast(least), figure)
        })
    })
}

fn of_counts<'a>(measured: &'a Measured<'_>) -> impl Iterator<Item = Row> + 'a {
    let allocations = measured.allocations.iter().map(|(name, count)| {
        let budget = "allocations of a unary call, both sides";
        (budget, name, Bound::AtMost(12.0), *count)
    });
    let memory = measured.memory.iter().map(|held| {
        let budget = "memory of an idle connection at the server, KiB";
        (budget, &held.server, Bound::AtMost(8.0), held.connection)
    });
    allocations
        .chain(memory)
        .filter(|(_, name, ..)| name.starts_with("rgrpc"))
        .map(|(budget, name, bound, figure)| row(budget, name, bound, figure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_native_engine_has_budgets_and_the_other_is_there_for_comparison() {
        for (of, figure, bound, verdict) in [
            ("rgrpc, native", 1.0, "≤ 2.00", "holds"),
            ("rgrpc, native, a worker", 3.0, "≤ 2.00", "MISSED"),
            ("rgrpc, h2", 1.0, "", "for comparison"),
            ("rgrpc, h2, a worker", 3.0, "", "for comparison"),
        ] {
            let row = row("budget", of, Bound::AtMost(2.0), figure);
            assert_eq!(row, ["budget", of, bound, &number(figure), verdict]);
        }
    }

    #[test]
    fn a_figure_that_was_not_measured_holds_no_bound() {
        assert!(Bound::AtMost(2.5).holds(2.5) && !Bound::AtMost(2.5).holds(2.6));
        assert!(Bound::AtLeast(2.0).holds(2.0) && !Bound::AtLeast(2.0).holds(1.9));
        assert!(!Bound::AtMost(1.0).holds(f64::NAN));
        assert!(!Bound::AtLeast(1.0).holds(f64::NAN));
    }
}
