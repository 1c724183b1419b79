//! Processes of the bench: started, waited for, and ended by their own handle.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::closed_loop::HOLDING;
use crate::serve::READY;

/// A process that is killed when it is dropped.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or it ends now; there is nothing else to do about it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a program, and waits for its first line.
    fn start(command: &mut Command) -> Result<(Self, String)> {
        command.stdout(Stdio::piped());
        let mut child = Self(
            command
                .spawn()
                .with_context(|| format!("starting {command:?}"))?,
        );
        let output = child.0.stdout.take().context("there is no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.is_empty() {
            let status = child.0.wait()?;
            bail!("{command:?} ended with {status}");
        }
        Ok((child, line.trim_end().to_owned()))
    }
}

/// A server that listens.
#[derive(Debug)]
pub(super) struct Server {
    running: Running,
    port: u16,
}

impl Server {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let (running, line) = Running::start(command.stdin(Stdio::null()))?;
        let port = line
            .strip_prefix(READY)
            .and_then(|address| address.rsplit_once(':'))
            .and_then(|(_, port)| port.parse().ok())
            .with_context(|| format!("{command:?} said {line:?} and not where it listens"))?;
        Ok(Self { running, port })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.0.id()
    }
}

/// A client that keeps open what it has opened, until it is dropped.
#[derive(Debug)]
pub(super) struct Holder {
    _running: Running,
    _input: Option<ChildStdin>,
}

impl Holder {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let (mut running, line) = Running::start(command.stdin(Stdio::piped()))?;
        ensure!(line == HOLDING, "{command:?} said {line:?}");
        let input = running.0.stdin.take();
        Ok(Self {
            _running: running,
            _input: input,
        })
    }
}

/// Runs a program to its end, and returns its output.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}",
        output.status
    );
    String::from_utf8(output.stdout).context("the output is not text")
}
