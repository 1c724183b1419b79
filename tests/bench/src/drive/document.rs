//! The results as one document.

use anyhow::{Context, Result};

use super::budgets::{self, Measured};
use super::figures::{CALLS, CLIENT_CPU, P50, P99, P99_TO_P50, SERVER_CPU};
use super::load::Load;
use super::programs::{FLOOR, SOCKET, TONIC};
use super::table::{markdown, number, of_matrix};
use super::{
    Bench, allocations, channels, clients, h2load, machine, memory, pairs, servers, variants,
};

const UNARY: [Load; 3] = [Load::unary(10, 100), Load::unary(100, 1), Load::unary(1, 1)];
const CHANNELS: [Load; 2] = [Load::unary(10, 100), Load::unary(1, 1)];
const STREAM: [Load; 2] = [Load::stream(1, 1), Load::stream(10, 100)];

const HOW: &str = "\
Made by `tests/bench/run`. Figures of one run compare with each other, and not with those of another
machine or another day. Loads are connections × calls open on each; payloads are 32 bytes where
nothing else is said; server and client have a core each where there are two. A figure is the median
of its rounds, which take turns, and a ratio the median of the ratios of each round; the ratio of balanced to spread by hand, whose figures are close, is the
median of the ratios of three pairs for each round. CPU is user and kernel time of the process within the window.
rgrpc's and tonic's servers and clients run on tokio's multi-thread runtime with one thread where
nothing else is said.";

/// Measures everything. `progress` is told what is measured next.
///
/// # Errors
/// A program fails.
pub fn document(bench: &Bench, mut progress: impl FnMut(&str)) -> Result<String> {
    let mut step = |what: &'static str| {
        progress(what);
        what
    };

    let context = step("unary calls: servers");
    let unary_servers = servers::measure(bench, &UNARY).context(context)?;
    let context = step("unary calls: clients");
    let unary_clients = clients::measure(bench, &UNARY).context(context)?;
    let context = step("unary calls: channels");
    let unary_channels = channels::measure(bench, &CHANNELS).context(context)?;
    let context = step("unary calls: balanced and by hand");
    let balancing = channels::balanced_to_by_hand(bench, &UNARY[0]).context(context)?;
    let context = step("unary calls: variants");
    let variants = variants::measure(bench, &UNARY[0], &unary_servers, &unary_clients);
    let variants = variants.context(context)?;
    let context = step("unary calls: servers under h2load");
    let under_h2load = if h2load::is_installed() {
        let matrix = h2load::measure(bench, &UNARY).context(context)?;
        of_matrix(&matrix, SERVER_CPU, &[TONIC, FLOOR])
    } else {
        "Skipped: h2load is not installed.\n".to_owned()
    };
    let context = step("streams: servers");
    let stream_servers = servers::measure(bench, &STREAM).context(context)?;
    let context = step("streams: clients");
    let stream_clients = clients::measure(bench, &STREAM).context(context)?;
    let context = step("1 MiB echo");
    let echo = pairs::echo(bench).context(context)?;
    let context = step("server push");
    let push = pairs::push(bench).context(context)?;
    let context = step("growth");
    let growth = pairs::growth(bench).context(context)?;
    let context = step("memory");
    let held = memory::measure(bench).context(context)?;
    let context = step("allocations");
    let allocated = allocations::count(bench).context(context)?;

    let to_both = &[TONIC, FLOOR];
    let sections = [
        (
            "Budgets",
            vec![budgets::table(&Measured {
                servers: &unary_servers,
                clients: &unary_clients,
                balancing: &balancing,
                variants: &variants,
                echo: &echo,
                memory: &held,
                allocations: &allocated,
            })],
        ),
        (
            "Unary calls: servers, called by the floor's client",
            vec![
                of_matrix(&unary_servers, SERVER_CPU, to_both),
                of_matrix(&unary_servers, CALLS, to_both),
            ],
        ),
        ("Unary calls: servers, called by h2load", vec![under_h2load]),
        (
            "Unary calls: clients, calling the floor's server",
            vec![
                of_matrix(&unary_clients, CLIENT_CPU, to_both),
                of_matrix(&unary_clients, CALLS, to_both),
                of_matrix(&unary_clients, P50, &[]),
                of_matrix(&unary_clients, P99, &[]),
                of_matrix(&unary_clients, P99_TO_P50, &[]),
            ],
        ),
        (
            "Unary calls: plain channels, and one with balancing, service config and armed retries",
            vec![
                of_matrix(&unary_channels, CLIENT_CPU, &[]),
                of_matrix(&unary_channels, CALLS, &[]),
            ],
        ),
        (
            "Unary calls, 10 × 100: what users add, and cargo's default release profile",
            vec![variants::table(&variants)],
        ),
        (
            "Ping-pong on streams: servers, called by the floor's client",
            vec![
                of_matrix(&stream_servers, SERVER_CPU, to_both),
                of_matrix(&stream_servers, CALLS, to_both),
            ],
        ),
        (
            "Ping-pong on streams: clients, calling the floor's server",
            vec![
                of_matrix(&stream_clients, CLIENT_CPU, to_both),
                of_matrix(&stream_clients, CALLS, to_both),
            ],
        ),
        (
            "A message of 1 MiB, echoed on a stream: server and client of one implementation",
            vec![
                of_matrix(&echo, CALLS, &[TONIC, SOCKET]),
                of_matrix(&echo, SERVER_CPU, &[TONIC, SOCKET]),
                of_matrix(&echo, CLIENT_CPU, &[TONIC, SOCKET]),
            ],
        ),
        (
            "10,000 small messages pushed by the server: server and client of one implementation",
            vec![
                of_matrix(&push, CALLS, to_both),
                of_matrix(&push, SERVER_CPU, to_both),
                of_matrix(&push, CLIENT_CPU, to_both),
            ],
        ),
        (
            "Growth, unary calls: server and client of one implementation",
            vec![
                of_matrix(&growth, SERVER_CPU, &[]),
                of_matrix(&growth, CLIENT_CPU, &[]),
            ],
        ),
        ("Memory of a server, KiB", vec![memory_table(&held)]),
        (
            "Allocations of a unary call, both sides together",
            vec![allocations_table(&allocated)],
        ),
    ];

    let mut text = format!(
        "# Results of the bench\n\n{}\n\n{HOW}\n",
        machine::describe()
    );
    text += &format!(
        "\nRounds: {} of {:.1} s each.\n",
        bench.rounds,
        bench.window.as_secs_f64()
    );
    for (title, tables) in sections {
        text += &format!("\n## {title}\n\n{}", tables.join("\n"));
    }
    Ok(text)
}

fn memory_table(held: &[memory::Held]) -> String {
    let head = [
        "",
        "each of 1,000 idle connections",
        "each of 10,000 open streams on 10 connections",
    ]
    .map(str::to_owned);
    let rows = held.iter().map(|held| {
        vec![
            held.server.clone(),
            number(held.connection),
            number(held.stream),
        ]
    });
    markdown(&head, rows)
}

fn allocations_table(counted: &[(String, f64)]) -> String {
    let head = ["", "allocations"].map(str::to_owned);
    let rows = counted
        .iter()
        .map(|(name, count)| vec![name.clone(), number(*count)]);
    markdown(&head, rows)
}
