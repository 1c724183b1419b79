//! The cost of balancing, a service config and armed retries. It compares rgrpc's client with one
//! channel that spreads its calls over connections, and with a channel without a config for each
//! connection, which the loops take in turn. Calls use the same connections, so that only the
//! channel's work differs.
//!
//! Loops that stay on their connection are measured too: their requests share more writes.

use anyhow::Result;

use super::Bench;
use super::close_ratio::{Of, close_ratio};
use super::figures::CLIENT_CPU;
use super::load::Load;
use super::matrix::Matrix;
use super::programs::{Program, floor_server, rgrpc_clients};

/// The two figures of [`balanced_to_by_hand`] are close: it takes more of them than other rows do.
const PAIRS_A_ROUND: usize = 3;

/// Measures all kinds of channel of each engine under each load, against the floor's server.
pub(super) fn measure(bench: &Bench, loads: &[Load]) -> Result<Matrix> {
    let programs: Vec<_> = rgrpc_clients()
        .into_iter()
        .flat_map(|plain| {
            let (by_hand, balanced) = (by_hand(&plain), balanced(&plain));
            [plain, by_hand, balanced]
        })
        .collect();
    let server = bench.server(&floor_server())?;
    let names = programs
        .iter()
        .map(|program| program.name.clone())
        .collect();
    Matrix::measure(bench.rounds, names, loads, |row, load| {
        bench.measure(&programs[row], &server, load)
    })
}

/// The CPU of the client, balanced ÷ by hand, for each engine under a load, against the floor's
/// server.
pub(super) fn balanced_to_by_hand(bench: &Bench, load: &Load) -> Result<Vec<(String, f64)>> {
    let server = bench.server(&floor_server())?;
    let ratio = |plain: Program| {
        let (by_hand, balanced) = (by_hand(&plain), balanced(&plain));
        let ratio = close_ratio(PAIRS_A_ROUND * bench.rounds, |of| {
            let program = match of {
                Of::Numerator => &balanced,
                Of::Denominator => &by_hand,
            };
            let report = bench.measure(program, &server, load)?;
            Ok((CLIENT_CPU.of)(&report))
        })?;
        Ok((plain.name, ratio))
    };
    rgrpc_clients().into_iter().map(ratio).collect()
}

fn by_hand(plain: &Program) -> Program {
    variant(plain, ", by hand", &["--channel", "by-hand"])
}

fn balanced(plain: &Program) -> Program {
    variant(plain, ", balanced", &["--channel", "balanced"])
}

fn variant(plain: &Program, suffix: &str, arguments: &[&'static str]) -> Program {
    let mut program = plain.clone().with(arguments);
    program.name += suffix;
    program
}
