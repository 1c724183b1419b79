//! Allocations for each unary call, counted by a program apart from timing.

use std::process::Command;

use anyhow::{Context, Result};

use super::Bench;
use super::process;
use super::programs::TONIC;
use crate::engine::ENGINES;

/// Counts those of rgrpc and tonic: names and numbers.
pub(super) fn count(bench: &Bench) -> Result<Vec<(String, f64)>> {
    let mut counted = Vec::new();
    for engine in ENGINES {
        let name = format!("rgrpc, {}", engine.name());
        counted.push((name, run(bench, &["--engine", engine.name()])?));
    }
    counted.push((TONIC.to_owned(), run(bench, &["--of", "tonic"])?));
    Ok(counted)
}

fn run(bench: &Bench, arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new(bench.folder.join("bench-allocations"));
    let output = process::output(command.args(arguments))?;
    output
        .trim()
        .parse()
        .with_context(|| format!("{output:?} is no number of allocations"))
}
