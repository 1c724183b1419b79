//! The hooks of interceptors that hear of the end of a call.

use super::*;
use rgrpc_e2e::new_server;

/// The end of a call, as a hook reports it.
#[derive(Debug, PartialEq)]
struct Ended {
    code: Code,
    by: EndedBy,
    reason: Option<CancelReason>,
    tail: Option<String>,
    elapsed: Duration,
}

impl Ended {
    fn of(outcome: &CallOutcome<'_>) -> Self {
        assert_eq!(outcome.status().is_ok(), outcome.code() == Code::Ok);
        Self {
            code: outcome.code(),
            by: outcome.ended_by(),
            reason: outcome.cancel_reason(),
            tail: outcome.trailer().get("x-tail").map(str::to_owned),
            elapsed: outcome.elapsed(),
        }
    }
}

impl Ended {
    /// The same without the time that the test took.
    fn at_once(self) -> Self {
        Self {
            elapsed: Duration::ZERO,
            ..self
        }
    }
}

/// A server whose `Unary` does as its request says, and the ends that its interceptor records.
fn ending() -> (TestServer, UnboundedReceiver<Ended>) {
    let (tell, told) = unbounded_channel();
    let service = StubService::new().unary(async |request| {
        let tail = Metadata::from_pairs([("x-tail", "1")]).expect("valid");
        request.set_trailer(tail);
        match text(request.message()) {
            "fail" => Err(Status::aborted("as asked")),
            "hang" => pending().await,
            _ => Ok(Response::new(request.into_message())),
        }
    });
    let server = new_server().interceptor(move |call: IncomingCall, next: ServerNext| {
        let tell = tell.clone();
        call.on_end(move |outcome| tell.send(Ended::of(outcome)).expect("the test lives"));
        next.run(call)
    });
    (serve_with(server, service), told)
}

#[tokio::test(start_paused = true)]
async fn an_end_hook_gets_the_status_and_the_trailers() {
    let (server, mut told) = ending();
    for (body, code) in [("echo", Code::Ok), ("fail", Code::Aborted)] {
        let _ = call(&server, body).await;
        let expected = Ended {
            code,
            by: EndedBy::Server,
            reason: None,
            tail: Some("1".to_owned()),
            elapsed: Duration::ZERO,
        };
        assert_eq!(soon(told.recv()).await, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_hook_gets_the_party_that_cancelled_the_call() {
    let cancelled = |code, by, reason| Ended {
        code,
        by,
        reason: Some(reason),
        tail: None,
        elapsed: Duration::ZERO,
    };
    let (server, mut told) = ending();
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("hang")).end_stream()).await;
    settle().await;
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    let by_client = cancelled(
        Code::Cancelled,
        EndedBy::Client,
        CancelReason::ClientCancelled,
    );
    let told_of = soon(told.recv()).await.expect("told");
    assert_eq!(told_of.at_once(), by_client);

    peer.send(grpc_request(3, STUB_UNARY)).await;
    peer.send(data(3, framed("hang")).end_stream()).await;
    settle().await;
    drop(peer);
    let by_loss = cancelled(
        Code::Cancelled,
        EndedBy::Connection,
        CancelReason::ConnectionLost,
    );
    let told_of = soon(told.recv()).await.expect("told");
    assert_eq!(told_of.at_once(), by_loss);

    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY).field("grpc-timeout", "1S"))
        .await;
    peer.send(data(1, framed("hang")).end_stream()).await;
    let by_deadline = Ended {
        // The status is sent, with the trailers that were set.
        tail: Some("1".to_owned()),
        elapsed: Duration::from_secs(1),
        ..cancelled(
            Code::DeadlineExceeded,
            EndedBy::Deadline,
            CancelReason::DeadlineExceeded,
        )
    };
    let told_of = soon(told.recv()).await.expect("told");
    assert!(
        told_of.elapsed < Duration::from_millis(1_010),
        "{told_of:?}"
    );
    assert_eq!(
        Ended {
            elapsed: Duration::from_secs(1),
            ..told_of
        },
        by_deadline
    );

    peer.send(grpc_request(3, STUB_UNARY)).await;
    peer.send(data(3, framed("hang")).end_stream()).await;
    settle().await;
    server.handle().stop();
    let told_of = soon(told.recv()).await.expect("told");
    assert_eq!(told_of.by, EndedBy::Shutdown);
    assert_eq!(told_of.code, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_comes_after_the_end_is_not_called() {
    let (give, mut given) = unbounded_channel();
    let service = StubService::new().unary(move |request| {
        let context = request.context().expect("in a handler").clone();
        give.send(context).expect("the test lives");
        async { Ok(Response::new(request.into_message())) }
    });
    let server = serve_with(new_server(), service);
    call(&server, "").await.expect("OK");
    let context = soon(given.recv()).await.expect("given");
    assert!(!context.on_end(|_| panic!("called")));
}
