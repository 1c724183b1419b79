//! Clients against the floor's server, which costs next to nothing itself.

use anyhow::Result;

use super::Bench;
use super::load::Load;
use super::matrix::Matrix;
use super::programs::{clients, floor_server};

/// Measures all clients under each load.
pub(super) fn measure(bench: &Bench, loads: &[Load]) -> Result<Matrix> {
    let programs = clients();
    let server = bench.server(&floor_server())?;
    let names = programs
        .iter()
        .map(|program| program.name.clone())
        .collect();
    Matrix::measure(bench.rounds, names, loads, |row, load| {
        bench.measure(&programs[row], &server, load)
    })
}
