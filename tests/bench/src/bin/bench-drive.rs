//! Runs the whole bench and prints its tables. `--help` lists the flags; the script `run` builds
//! everything and calls it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's output"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use rgrpc_bench::drive::{Bench, compare_with, document};

/// Measures rgrpc, tonic and the floors in turns, and prints the tables.
#[derive(Debug, Parser)]
struct Flags {
    /// One short round: whether everything runs, and roughly how fast.
    #[arg(long)]
    quick: bool,
    /// Also write the tables to this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Compare with the programs in this folder, which an earlier commit has built, and measure
    /// nothing else.
    #[arg(long, value_name = "FOLDER")]
    earlier: Option<PathBuf>,
}

/// The number of pairs of each figure that are compared with an earlier commit.
const PAIRS: usize = 11;

fn main() -> Result<()> {
    let flags = Flags::parse();
    let program = std::env::current_exe().context("finding this program")?;
    let folder = program.parent().context("this program is in no folder")?;
    let (rounds, window, warmup) = if flags.quick {
        (1, 300, 100)
    } else {
        (5, 1_000, 300)
    };
    let bench = Bench {
        folder: folder.to_owned(),
        default_folder: folder.with_file_name("default-release"),
        rounds,
        window: Duration::from_millis(window),
        warmup: Duration::from_millis(warmup),
    };
    if let Some(earlier) = flags.earlier {
        print!("{}", compare_with(&bench, &earlier, PAIRS)?);
        return Ok(());
    }
    let text = document(&bench, |what| eprintln!("bench: {what}"))?;
    print!("{text}");
    if let Some(file) = flags.write {
        fs::write(&file, &text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
