//! Servers under nghttp2's h2load: a load that is not of this project.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::bench::Side;
use super::load::Load;
use super::matrix::Matrix;
use super::process::{self, Server};
use super::programs::servers;
use super::servers::start;
use crate::cpu::CpuClock;
use crate::floor::framed;
use crate::payload;
use crate::report::Report;

/// Returns whether it is installed.
pub(super) fn is_installed() -> bool {
    Command::new("h2load")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Measures all servers under unary loads: calls a second and CPU of the server.
pub(super) fn measure(bench: &Bench, loads: &[Load]) -> Result<Matrix> {
    let body = std::env::temp_dir().join(format!("rgrpc-bench-{}.grpc", std::process::id()));
    let request = payload::request(loads[0].bytes, loads[0].bytes)?;
    fs::write(&body, framed(&request)?).with_context(|| format!("writing {}", body.display()))?;
    let programs = servers();
    let running = start(bench, &programs)?;
    let names = programs.into_iter().map(|program| program.name).collect();
    let measured = Matrix::measure(bench.rounds, names, loads, |row, load| {
        run(bench, &running[row], load, &body)
    });
    fs::remove_file(&body).with_context(|| format!("removing {}", body.display()))?;
    measured
}

fn run(bench: &Bench, server: &Server, load: &Load, body: &Path) -> Result<Report> {
    let mut command = bench.pinned(Side::Client);
    command
        .arg("h2load")
        .args(["--duration", &format!("{}ms", bench.window.as_millis())])
        .args(["--clients", &load.conns.to_string()])
        .args(["--max-concurrent-streams", &load.streams.to_string()])
        .args(["--header", "content-type: application/grpc"])
        .args(["--header", "te: trailers"])
        .arg("--data")
        .arg(body)
        .arg(format!(
            "http://127.0.0.1:{}/grpc.testing.BenchmarkService/UnaryCall",
            server.port()
        ));
    let clock = CpuClock::of(server.pid())?;
    let before = clock.now()?;
    let output = process::output(&mut command)?;
    let cpu = clock.now()? - before;
    let done = parse_succeeded(&output)
        .with_context(|| format!("h2load does not say how many calls succeeded: {output}"))?;
    ensure!(done > 0, "no call of h2load succeeded: {output}");
    #[allow(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
    let calls = done as f64;
    Ok(Report {
        calls: done,
        calls_per_s: calls / bench.window.as_secs_f64(),
        p50_us: f64::NAN,
        p99_us: f64::NAN,
        p999_us: f64::NAN,
        cpu_us_per_call: f64::NAN,
        server_cpu_us_per_call: Some(cpu.as_secs_f64() * 1e6 / calls),
    })
}

/// Reads `requests: 9 total, 9 started, 9 done, 9 succeeded, …`.
fn parse_succeeded(output: &str) -> Option<u64> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))?;
    let count = line
        .split(", ")
        .find_map(|part| part.strip_suffix(" succeeded"))?;
    count.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_that_succeeded_are_read_from_its_output() {
        let output = "finished in 1s\nrequests: 12 total, 12 started, 11 done, 10 succeeded, \
                      1 failed, 1 errored, 0 timeout\nstatus codes: 10 2xx\n";
        assert_eq!(parse_succeeded(output), Some(10));
        assert_eq!(parse_succeeded("finished\n"), None);
    }
}
