//! The closed loop of the clients on tokio: each loop makes its next call when the last has ended,
//! so the server sees no more than connections × streams at a time.
//!
//! A record is shared by few loops, one [`Shard`] a thread, so that the recording costs the
//! clients that are compared next to nothing, and the same.

use std::future::Future;
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use crate::cpu::CpuClock;
use crate::flags::ClientFlags;
use crate::latency::Latencies;
use crate::report::{Report, Window};

/// The repeated operation of a loop.
pub trait Operation: Send + 'static {
    /// Runs it once. Returns the number of calls that it counts as.
    fn run(&mut self) -> impl Future<Output = Result<u64>> + Send;
}

/// The line that a client prints when it holds what it has opened.
pub const HOLDING: &str = "holding";

/// Runs the operations as the flags say, and returns what to print last, if anything.
///
/// # Errors
/// An operation failed.
pub async fn run<O: Operation>(
    flags: &ClientFlags,
    threads: usize,
    operations: Vec<O>,
) -> Result<Option<String>> {
    if flags.hold {
        hold(operations).await?;
        return Ok(None);
    }
    let server = flags.server_pid.map(CpuClock::of).transpose()?;
    let report = measure(flags.warmup, flags.secs, server, threads, operations).await?;
    report.to_line().map(Some)
}

/// The phase of a run: calls count or not.
#[derive(Debug, Default)]
struct Phase(AtomicU8);

impl Phase {
    const WARMING_UP: u8 = 0;
    const MEASURING: u8 = 1;
    const OVER: u8 = 2;

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

type Shard = Arc<Mutex<Latencies>>;

async fn measure<O: Operation>(
    warmup: Duration,
    window: Duration,
    server: Option<CpuClock>,
    threads: usize,
    operations: Vec<O>,
) -> Result<Report> {
    let phase = Arc::new(Phase::default());
    let shards = (0..threads.max(1))
        .map(|_| Ok(Arc::new(Mutex::new(Latencies::new()?))))
        .collect::<Result<Vec<Shard>>>()?;
    let mut loops = JoinSet::new();
    for (operation, shard) in operations.into_iter().zip(shards.iter().cycle()) {
        loops.spawn(repeat(operation, Arc::clone(&phase), Arc::clone(shard)));
    }

    unless_one_ends(&mut loops, warmup).await?;
    let measured = Window::begin(server)?;
    phase.set(Phase::MEASURING);
    unless_one_ends(&mut loops, window).await?;
    phase.set(Phase::OVER);

    let mut all = Latencies::new()?;
    for shard in &shards {
        all.add(&shard.lock().unwrap_or_else(PoisonError::into_inner))?;
    }
    measured.end(&all)
}

async fn repeat<O: Operation>(mut operation: O, phase: Arc<Phase>, shard: Shard) -> Result<()> {
    let mut begun = Instant::now();
    loop {
        let calls = operation.run().await?;
        let ended = Instant::now();
        match phase.get() {
            Phase::WARMING_UP => {}
            Phase::MEASURING => shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .record(ended - begun, calls),
            _ => return Ok(()),
        }
        begun = ended;
    }
}

/// Lets time pass; no loop may end in it.
async fn unless_one_ends(loops: &mut JoinSet<Result<()>>, time: Duration) -> Result<()> {
    match tokio::time::timeout(time, loops.join_next()).await {
        Err(_elapsed) => Ok(()),
        Ok(None) => bail!("there is no loop"),
        Ok(Some(ended)) => {
            ended.context("a loop did not end by itself")??;
            bail!("a loop ended before the time was over")
        }
    }
}

/// Does each operation once, and keeps what they opened until the standard input ends.
#[allow(clippy::print_stdout, reason = "a program's output")]
async fn hold<O: Operation>(operations: Vec<O>) -> Result<()> {
    let mut begun = JoinSet::new();
    for mut operation in operations {
        begun.spawn(async move {
            operation.run().await?;
            Ok::<_, anyhow::Error>(operation)
        });
    }
    let held = begun
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    println!("{HOLDING}");
    std::io::stdout().flush()?;
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await?
        .context("reading the input")?;
    drop(held);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Yields;

    impl Operation for Yields {
        async fn run(&mut self) -> Result<u64> {
            tokio::task::yield_now().await;
            Ok(2)
        }
    }

    struct Fails;

    impl Operation for Fails {
        async fn run(&mut self) -> Result<u64> {
            bail!("the call failed")
        }
    }

    const SHORT: Duration = Duration::from_millis(20);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn calls_are_counted_as_the_operation_says() {
        let report = block_on(measure(SHORT, SHORT, None, 1, vec![Yields, Yields])).unwrap();
        assert!(report.calls > 0 && report.calls % 2 == 0, "{report:?}");
        assert!(report.p50_us <= report.p99_us, "{report:?}");
    }

    #[test]
    fn an_operation_that_fails_ends_the_measurement_with_its_error() {
        let failed = block_on(measure(SHORT, SHORT, None, 1, vec![Fails])).unwrap_err();
        assert_eq!(failed.to_string(), "the call failed");
    }
}
