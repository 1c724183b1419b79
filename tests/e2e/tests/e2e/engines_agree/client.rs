//! The client's side of a call.

use rgrpc::{ClientConn, RecvStream, SendStream};
use rgrpc_e2e::{Message, StubClient};

use super::CALL;
use super::told::{tell_message, tell_metadata, tell_response, tell_status};
use super::workload::{Kind, Planned};

/// Makes a call, and tells what came of it.
pub(super) async fn make(client: &StubClient<ClientConn>, call: &Planned) -> Vec<String> {
    macro_rules! with_options {
        ($made:expr) => {{
            let mut made = $made.metadata(CALL, call.number.to_string());
            for (key, value) in call.metadata.iter() {
                made = made.metadata(key.to_owned(), value.to_owned());
            }
            made.max_receive_message_size(call.receive_limit.unwrap_or(4 << 20))
        }};
    }
    let mut told = Vec::new();
    match call.kind {
        Kind::Unary => {
            let response = with_options!(client.unary(call.request(0))).await;
            tell_response(&mut told, response);
        }
        Kind::ServerStreaming => {
            match with_options!(client.server_streaming(call.request(0))).await {
                Ok(responses) => receive(&mut told, call, responses).await,
                Err(status) => tell_status(&mut told, &status),
            }
        }
        Kind::ClientStreaming => {
            let made = with_options!(client.client_streaming()).await;
            let mut made = made.expect("a stream is there before its response");
            for place in 0..call.requests.len() {
                // The response says that the call is over.
                if made.send(call.request(place)).await.is_err() {
                    break;
                }
            }
            tell_response(&mut told, made.close_and_recv().await);
        }
        Kind::BidiInTurns | Kind::BidiAtOnce => {
            let made = with_options!(client.bidi_streaming()).await;
            let (requests, responses) = made.expect("a stream is there before its response");
            if call.kind == Kind::BidiAtOnce {
                tokio::join!(send(call, requests), receive(&mut told, call, responses));
            } else {
                take_turns(&mut told, call, requests, responses).await;
            }
        }
    }
    told
}

async fn send(call: &Planned, mut requests: SendStream<Message>) {
    for place in 0..call.requests.len() {
        // As above.
        if requests.send(call.request(place)).await.is_err() {
            break;
        }
    }
    requests.close();
}

async fn receive(told: &mut Vec<String>, call: &Planned, mut responses: RecvStream<Message>) {
    tell_metadata(told, "header", responses.header().await);
    let mut count = 0;
    while call.gives_up_after != Some(count) && receive_one(told, &mut responses).await {
        count += 1;
    }
}

async fn take_turns(
    told: &mut Vec<String>,
    call: &Planned,
    mut requests: SendStream<Message>,
    mut responses: RecvStream<Message>,
) {
    for place in 0..call.requests.len() {
        let sent = requests.send(call.request(place)).await;
        if call.gives_up_after == Some(place) {
            return;
        }
        if !receive_one(told, &mut responses).await || sent.is_err() {
            return;
        }
    }
    requests.close();
    receive_one(told, &mut responses).await;
}

/// Receives a response, or the end. Returns whether more may come.
async fn receive_one(told: &mut Vec<String>, responses: &mut RecvStream<Message>) -> bool {
    match responses.recv().await {
        Ok(Some(message)) => tell_message(told, "response", &message),
        Ok(None) => {
            tell_metadata(told, "trailer", responses.trailer());
            return false;
        }
        Err(status) => {
            tell_status(told, &status);
            return false;
        }
    }
    true
}
