//! The four kinds of calls take the same options before they are awaited.

use std::time::Duration;

use rgrpc::{Call, Code, Metadata, Response, Status};
use rgrpc_e2e::{StubClient, StubService, msg, scripted, serve, soon, text};
use tokio::task::JoinHandle;

const KINDS: [Kind; 4] = [
    Kind::Unary,
    Kind::ServerStreaming,
    Kind::ClientStreaming,
    Kind::BidiStreaming,
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    BidiStreaming,
}

/// Sets all options of a call that show on the wire, for any kind.
fn with_options<I, K>(call: Call<'_, I, K>) -> Call<'_, I, K> {
    let metadata = Metadata::from_pairs([("x-hop", "b"), ("x-hop", "c")]).expect("valid");
    let mut call = call
        .metadata("x-hop", "a")
        .metadata("x-bin", vec![0xfb])
        .merge_metadata(metadata)
        .timeout(Duration::from_secs(9))
        .authority("other.test")
        .compressor("gzip")
        .accept_compressors(["gzip"])
        .wait_for_ready(true)
        .max_send_message_size(1024)
        .max_receive_message_size(1024)
        .max_retry_buffer_size(1024);
    call.options_mut().append_metadata("x-last", "d");
    call
}

/// Makes a call of this kind and keeps it until it is aborted.
fn begin(client: StubClient, kind: Kind) -> JoinHandle<Result<(), Status>> {
    tokio::spawn(async move {
        match kind {
            Kind::Unary => drop(with_options(client.unary(msg(""))).await?),
            Kind::ServerStreaming => {
                let mut responses = with_options(client.server_streaming(msg(""))).await?;
                responses.recv().await?;
            }
            Kind::ClientStreaming => {
                let call = with_options(client.client_streaming()).await?;
                call.close_and_recv().await?;
            }
            Kind::BidiStreaming => {
                let (_requests, mut responses) = with_options(client.bidi_streaming()).await?;
                responses.recv().await?;
            }
        }
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_call_sends_the_options_that_it_was_given() {
    for kind in KINDS {
        let (conn, mut server) = scripted();
        let call = begin(StubClient::new(conn), kind);
        let head = server.accept().await.expect_headers(1).await;
        assert_eq!(head.get_all("x-hop"), ["a", "b", "c"], "{kind:?}");
        assert_eq!(head.get_all("x-bin"), ["+w"], "{kind:?}");
        assert_eq!(head.get_all("x-last"), ["d"], "{kind:?}");
        assert_eq!(head.get_all("grpc-timeout").len(), 1, "{kind:?}");
        assert_eq!(head.get_all(":authority"), ["other.test"], "{kind:?}");
        assert_eq!(head.get_all("grpc-encoding"), ["gzip"], "{kind:?}");
        assert_eq!(head.get_all("grpc-accept-encoding"), ["gzip"], "{kind:?}");
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_stream_is_closed_without_waiting_and_answered_later() {
    let (closed, mut server_saw) = tokio::sync::mpsc::unbounded_channel();
    let (answer, may_answer) = tokio::sync::watch::channel(false);
    let service = StubService::new().client_streaming(move |requests| {
        let (closed, mut may_answer) = (closed.clone(), may_answer.clone());
        async move {
            let mut requests = requests.into_message();
            let mut all = Vec::new();
            while let Some(message) = requests.recv().await? {
                all.extend_from_slice(&message.body);
            }
            closed.send(()).expect("the test lives");
            let changed = may_answer.wait_for(|answer| *answer).await;
            changed.map_err(|_| Status::internal("the test is over"))?;
            Ok(Response::new(msg(all)))
        }
    });
    let server = serve(service);
    let mut call = server.client().client_streaming().await.expect("a stream");
    call.send(msg("a")).await.expect("sent");
    call.close();
    call.close();
    assert_eq!(soon(server_saw.recv()).await, Some(()));
    let late = call.send(msg("b")).await.expect_err("it was closed");
    assert_eq!(late.code(), Code::Internal);
    answer.send(true).expect("the handler waits");
    let response = soon(call.recv()).await.expect("OK");
    assert_eq!(text(response.message()), "a");
}

#[tokio::test(start_paused = true)]
async fn a_client_stream_receives_an_answer_that_does_not_wait_for_its_end() {
    let service = StubService::new().client_streaming(async |_| Ok(Response::new(msg("early"))));
    let server = serve(service);
    let call = server.client().client_streaming().await.expect("a stream");
    let response = soon(call.recv()).await.expect("OK");
    assert_eq!(text(response.message()), "early");
}
