//! Panics and lost tasks as errors. Callers that wait for a task learn how it has ended, also when
//! it panics or its runtime is dropped.
//!
//! User code runs in [`caught`], [`caught_status`] or [`caught_in`], and a handler, with the
//! interceptors, codecs and compressors of its call, in [`caught_by`]. So a panic becomes an error
//! of the caller. A task is spawned as a [`Watched`] future, or its state reports its end in
//! `Drop`, with [`Lost::now`] as the reason.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use crate::status::Status;

/// The error of code that has panicked. The panic's message is only logged, because a status goes
/// to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked {
    what: &'static str,
}

impl Panicked {
    /// Returns INTERNAL with the name of the code.
    #[cold]
    pub(crate) fn to_status(self) -> Status {
        Status::internal(self.to_string())
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked; the log has its message", self.what)
    }
}

/// Pins a large value in a box, and makes it there: [`Box::pin`] makes it on the stack, and copies
/// all of it.
#[inline(always)]
pub(crate) fn pin_in_place<T>(make: impl FnOnce() -> T) -> Pin<Box<T>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

/// Runs code that may panic. `what` names it.
///
/// The caller must not reuse state that the code may have left inconsistent.
///
/// # Errors
/// [`Panicked`], once the panic is logged.
#[inline]
pub(crate) fn caught<T>(what: &'static str, run: impl FnOnce() -> T) -> Result<T, Panicked> {
    caught_by(run, |panic| logged(what, panic))
}

/// Runs code of a call that may panic, like [`caught`].
///
/// # Errors
/// The error of the code; INTERNAL if it has panicked.
#[inline]
pub(crate) fn caught_status<T>(
    what: &'static str,
    run: impl FnOnce() -> Result<T, Status>,
) -> Result<T, Status> {
    caught(what, run).unwrap_or_else(|panicked| Err(panicked.to_status()))
}

/// Runs code that may panic, like [`caught`], with a report by the caller.
///
/// # Errors
/// The result of `report`, if the code has panicked.
#[inline]
pub(crate) fn caught_by<T, E>(
    run: impl FnOnce() -> T,
    report: impl FnOnce(&(dyn Any + Send)) -> E,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| report(&*panic))
}

#[cold]
fn logged(what: &'static str, panic: &(dyn Any + Send)) -> Panicked {
    let message = panic_message(panic);
    tracing::error!(what, message, "user code panicked");
    Panicked { what }
}

/// Creates and runs a future; either step may panic. `what` names it. It is as cancel-safe as the
/// future.
///
/// # Errors
/// The same as for [`caught`].
pub(crate) async fn caught_in<F: Future>(
    what: &'static str,
    make: impl FnOnce() -> F,
) -> Result<F::Output, Panicked> {
    let mut future = pin!(caught(what, make)?);
    poll_fn(|cx| match caught(what, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Returns the message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "a value that is not text"
    }
}

/// The reason why a task has ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Panicked,
    /// The task was dropped, with its runtime or because its owner aborted it.
    Dropped,
}

impl Lost {
    /// Returns the reason, from the `Drop` of a value that the task owns.
    pub(crate) fn now() -> Self {
        if std::thread::panicking() {
            Self::Panicked
        } else {
            Self::Dropped
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panicked => "its task panicked; the log has the message",
            Self::Dropped => "the tokio runtime of its task was shut down",
        })
    }
}

/// A task's future that reports its end exactly once.
pub(crate) struct Watched<F: Future, T: FnOnce(Result<F::Output, Lost>)> {
    future: Option<Pin<Box<F>>>,
    report: Option<T>,
}

/// Wraps a future. `report` is called when the future is ready, has panicked or was dropped, after
/// all of its state is dropped.
pub(crate) fn watched<F, T>(future: F, report: T) -> Watched<F, T>
where
    F: Future,
    T: FnOnce(Result<F::Output, Lost>),
{
    Watched {
        future: Some(Box::pin(future)),
        report: Some(report),
    }
}

impl<F: Future, T: FnOnce(Result<F::Output, Lost>)> Watched<F, T> {
    fn end(&mut self, end: Result<F::Output, Lost>) {
        // A panic leaves nothing behind that could be used again.
        let dropped = caught("a task's state, when it was dropped,", || {
            self.future = None;
        });
        if let Some(report) = self.report.take() {
            report(end.and_then(|output| dropped.map(|()| output).map_err(|_| Lost::Panicked)));
        }
    }
}

impl<F: Future, T: FnOnce(Result<F::Output, Lost>)> Unpin for Watched<F, T> {}

impl<F: Future, T: FnOnce(Result<F::Output, Lost>)> Future for Watched<F, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(());
        };
        let end = match caught("a task", || future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Lost::Panicked),
        };
        self.end(end);
        Poll::Ready(())
    }
}

impl<F: Future, T: FnOnce(Result<F::Output, Lost>)> Drop for Watched<F, T> {
    fn drop(&mut self) {
        if self.report.is_some() {
            self.end(Err(Lost::now()));
        }
    }
}

/// Returns the current tokio runtime. `what` names the operation that needs it.
///
/// # Errors
/// INTERNAL: there is no current runtime.
pub(crate) fn current_runtime(what: &str) -> Result<Handle, Status> {
    Handle::try_current().map_err(|_| Status::internal(outside_of_a_runtime(what)))
}

/// The error text of an operation outside a tokio runtime.
pub(crate) fn outside_of_a_runtime(what: &str) -> String {
    format!(
        "{what} outside a tokio runtime: do it from within one, or enter one with \
         tokio::runtime::Handle::enter"
    )
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::{Arc, Mutex};

    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::lock::lock;

    type Told = Arc<Mutex<Vec<Result<u8, Lost>>>>;

    fn runtimes() -> [Runtime; 2] {
        [Builder::new_current_thread(), Builder::new_multi_thread()]
            .map(|mut builder| builder.worker_threads(1).build().expect("a runtime"))
    }

    fn task(
        told: &Told,
        future: impl Future<Output = u8> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let told = Arc::clone(told);
        watched(future, move |end| lock(&told).push(end))
    }

    #[test]
    fn the_end_of_a_task_is_reported_once_whatever_ends_it() {
        for runtime in runtimes() {
            let told = Told::default();
            let ready = runtime.spawn(task(&told, async { 7 }));
            runtime
                .block_on(ready)
                .expect("a panic is reported, not raised");
            let panics = runtime.spawn(task(&told, async { panic!("once") }));
            runtime
                .block_on(panics)
                .expect("a panic is reported, not raised");
            let aborted = runtime.spawn(task(&told, pending()));
            aborted.abort();
            assert!(runtime.block_on(aborted).is_err());
            runtime.spawn(task(&told, pending()));
            drop(runtime);
            let told = lock(&told).clone();
            let expected = [
                Ok(7),
                Err(Lost::Panicked),
                Err(Lost::Dropped),
                Err(Lost::Dropped),
            ];
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_task_spawned_on_a_dropped_runtime_is_reported_at_once() {
        for runtime in runtimes() {
            let handle = runtime.handle().clone();
            drop(runtime);
            let told = Told::default();
            handle.spawn(task(&told, pending()));
            assert_eq!(*lock(&told), [Err(Lost::Dropped)]);
        }
    }

    #[test]
    fn a_panic_in_the_drop_of_a_tasks_state_is_the_tasks_panic() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("on drop");
            }
        }
        let told = Told::default();
        let bomb = Bomb;
        let future = task(&told, async move {
            let _bomb = &bomb;
            7
        });
        let [runtime, _] = runtimes();
        runtime.block_on(future);
        assert_eq!(*lock(&told), [Err(Lost::Panicked)]);
    }

    #[tokio::test]
    async fn a_panic_while_a_future_is_created_or_polled_is_an_error_without_the_message() {
        let made = caught_in("the dialer", || async { 7 }).await;
        assert_eq!(made, Ok(7));
        let polled = caught_in("the dialer", || async { panic!("secret") }).await;
        let making = caught_in("the dialer", || -> std::future::Ready<()> {
            panic!("secret")
        });
        for panicked in [polled, making.await] {
            let text = panicked.expect_err("it has panicked").to_string();
            assert_eq!(text, "the dialer panicked; the log has its message");
        }
    }
}
