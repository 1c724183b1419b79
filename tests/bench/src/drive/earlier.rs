//! The current programs beside those of an earlier commit, in alternating pairs under the same peer.

use std::path::Path;

use anyhow::Result;

use super::Bench;
use super::close_ratio::{Of, close_ratio};
use super::figures::{CALLS, CLIENT_CPU, Figure, SERVER_CPU};
use super::load::Load;
use super::memory;
use super::pairs::ECHO;
use super::programs::{Program, floor_client, floor_server, rgrpc_clients, rgrpc_servers};
use super::table::{markdown, number};

/// The load of the CPU figures.
const CALLS_OPEN: Load = Load::unary(10, 100);

/// Measures so many pairs of each figure. `earlier` is the folder of the earlier programs.
///
/// # Errors
/// A program cannot be run.
pub fn compare_with(now: &Bench, earlier: &Path, pairs: usize) -> Result<String> {
    let earlier = Bench {
        folder: earlier.to_owned(),
        ..now.clone()
    };
    let choose = |of| match of {
        Of::Numerator => now,
        Of::Denominator => &earlier,
    };
    // The native engine comes first.
    let (Some(server), Some(client)) = (
        rgrpc_servers().into_iter().nth(1),
        rgrpc_clients().into_iter().next(),
    ) else {
        anyhow::bail!("there is no engine");
    };
    let of_server = |bench: &Bench| -> Result<f64> {
        let running = bench.server(&server)?;
        let report = now.measure(&floor_client(), &running, &CALLS_OPEN)?;
        Ok((SERVER_CPU.of)(&report))
    };
    let floor = now.server(&floor_server())?;
    let of_client = |bench: &Bench| -> Result<f64> {
        let report = bench.measure(&client, &floor, &CALLS_OPEN)?;
        Ok((CLIENT_CPU.of)(&report))
    };
    let echo =
        |bench: &Bench| -> Result<f64> { figure_of_pair(bench, &server, &client, &ECHO[0], CALLS) };
    let held = |bench: &Bench| memory::of_connection(bench, &server, now, &client);
    let rows: [(&str, f64); 4] = [
        (
            "CPU of the server, unary 10 × 100",
            close_ratio(pairs, |of| of_server(choose(of)))?,
        ),
        (
            "CPU of the client, unary 10 × 100",
            close_ratio(pairs, |of| of_client(choose(of)))?,
        ),
        (
            "messages of 1 MiB echoed a second",
            close_ratio(pairs, |of| echo(choose(of)))?,
        ),
        (
            "memory of an idle connection at the server",
            close_ratio(pairs, |of| held(choose(of)))?,
        ),
    ];
    let head = ["figure", "now ÷ earlier"].map(str::to_owned);
    let rows = rows.map(|(name, ratio)| vec![name.to_owned(), number(ratio)]);
    Ok(markdown(&head, rows))
}

/// A figure of a server and a client of the same commit.
fn figure_of_pair(
    bench: &Bench,
    server: &Program,
    client: &Program,
    load: &Load,
    figure: Figure,
) -> Result<f64> {
    let running = bench.server(server)?;
    Ok((figure.of)(&bench.measure(client, &running, load)?))
}
