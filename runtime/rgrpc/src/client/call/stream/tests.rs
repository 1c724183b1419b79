//! Tests of driving a streaming call: what one half does while the other drives the attempts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use tokio::time::Instant;

use super::*;
use crate::call::{CallOptions, MethodName};
use crate::client::ClientConn;
use crate::client::call::resolved_call::ResolvedCall;
use crate::client::call::wait_reason::WaitRecorder;
use crate::credentials;
use crate::status::Code;

/// A call before its first attempt.
fn call() -> StreamCall {
    let conn = ClientConn::new("passthrough:///a", credentials::insecure()).expect("valid");
    let context = StreamContext {
        conn,
        method: MethodName::from_static("/a.B/C"),
        content_subtype: "proto",
        call: ResolvedCall::new(CallOptions::new(), None, None, Instant::now),
        only_message: None,
        record_request: None,
        recorder: WaitRecorder::default(),
        observer: None,
    };
    let scheduler = AttemptScheduler::new(None, None, 0);
    StreamCall::new(context, scheduler, FinishHooks::default())
}

fn cancelled(text: &'static str) -> EndReason {
    EndReason::Status(Status::cancelled(text))
}

fn text(status: Option<Status>) -> String {
    status.map_or_else(String::new, |status| status.message().to_owned())
}

/// Counts its wakes.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn messages_that_are_sent_while_the_attempts_are_driven_are_kept_in_order() {
    let call = call();
    let message = |byte| BytesQueue::from(bytes::Bytes::from(vec![byte]));
    call.send(Sent::Message(message(1), 1)).expect("not failed");
    call.with_attempts(|_| {
        call.send(Sent::Message(message(2), 2)).expect("not failed");
        call.send(Sent::Close).expect("not failed");
    });
    let replayed = call.with_attempts(|attempts| attempts.buffer.replay().collect::<Vec<_>>());
    let (replayed, _) = replayed.expect("put back");
    assert_eq!(
        replayed,
        [Sent::Message(message(1), 1), Sent::Last(message(2), 2)]
    );
}

#[test]
fn a_call_that_is_ended_while_its_attempts_are_driven_fails_when_they_are_put_back() {
    let call = call();
    let driven = call.with_attempts(|_| {
        call.end(cancelled("first"));
        call.end(cancelled("second"));
        assert!(call.failure().is_none(), "they are not put back");
    });
    let ((), wakes) = driven.expect("at rest before");
    assert!(wakes);
    assert_eq!(text(call.failure()), "first");
    assert!(call.with_attempts(|_| ()).is_none(), "none is left");
    let sent = call.send(Sent::Close);
    assert_eq!(text(sent.err()), "first");
}

#[test]
fn a_half_that_is_polled_while_the_other_drives_is_woken_when_the_attempts_are_put_back() {
    let call = call();
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    let driven = call.with_attempts(|_| {
        let polled = call.drive(
            StreamHalf::Receive,
            &Context::from_waker(&waker),
            nothing_received,
        );
        assert!(matches!(polled, Drive::Uncommitted(Poll::Pending)));
    });
    let ((), wakes) = driven.expect("at rest before");
    assert!(wakes);
    call.wakers.wake_other(StreamHalf::Send);
    assert_eq!(task.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_panic_while_the_attempts_are_driven_fails_the_call() {
    let call = call();
    let driven = catch_unwind(AssertUnwindSafe(|| {
        call.with_attempts(|_| panic!("user code"));
    }));
    assert!(driven.is_err());
    let code = call.failure().map(|status| status.code());
    assert_eq!(code, Some(Code::Internal));
}
