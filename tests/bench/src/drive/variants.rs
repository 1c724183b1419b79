//! The cost of additions to a server and a channel (an interceptor, a stats handler), and of cargo's
//! default release profile, with which most users build.
//!
//! Each variant is measured in pairs with the same program without it, since the two are close.

use anyhow::Result;

use super::Bench;
use super::close_ratio::{Of, close_ratio};
use super::figures::{CLIENT_CPU, Figure, SERVER_CPU};
use super::load::Load;
use super::matrix::Matrix;
use super::programs::{
    Profile, Program, floor_client, floor_server, rgrpc_clients, rgrpc_servers, tonic_client,
    tonic_server,
};
use super::table::{markdown, number};
use crate::engine::Engine;

/// The pairs for each round of another table: their figures are close.
const PAIRS_A_ROUND: usize = 2;

/// A variant of a program, and its CPU relative to the plain program's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variant {
    pub(super) name: String,
    /// The CPU for each call, ÷ plain.
    pub(super) ratio: f64,
    /// The additional CPU, ÷ that of a whole call of plain programs, server and client together.
    /// `None` if the variant adds nothing to a call.
    pub(super) share: Option<f64>,
}

/// The CPU of a call of plain programs, in µs.
#[derive(Clone, Copy, Debug)]
struct PlainCall {
    server: f64,
    client: f64,
}

impl PlainCall {
    /// The part of a call that a ratio of one side's CPU adds.
    fn share(self, side: Side, ratio: f64) -> f64 {
        let own = match side {
            Side::Server => self.server,
            Side::Client => self.client,
        };
        (ratio - 1.0) * own / (self.server + self.client)
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Server,
    Client,
}

/// Measures the variants under a load. The figures of plain programs under it are from these
/// matrices.
pub(super) fn measure(
    bench: &Bench,
    load: &Load,
    servers: &Matrix,
    clients: &Matrix,
) -> Result<Vec<Variant>> {
    let server = of_engine(rgrpc_servers());
    let client = of_engine(rgrpc_clients());
    let column = load.to_string();
    let plain = |matrix: &Matrix, name: &str, figure: Figure| {
        matrix.get(name, &column).map_or(f64::NAN, figure.of)
    };
    let call = PlainCall {
        server: plain(servers, &server.name, SERVER_CPU),
        client: plain(clients, &client.name, CLIENT_CPU),
    };
    let sides = [
        (Side::Server, "the server", server, tonic_server()),
        (Side::Client, "the client", client, tonic_client()),
    ];
    let mut variants = Vec::new();
    for (side, of, plain, tonic) in sides {
        for (what, flag) in [
            ("an interceptor", "--interceptors"),
            ("a stats handler", "--stats"),
        ] {
            let variant = plain.clone().with(&[flag, "1"]);
            let ratio = measure_one(bench, load, side, &plain, &variant)?;
            variants.push(Variant {
                name: format!("{of}, with {what}"),
                ratio,
                share: Some(call.share(side, ratio)),
            });
        }
        for (whose, program) in [("", &plain), (" of tonic", &tonic)] {
            let variant = program.clone().built_with(Profile::CargoDefault);
            variants.push(Variant {
                name: format!("{of}{whose}, cargo's default release profile"),
                ratio: measure_one(bench, load, side, program, &variant)?,
                share: None,
            });
        }
    }
    Ok(variants)
}

fn measure_one(
    bench: &Bench,
    load: &Load,
    side: Side,
    plain: &Program,
    variant: &Program,
) -> Result<f64> {
    let of_pair = |of| match of {
        Of::Numerator => variant,
        Of::Denominator => plain,
    };
    let pairs = PAIRS_A_ROUND * bench.rounds;
    match side {
        Side::Server => {
            let client = floor_client();
            let (plain, variant) = (bench.server(plain)?, bench.server(variant)?);
            close_ratio(pairs, |of| {
                let server = match of {
                    Of::Numerator => &variant,
                    Of::Denominator => &plain,
                };
                Ok((SERVER_CPU.of)(&bench.measure(&client, server, load)?))
            })
        }
        Side::Client => {
            let server = bench.server(&floor_server())?;
            close_ratio(pairs, |of| {
                Ok((CLIENT_CPU.of)(&bench.measure(
                    of_pair(of),
                    &server,
                    load,
                )?))
            })
        }
    }
}

/// The program of the native engine on the caller's runtime.
fn of_engine(programs: Vec<Program>) -> Program {
    let name = format!("rgrpc, {}", Engine::Native.name());
    let found = programs.into_iter().find(|program| program.name == name);
    found.expect("the native engine is measured")
}

/// The table of the variants.
pub(super) fn table(variants: &[Variant]) -> String {
    let head = ["", "CPU ÷ plain", "additional CPU ÷ a whole call's"].map(str::to_owned);
    let rows = variants.iter().map(|variant| {
        vec![
            variant.name.clone(),
            number(variant.ratio),
            variant.share.map_or_else(String::new, number),
        ]
    });
    markdown(&head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_call_counts_both_sides() {
        let call = PlainCall {
            server: 1.0,
            client: 3.0,
        };
        assert_eq!(call.share(Side::Server, 1.2), (1.2 - 1.0) / 4.0);
        assert_eq!(call.share(Side::Client, 1.2), (1.2 - 1.0) * 3.0 / 4.0);
    }

    #[test]
    fn a_variant_without_a_share_leaves_its_cell_empty() {
        let variants = [Variant {
            name: "x".to_owned(),
            ratio: 1.5,
            share: None,
        }];
        assert!(table(&variants).ends_with("| x | 1.50 |  |\n"));
    }
}
