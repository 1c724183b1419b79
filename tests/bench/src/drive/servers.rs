//! Servers under the load of the floor's client, which costs next to nothing itself.

use anyhow::Result;

use super::Bench;
use super::load::Load;
use super::matrix::Matrix;
use super::process::Server;
use super::programs::{Program, floor_client, servers};

/// Measures all servers under each load.
pub(super) fn measure(bench: &Bench, loads: &[Load]) -> Result<Matrix> {
    let programs = servers();
    let running = start(bench, &programs)?;
    let client = floor_client();
    let names = programs.into_iter().map(|program| program.name).collect();
    Matrix::measure(bench.rounds, names, loads, |row, load| {
        bench.measure(&client, &running[row], load)
    })
}

/// Starts servers; those that are not measured wait.
pub(super) fn start(bench: &Bench, programs: &[Program]) -> Result<Vec<Server>> {
    programs
        .iter()
        .map(|program| bench.server(program))
        .collect()
}
