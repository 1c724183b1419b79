//! A server and a client of the same implementation: large messages, pushed messages, and what a
//! call costs when more is open.

use anyhow::Result;

use super::Bench;
use super::load::Load;
use super::matrix::Matrix;
use super::programs::{Program, floor_client, floor_server, pairs, socket_client, socket_server};
use super::servers::start;
use crate::flags::Mode;

/// Messages that are echoed one after the other on a stream.
pub(super) const ECHO: [Load; 1] = [Load {
    bytes: 1 << 20,
    ..Load::stream(1, 1)
}];

/// 10,000 messages that a server sends on one call, again and again.
pub(super) const PUSH: [Load; 1] = [Load {
    mode: Mode::Push,
    ..Load::unary(1, 1)
}];

/// More streams, more connections.
pub(super) const GROWTH: [Load; 4] = [
    Load::unary(1, 10),
    Load::unary(1, 100),
    Load::unary(1, 1_000),
    Load::unary(1_000, 1),
];

/// Messages of 1 MiB, compared with a bare socket.
pub(super) fn echo(bench: &Bench) -> Result<Matrix> {
    let mut compared = pairs();
    compared.push((socket_server(), socket_client()));
    measure(bench, compared, &ECHO)
}

/// Pushed messages, compared with the floor.
pub(super) fn push(bench: &Bench) -> Result<Matrix> {
    let mut compared = pairs();
    compared.push((floor_server().with(&["--push", "10000"]), floor_client()));
    measure(bench, compared, &PUSH)
}

/// Calls when more is open.
pub(super) fn growth(bench: &Bench) -> Result<Matrix> {
    let mut compared = pairs();
    compared.push((floor_server(), floor_client()));
    measure(bench, compared, &GROWTH)
}

fn measure(bench: &Bench, compared: Vec<(Program, Program)>, loads: &[Load]) -> Result<Matrix> {
    let (servers, clients): (Vec<_>, Vec<_>) = compared.into_iter().unzip();
    let running = start(bench, &servers)?;
    let names = servers.into_iter().map(|server| server.name).collect();
    Matrix::measure(bench.rounds, names, loads, |row, load| {
        bench.measure(&clients[row], &running[row], load)
    })
}
