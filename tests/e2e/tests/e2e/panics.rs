//! A handler's panic: the client has a fixed text, the server's hook has everything.

use std::sync::{Arc, Mutex, PoisonError};

use rgrpc::{Code, Response, Server, Status};
use rgrpc_e2e::{Message, StubService, TestServer, msg, new_server, serve_with, soon, text};

const SECRET: &str = "the password is swordfish";

/// The call of the hook: the method, the text, and whether the peer was there.
type Told = Arc<Mutex<Vec<(String, String)>>>;

fn take(told: &Told) -> Vec<(String, String)> {
    std::mem::take(&mut told.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A server whose handlers panic where the request says, and the events of its panic hook.
fn panicking(options: impl FnOnce(Server) -> Server) -> (TestServer, Told) {
    let told = Told::default();
    let hook = Arc::clone(&told);
    let server = new_server().panic_hook(move |panic| {
        assert!(!panic.peer().remote.to_string().is_empty());
        assert!(panic.payload().is::<&str>() || panic.payload().is::<String>());
        let entry = (panic.method().to_owned(), panic.message().to_owned());
        hook.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    });
    let service = StubService::new()
        .unary(async |request| match text(request.message()) {
            "at once" => panic!("{SECRET}"),
            "later" => {
                tokio::task::yield_now().await;
                panic!("{SECRET}")
            }
            "as it is dropped" => {
                let _guard = PanicsWhenDropped;
                std::future::pending().await
            }
            _ => Ok(Response::new(msg("alive"))),
        })
        .server_streaming(|_, mut responses| async move {
            responses.send(msg("first")).await?;
            panic!("{SECRET}")
        })
        .client_streaming(|mut requests| async move {
            while requests.message_mut().recv().await?.is_some() {}
            panic!("{SECRET}")
        })
        .bidi_streaming(|_, _| async { panic!("{SECRET}") });
    (serve_with(options(server), service), told)
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("{SECRET}");
    }
}

#[track_caller]
fn assert_says_nothing<T: std::fmt::Debug>(outcome: Result<T, Status>) {
    let status = outcome.expect_err("the handler panics");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the server's handler panicked");
    assert!(status.details().is_empty(), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panics_text_goes_to_the_hook_and_not_to_the_client() {
    for spawn in [false, true] {
        let (server, told) = panicking(|server| server.spawn_handlers(spawn));
        let client = server.client();
        for request in ["at once", "later"] {
            assert_says_nothing(client.unary(msg(request)).await);
        }
        let mut responses = client.server_streaming(msg("")).await.expect("a stream");
        let first: Option<Message> = responses.recv().await.expect("a message");
        assert_eq!(first, Some(msg("first")));
        assert_says_nothing(responses.recv().await);
        let requests = client.client_streaming().await.expect("a stream");
        assert_says_nothing(requests.close_and_recv().await);
        let (_requests, mut responses) = client.bidi_streaming().await.expect("a stream");
        assert_says_nothing(responses.recv().await);

        let methods = [
            "Unary",
            "Unary",
            "ServerStreaming",
            "ClientStreaming",
            "BidiStreaming",
        ];
        let expected: Vec<_> = methods
            .iter()
            .map(|method| (format!("/rgrpc.e2e.Stub/{method}"), SECRET.to_owned()))
            .collect();
        assert_eq!(take(&told), expected);
        client.unary(msg("")).await.expect("the connection lives");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_as_it_is_dropped_ends_no_other_call() {
    let (server, told) = panicking(|server| server);
    let client = server.client();
    let call = client
        .unary(msg("as it is dropped"))
        .timeout(std::time::Duration::from_secs(1));
    let status = call.await.expect_err("it does not answer");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    soon(async {
        while take(&told).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.unary(msg("")).await.expect("the connection lives");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_ends_nothing() {
    let service = StubService::new().unary(async |request| match text(request.message()) {
        "panic" => panic!("{SECRET}"),
        _ => Ok(Response::new(msg("alive"))),
    });
    let server = new_server().panic_hook(|_| panic!("the hook as well"));
    let server = serve_with(server, service);
    let client = server.client();
    assert_says_nothing(client.unary(msg("panic")).await);
    client.unary(msg("")).await.expect("the connection lives");
}
