//! Runs the programs: their folder, their cores, the duration and the number of rounds.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::load::Load;
use super::process::{self, Holder, Server};
use super::programs::{Profile, Program};
use crate::report::Report;

/// The seconds after which a client counts as stuck.
const STUCK: &str = "60";

/// The settings for running programs.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The folder of the programs.
    pub folder: PathBuf,
    /// The folder of the programs that were built with cargo's default release profile.
    pub default_folder: PathBuf,
    /// The number of measurements of each cell.
    pub rounds: usize,
    /// The duration of a measurement.
    pub window: Duration,
    /// The duration before it without measuring.
    pub warmup: Duration,
}

/// The side of a process, which decides its core.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Server,
    Client,
}

impl Bench {
    /// Starts a server.
    pub(super) fn server(&self, program: &Program) -> Result<Server> {
        let mut command = self.pinned(Side::Server);
        command.arg(self.path(program)).args(&program.arguments);
        Server::start(&mut command)
    }

    /// Measures a server under a load by a client.
    pub(super) fn measure(&self, client: &Program, server: &Server, load: &Load) -> Result<Report> {
        let mut command = self.client(client, server, load);
        command
            .args(["--server-pid", &server.pid().to_string()])
            .args(["--secs", &self.window.as_secs_f64().to_string()])
            .args(["--warmup", &self.warmup.as_secs_f64().to_string()]);
        Report::from_output(&process::output(&mut command)?)
    }

    /// Opens what a load has, and keeps it open.
    pub(super) fn hold(&self, client: &Program, server: &Server, load: &Load) -> Result<Holder> {
        Holder::start(self.client(client, server, load).arg("--hold"))
    }

    fn path(&self, program: &Program) -> PathBuf {
        let folder = match program.profile {
            Profile::Tuned => &self.folder,
            Profile::CargoDefault => &self.default_folder,
        };
        folder.join(program.file)
    }

    fn client(&self, program: &Program, server: &Server, load: &Load) -> Command {
        let mut command = self.pinned(Side::Client);
        command
            .args(["timeout", STUCK])
            .arg(self.path(program))
            .args(&program.arguments)
            .args(["--port", &server.port().to_string()])
            .args(load.arguments());
        command
    }

    /// A command that runs its arguments on a core of its side; on any where there is but one.
    pub(super) fn pinned(&self, side: Side) -> Command {
        let cores = thread::available_parallelism().map_or(1, Into::into);
        if cores < 2 {
            return Command::new("env");
        }
        let core = match side {
            Side::Server => "0",
            Side::Client => "1",
        };
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", core]);
        command
    }
}
