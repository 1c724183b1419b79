//! The memory of a server that holds connections and streams open: its resident pages, less those
//! it had with one connection and one call.

use std::fs;

use anyhow::{Context, Result};

use super::Bench;
use super::load::Load;
use super::process::Server;
use super::programs::{Program, rgrpc_clients, rgrpc_servers, tonic_client, tonic_server};

/// The loads that a server holds.
const CONNECTIONS: Load = Load::unary(1_000, 1);
const STREAMS: Load = Load::stream(10, 1_000);

/// KiB of a server for each thing it holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) server: String,
    pub(super) connection: f64,
    pub(super) stream: f64,
}

/// Measures the servers of rgrpc and tonic.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Held>> {
    // The same client for all, because the costs on the server are compared.
    let client = rgrpc_clients()
        .into_iter()
        .next()
        .unwrap_or_else(tonic_client);
    let mut servers = rgrpc_servers();
    servers.push(tonic_server());
    servers
        .into_iter()
        .map(|server| {
            Ok(Held {
                connection: each(bench, &server, &client, &CONNECTIONS)?,
                stream: each(bench, &server, &client, &STREAMS)?,
                server: server.name,
            })
        })
        .collect()
}

/// KiB of a server for each idle connection. `peer` runs the client.
pub(super) fn of_connection(
    bench: &Bench,
    server: &Program,
    peer: &Bench,
    client: &Program,
) -> Result<f64> {
    held(bench.server(server)?, peer, client, &CONNECTIONS)
}

fn each(bench: &Bench, server: &Program, client: &Program, load: &Load) -> Result<f64> {
    held(bench.server(server)?, bench, client, load)
}

#[allow(clippy::cast_precision_loss, reason = "KiB and streams are few")]
fn held(server: Server, bench: &Bench, client: &Program, load: &Load) -> Result<f64> {
    let one = Load {
        conns: 1,
        streams: 1,
        ..*load
    };
    drop(bench.hold(client, &server, &one)?);
    let before = resident(&server)?;
    let _holder = bench.hold(client, &server, load)?;
    let held = resident(&server)?.saturating_sub(before);
    Ok(held as f64 / (load.conns * load.streams) as f64)
}

/// Resident memory of a server, in KiB.
fn resident(server: &Server) -> Result<u64> {
    let path = format!("/proc/{}/status", server.pid());
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_resident(&status).with_context(|| format!("{path} has no VmRSS in kB"))
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status_of_a_process() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(parse_resident(status), Some(1234));
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }
}
