//! The command lines of the servers and the clients, the same for all of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

/// The flags of every server.
#[derive(Args, Clone, Debug)]
pub struct ServerFlags {
    /// The port on 127.0.0.1; with 0 the system chooses one. The first line of output names it.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The number of messages that StreamingFromServer sends.
    #[arg(long, default_value_t = 10_000, value_name = "MESSAGES")]
    pub push: u32,
}

/// The flags of every client.
#[derive(Args, Clone, Debug)]
pub struct ClientFlags {
    /// The server's port on 127.0.0.1.
    #[arg(long)]
    pub port: u16,
    /// The number of connections.
    #[arg(long, default_value_t = 1)]
    pub conns: usize,
    /// The number of open calls on each connection.
    #[arg(long, default_value_t = 1)]
    pub streams: usize,
    /// The size of a request's payload.
    #[arg(long, default_value_t = 32, value_name = "BYTES")]
    pub req: i32,
    /// The size of a response's payload.
    #[arg(long, default_value_t = 32, value_name = "BYTES")]
    pub resp: i32,
    /// The kind of the calls.
    #[arg(long, value_enum, default_value_t = Mode::Unary)]
    pub mode: Mode,
    /// The duration of the measurement, in seconds.
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub secs: Duration,
    /// The duration of the run before it, in seconds.
    #[arg(long, default_value = "0.5", value_parser = seconds, value_name = "SECS")]
    pub warmup: Duration,
    /// The server's process, to report its CPU time as well.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Make one call each, print `holding` and keep everything open until the input ends.
    #[arg(long)]
    pub hold: bool,
}

/// The kind of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// UnaryCall.
    Unary,
    /// A round trip on a StreamingCall; each loop keeps one call open.
    Stream,
    /// A message of StreamingFromServer, which each loop calls again when it has ended.
    Push,
}

/// The threads of a server or a client that runs on tokio.
#[derive(Args, Clone, Copy, Debug)]
pub struct ThreadFlags {
    /// Threads of tokio's multi-thread runtime; 0 is its current-thread runtime.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

impl ThreadFlags {
    /// The runtime.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn runtime(self) -> std::io::Result<tokio::runtime::Runtime> {
        match self.threads {
            0 => tokio::runtime::Builder::new_current_thread(),
            threads => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(threads);
                builder
            }
        }
        .enable_all()
        .build()
    }
}

impl ServerFlags {
    /// Lets the system choose.
    pub const ANY_PORT: u16 = 0;
}

impl ClientFlags {
    /// The defaults: one connection with one call open on it.
    #[must_use]
    pub const fn one_loop(port: u16, mode: Mode) -> Self {
        Self {
            port,
            conns: 1,
            streams: 1,
            req: 32,
            resp: 32,
            mode,
            secs: Duration::from_secs(3),
            warmup: Duration::from_millis(500),
            server_pid: None,
            hold: false,
        }
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// There would be no loop.
    pub fn check(&self) -> Result<()> {
        ensure!(self.conns > 0, "--conns is 0: there is nothing to measure");
        ensure!(
            self.streams > 0,
            "--streams is 0: there is nothing to measure"
        );
        Ok(())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|error: std::num::ParseFloatError| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_and_no_sign() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for text in ["", "x", "-1", "inf"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
