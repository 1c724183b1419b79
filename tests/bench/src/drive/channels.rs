//! What balancing, a service config and armed retries cost: rgrpc's client with one channel that
//! spreads its calls over connections, and with a channel without a config for each connection, which
//! the loops take in turn. Calls go the same ways, so that what differs is the channel's work.
//!
//! Loops that stay on their connection are measured too: their requests share more writes.

use anyhow::Result;

use super::Bench;
use super::load::Load;
use super::matrix::Matrix;
use super::programs::{Program, floor_server, rgrpc_clients};

/// What follows the name of a plain client in a row's name.
const BY_HAND: &str = ", by hand";
const BALANCED: &str = ", balanced";

/// Measures all kinds of channel of each engine under each load, against the floor's server.
pub(super) fn measure(bench: &Bench, loads: &[Load]) -> Result<Matrix> {
    let programs: Vec<_> = rgrpc_clients()
        .into_iter()
        .flat_map(|plain| {
            let by_hand = variant(&plain, BY_HAND, &["--channel", "by-hand"]);
            let balanced = variant(&plain, BALANCED, &["--channel", "balanced"]);
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

fn variant(plain: &Program, suffix: &str, arguments: &[&'static str]) -> Program {
    let mut program = plain.clone().with(arguments);
    program.name += suffix;
    program
}

/// The rows to compare: the plain client's name, and its rows balanced and by hand.
pub(super) fn compared(matrix: &Matrix) -> impl Iterator<Item = (&str, &str, String)> {
    matrix.rows.iter().filter_map(|balanced| {
        let plain = balanced.strip_suffix(BALANCED)?;
        Some((plain, balanced.as_str(), format!("{plain}{BY_HAND}")))
    })
}
