//! Handlers that are tasks of their own from the start.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rgrpc::{Response, Server};
use rgrpc_e2e::{StubService, TestServer, msg, new_server, serve_with, soon, text, unary};

/// A meeting of concurrent handlers: a handler blocks its thread until another has come.
#[derive(Clone, Default)]
struct Meeting(Arc<(Mutex<usize>, Condvar)>);

impl Meeting {
    /// Returns whether two have come within the limit.
    fn meet(&self, limit: Duration) -> bool {
        let (come, changed) = &*self.0;
        let mut come = come.lock().expect("not poisoned");
        *come += 1;
        changed.notify_all();
        let (come, _) = changed
            .wait_timeout_while(come, limit, |come| *come < 2)
            .expect("not poisoned");
        *come == 2
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_its_thread_holds_up_no_other_call_of_its_connection() {
    let meeting = Meeting::default();
    let service = StubService::new().unary(move |_| {
        let meeting = meeting.clone();
        async move {
            let met = meeting.meet(Duration::from_secs(20));
            Ok(Response::new(msg(if met { "met" } else { "alone" })))
        }
    });
    let server = serve_with(new_server().spawn_handlers(true), service);
    let client = server.client();
    let (first, second) = soon(async {
        tokio::join!(
            client.unary(msg("")).into_future(),
            client.unary(msg("")).into_future()
        )
    })
    .await;
    for response in [first, second] {
        assert_eq!(text(response.expect("OK").message()), "met");
    }
}

/// A server whose unary method returns the task that it runs on.
fn telling_tasks(server: Server) -> TestServer {
    let service = StubService::new().unary(async |_| {
        let task = tokio::task::id();
        Ok(Response::new(msg(task.to_string())))
    });
    serve_with(server, service)
}

/// On which tasks two calls of one connection are handled.
async fn tasks_of_two_calls(server: Server) -> [String; 2] {
    let server = telling_tasks(server);
    let client = server.client();
    let mut tasks = [String::new(), String::new()];
    for task in &mut tasks {
        let response = soon(client.unary(msg("")).into_future()).await;
        text(response.expect("OK").message()).clone_into(task);
    }
    tasks
}

#[tokio::test(start_paused = true)]
async fn by_default_a_handler_that_does_not_wait_is_no_task() {
    let [first, second] = tasks_of_two_calls(new_server()).await;
    assert_eq!(first, second);
}

#[tokio::test(start_paused = true)]
async fn with_the_option_each_handler_is_a_task() {
    let [first, second] = tasks_of_two_calls(new_server().spawn_handlers(true)).await;
    assert_ne!(first, second);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_was_spawned_ends_with_its_call() {
    let (service, mut watch) = StubService::hanging();
    let server = serve_with(new_server().spawn_handlers(true), service);
    let client = server.client();
    let call = unary(&client, "");
    watch.begun().await;
    call.abort();
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn calls_of_all_kinds_are_served_by_handlers_that_are_spawned() {
    let server = serve_with(new_server().spawn_handlers(true), StubService::echo());
    let client = server.client();
    let response = client.unary(msg("a")).await.expect("OK");
    assert_eq!(text(response.message()), "a");

    let mut responses = client.server_streaming(msg("ab")).await.expect("begun");
    assert_eq!(responses.recv().await.expect("OK"), Some(msg("a")));
    assert_eq!(responses.recv().await.expect("OK"), Some(msg("b")));
    assert_eq!(responses.recv().await.expect("OK"), None);

    let mut requests = client.client_streaming().await.expect("begun");
    requests.send(msg("a")).await.expect("taken");
    requests.send(msg("b")).await.expect("taken");
    let response = requests.close_and_recv().await.expect("OK");
    assert_eq!(text(response.message()), "ab");

    let (mut requests, mut responses) = client.bidi_streaming().await.expect("begun");
    for body in ["a", "b"] {
        requests.send(msg(body)).await.expect("taken");
        assert_eq!(responses.recv().await.expect("OK"), Some(msg(body)));
    }
    requests.close();
    assert_eq!(responses.recv().await.expect("OK"), None);
}
