//! The halves as `Stream` and `Sink`, and what may be moved between tasks.

use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use rgrpc::{Code, Response, Status};
use rgrpc_e2e::{Message, StubService, TestServer, msg, serve, soon, text};

#[tokio::test(start_paused = true)]
async fn a_receiving_half_is_a_stream() {
    let server = serve(StubService::echo());
    let responses = server.client().server_streaming(msg("abc")).await;
    let texts = responses
        .expect("a stream")
        .map_ok(|message| text(&message).to_uppercase())
        .try_collect::<Vec<_>>();
    assert_eq!(soon(texts).await.expect("OK"), ["A", "B", "C"]);
}

#[tokio::test(start_paused = true)]
async fn as_a_stream_a_failure_comes_last_and_once() {
    let service = StubService::new().server_streaming(|_, mut responses| async move {
        responses.send(msg("one")).await?;
        Err(Status::out_of_range("no two"))
    });
    let server = serve(service);
    let responses = server.client().server_streaming(msg("")).await;
    let items = soon(responses.expect("a stream").collect::<Vec<_>>()).await;
    let [first, last] = items.try_into().expect("two items");
    assert_eq!(first.expect("OK"), msg("one"));
    assert_eq!(last.expect_err("a failure").code(), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn a_sending_half_is_a_sink() {
    let server = serve(StubService::echo());
    let call = server.client().client_streaming().await.expect("a stream");
    let (mut requests, mut response) = call.split();
    let mut parts = stream::iter(["a", "b", "c"]).map(|part| Ok(msg(part)));
    soon(requests.send_all(&mut parts)).await.expect("sent");
    SinkExt::close(&mut requests).await.expect("closed");
    let message = soon(response.recv()).await.expect("OK").expect("a message");
    assert_eq!(text(&message), "abc");
}

#[tokio::test(start_paused = true)]
async fn forwarding_one_half_to_the_other_is_a_handler() {
    let service = StubService::new().bidi_streaming(|requests, responses| async move {
        requests
            .into_message()
            .map_ok(|message| msg(text(&message).to_uppercase()))
            .forward(responses)
            .await
    });
    let server = serve(service);
    let (requests, responses) = server.client().bidi_streaming().await.expect("a stream");
    let sending = stream::iter(["a", "b"])
        .map(|part| Ok(msg(part)))
        .forward(requests);
    let (sent, received) =
        soon(async { tokio::join!(sending, responses.try_collect::<Vec<Message>>()) }).await;
    sent.expect("sent");
    assert_eq!(received.expect("OK"), [msg("A"), msg("B")]);
}

#[tokio::test(start_paused = true)]
async fn a_half_can_be_polled_by_another_task_than_the_one_that_made_it() {
    let server = serve(StubService::echo());
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    let receiving = tokio::spawn(async move {
        let first = responses.recv().await;
        // The waker is that of whoever polls last.
        tokio::spawn(async move { (first, responses.recv().await) }).await
    });
    for body in ["a", "b"] {
        requests.send(msg(body)).await.expect("sent");
        tokio::task::yield_now().await;
    }
    let (first, second) = soon(receiving).await.expect("no panic").expect("no panic");
    assert_eq!(first.expect("OK"), Some(msg("a")));
    assert_eq!(second.expect("OK"), Some(msg("b")));
}

/// Holds at compile time.
fn assert_send_static<T: Send + 'static>(value: T) -> T {
    value
}

#[tokio::test(start_paused = true)]
async fn calls_halves_and_their_futures_move_between_tasks() {
    async fn talk(server: &TestServer) -> Result<(), Status> {
        let client = assert_send_static(server.client());
        let unary = client.clone();
        let unary = assert_send_static(async move { unary.unary(msg("a")).await });
        assert_eq!(text(unary.await?.message()), "a");

        let mut call = assert_send_static(client.client_streaming().await?);
        let call = assert_send_static(async move {
            call.send(msg("b")).await?;
            call.header().await;
            call.close_and_recv().await
        });
        // An echo answers at the end; its header comes with the answer, so do not wait for it.
        drop(call);

        let (mut requests, mut responses) = client.bidi_streaming().await?;
        let sending = assert_send_static(async move {
            let sent = requests.send(msg("c")).await;
            requests.close();
            sent
        });
        let receiving = assert_send_static(async move {
            responses.header().await;
            responses.recv().await
        });
        let (sending, receiving) = (tokio::spawn(sending), tokio::spawn(receiving));
        sending.await.expect("no panic")?;
        let received = receiving.await.expect("no panic")?;
        assert_eq!(received, Some(msg("c")));
        Ok(())
    }
    let server = serve(StubService::echo());
    soon(talk(&server)).await.expect("OK");
    assert_send_static(Response::new(msg("")));
}
