//! Counts the allocations of a unary call, both sides together. `--help` lists the flags.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::alloc::System;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use rgrpc_bench::allocations::{of_rgrpc, of_tonic};
use rgrpc_bench::engine::EngineFlags;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Counts the allocations of a unary call, both sides together, and prints their number.
#[derive(Debug, Parser)]
struct Flags {
    /// The implementation of server and client.
    #[arg(long, value_enum, default_value_t = Of::Rgrpc)]
    of: Of,
    #[command(flatten)]
    engine: EngineFlags,
    /// Fail when there are more.
    #[arg(long, value_name = "ALLOCATIONS")]
    at_most: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    Rgrpc,
    Tonic,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let allocations = runtime.block_on(async {
        match flags.of {
            Of::Rgrpc => of_rgrpc(flags.engine, count).await,
            Of::Tonic => of_tonic(count).await,
        }
    })?;
    println!("{allocations:.2}");
    if let Some(at_most) = flags.at_most {
        ensure!(
            allocations <= at_most,
            "{allocations:.2} allocations for each call, and at most {at_most} are allowed"
        );
    }
    Ok(())
}

/// A block that grows has been allocated again.
fn count() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.allocations + stats.reallocations) as u64
}
