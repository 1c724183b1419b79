//! The end of a call is judged once, before anyone is told: the caller, `on_finish`, the throttle
//! of retries, pickers, outlier detection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BaseBalancer, ChannelControl, EndpointChild,
    LoadReport, OutlierDetectionBuilder, PickInfo, PickResult, Picker, PickerBuilder,
};
use rgrpc::prost::Message as _;
use rgrpc::{ClientConn, Code, Metadata, Status};
use rgrpc_e2e::{ScriptedServer, StubClient, answer as answer_ok, msg, scripted_by, soon, unary};
use rgrpc_test_support::{WirePeer, data, grpc_response, grpc_trailers, trailers_only};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The parts of a response, besides its headers and OK in the trailers.
const RESPONSES: [(&str, &[u8], Code); 6] = [
    ("none", b"", Code::Unimplemented),
    ("two", b"\0\0\0\0\0\0\0\0\0\0", Code::Unimplemented),
    ("a part of a prefix", b"\0\0", Code::Internal),
    ("a part of a message", b"\0\0\0\0\x04\x0a", Code::Internal),
    (
        "one that is no message",
        b"\0\0\0\0\x01\xff",
        Code::Internal,
    ),
    (
        "one over the limit",
        b"\0\0\0\0\x20",
        Code::ResourceExhausted,
    ),
];

/// The codes that ends were reported with.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<Code>>>);

impl Ends {
    fn hook(&self) -> impl Fn(Result<(), &Status>) + Send + Sync + 'static {
        let ends = self.clone();
        move |outcome| {
            let code = outcome.map_or_else(Status::code, |()| Code::Ok);
            ends.0.lock().expect("not poisoned").push(code);
        }
    }

    fn take(&self) -> Vec<Code> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

async fn answer(peer: &mut WirePeer, id: u32, body: &'static [u8]) {
    peer.send(grpc_response(id)).await;
    if !body.is_empty() {
        peer.send(data(id, body)).await;
    }
    let mut load = LoadReport::default();
    load.cpu_utilization = 0.5;
    let load = Metadata::encode_binary(&load.encode_to_vec());
    let trailers = grpc_trailers(id, 0).field("endpoint-load-metrics-bin", load);
    peer.send(trailers).await;
}

/// Makes a call of this kind that ends with one response.
fn call_of_kind(
    client: StubClient,
    kind: &'static str,
    hook: impl Fn(Result<(), &Status>) + Send + Sync + 'static,
) -> JoinHandle<Result<(), Status>> {
    tokio::spawn(async move {
        let unary = client.unary(msg("")).max_receive_message_size(16);
        let streaming = client.client_streaming().max_receive_message_size(16);
        match kind {
            "unary" => unary.on_finish(hook).await.map(drop),
            "split" => {
                let (mut requests, mut responses) = streaming.on_finish(hook).await?.split();
                requests.close();
                responses.recv().await.map(drop)
            }
            _ => {
                let call = streaming.on_finish(hook).await?;
                call.close_and_recv().await.map(drop)
            }
        }
    })
}

const KINDS: [&str; 3] = ["unary", "client streaming", "split"];

/// A channel that throttles retries, of whose 4 tokens 2 are gone after 2 failures.
fn throttling() -> (ClientConn, ScriptedServer) {
    let config = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
        "backoffMultiplier": 1, "retryableStatusCodes": ["ABORTED"]
    }}], "retryThrottling": {"maxTokens": 4, "tokenRatio": 1}}"#;
    scripted_by("passthrough:///stub.test", |builder| {
        builder.default_service_config(config)
    })
}

#[tokio::test(start_paused = true)]
async fn a_malformed_response_is_reported_as_a_failure_everywhere() {
    for (name, body, code) in RESPONSES {
        for kind in KINDS {
            let (conn, mut server) = throttling();
            let ends = Ends::default();
            let call = call_of_kind(StubClient::new(conn), kind, ends.hook());
            let mut peer = server.accept().await;
            peer.expect_request(1).await;
            answer(&mut peer, 1, body).await;
            let status = soon(call).await.expect("no panic").expect_err(name);
            assert_eq!(status.code(), code, "{kind}, {name}: {status}");
            assert_eq!(ends.take(), [code], "{kind}, {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_within_a_message_is_reported_as_a_failure_everywhere() {
    for (name, body, code) in &RESPONSES[2..] {
        let (conn, mut server) = throttling();
        let client = StubClient::new(conn);
        let ends = Ends::default();
        let hook = ends.hook();
        let call = tokio::spawn(async move {
            let call = client.server_streaming(msg(""));
            let mut responses = call.max_receive_message_size(16).on_finish(hook).await?;
            responses.recv().await
        });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        answer(&mut peer, 1, body).await;
        let status = soon(call).await.expect("no panic").expect_err(name);
        assert_eq!(status.code(), *code, "{name}: {status}");
        assert_eq!(ends.take(), [*code], "{name}");
    }
}

/// Fails one call so that it is retried once, if the throttle lets it.
async fn aborted_attempts(client: &StubClient, peer: &mut WirePeer, id: &mut u32) -> u32 {
    let call = unary(client, "");
    let mut attempts = 0;
    loop {
        peer.expect_request(*id).await;
        peer.send(trailers_only(*id, 10)).await;
        *id += 2;
        attempts += 1;
        // The second attempt is the last.
        if attempts == 2 || {
            sleep(Duration::from_secs(1)).await;
            call.is_finished()
        } {
            break;
        }
    }
    let status = soon(call).await.expect("no panic").expect_err("ABORTED");
    assert_eq!(status.code(), Code::Aborted);
    attempts
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_judged_bad_gives_the_throttle_no_token_back() {
    for (bad, attempts) in [(true, 1), (false, 2)] {
        let (conn, mut server) = throttling();
        let client = StubClient::new(conn);
        let mut id = 1;
        let first = unary(&client, "");
        let mut peer = server.accept().await;
        peer.expect_request(id).await;
        answer(&mut peer, id, b"\0\0\0\0\0").await;
        soon(first).await.expect("no panic").expect("OK");
        id += 2;
        // 3 tokens are left, then 2, which is half: the second failure is not retried.
        assert_eq!(aborted_attempts(&client, &mut peer, &mut id).await, 2);
        for _ in 0..3 {
            let streaming = client.client_streaming().await.expect("a stream");
            let call = tokio::spawn(streaming.close_and_recv());
            peer.expect_request(id).await;
            answer(&mut peer, id, if bad { b"" } else { b"\0\0\0\0\0" }).await;
            assert_eq!(soon(call).await.expect("no panic").is_err(), bad);
            id += 2;
        }
        assert_eq!(
            aborted_attempts(&client, &mut peer, &mut id).await,
            attempts,
            "{bad}"
        );
    }
}

/// The policy `listening`: its picker records the outcomes of its calls.
#[derive(Clone, Default)]
struct Listening(Arc<Mutex<Vec<Outcome>>>);

/// The code of a call, and the CPU utilization that the backend reported with it.
type Outcome = (Code, Option<f64>);

impl Listening {
    fn take(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

impl BalancerBuilder for Listening {
    fn name(&self) -> &str {
        "listening"
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(self.clone()))
    }
}

impl PickerBuilder for Listening {
    fn build(
        &mut self,
        ready: &[&EndpointChild],
        _control: &mut dyn ChannelControl,
    ) -> Arc<dyn Picker> {
        Arc::new(ListeningPicker {
            picker: Arc::clone(ready[0].picker()),
            outcomes: self.clone(),
        })
    }
}

struct ListeningPicker {
    picker: Arc<dyn Picker>,
    outcomes: Listening,
}

impl Picker for ListeningPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let outcomes = self.outcomes.clone();
        match self.picker.pick(call) {
            PickResult::Pick(pick) => PickResult::Pick(pick.on_done(move |outcome| {
                let code = outcome.failure.map_or(Code::Ok, Status::code);
                let cpu = outcome.load_report.map(|report| report.cpu_utilization);
                outcomes.0.lock().expect("not poisoned").push((code, cpu));
            })),
            other => other,
        }
    }
}

fn by_policy(policy: impl BalancerBuilder, config: &str) -> (StubClient, ScriptedServer) {
    let config = format!(r#"{{"loadBalancingConfig": {config}}}"#);
    let (conn, server) = scripted_by("ipv4:127.0.0.1:1", |builder| {
        builder.balancer(policy).default_service_config(config)
    });
    (StubClient::new(conn), server)
}

#[tokio::test(start_paused = true)]
async fn a_picker_hears_that_a_response_was_judged_bad_and_the_load_reported_with_it() {
    for kind in KINDS {
        let outcomes = Listening::default();
        let (client, mut server) = by_policy(outcomes.clone(), r#"[{"listening": {}}]"#);
        let mut peer = None;
        let good = ("one", &b"\0\0\0\0\0"[..], Code::Ok);
        for ((name, body, code), id) in RESPONSES.into_iter().chain([good]).zip((1..).step_by(2)) {
            let call = call_of_kind(client.clone(), kind, |_| {});
            let peer = match &mut peer {
                Some(peer) => peer,
                none => none.insert(server.accept().await),
            };
            peer.expect_request(id).await;
            answer(peer, id, body).await;
            let outcome = soon(call).await.expect("no panic");
            assert_eq!(
                outcome.map_or_else(|status| status.code(), |()| Code::Ok),
                code
            );
            let [(told, cpu)] = outcomes.take()[..] else {
                panic!("{kind}, {name}: not told once");
            };
            assert_eq!(told, code, "{kind}, {name}");
            // A message that is bad by itself fails the call without waiting for the trailers.
            if !["two", "one that is no message", "one over the limit"].contains(&name) {
                assert_eq!(cpu, Some(0.5), "{kind}, {name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn outlier_detection_counts_responses_that_are_judged_bad_as_failures() {
    let config = r#"[{"outlier_detection_experimental": {
        "interval": "10s", "baseEjectionTime": "30s", "maxEjectionPercent": 100,
        "failurePercentageEjection":
            {"threshold": 50, "enforcementPercentage": 100, "minimumHosts": 1, "requestVolume": 3},
        "childPolicy": [{"round_robin": {}}]
    }}]"#;
    let good = ("one", &b"\0\0\0\0\0"[..], Code::Ok);
    for (name, body, code) in RESPONSES.into_iter().chain([good]) {
        for kind in KINDS {
            let (client, mut server) = by_policy(OutlierDetectionBuilder, config);
            let mut peer = None;
            for id in [1, 3, 5, 7] {
                let call = call_of_kind(client.clone(), kind, |_| {});
                let peer = match &mut peer {
                    Some(peer) => peer,
                    none => none.insert(server.accept().await),
                };
                peer.expect_request(id).await;
                answer(peer, id, body).await;
                let outcome = soon(call).await.expect("no panic");
                assert_eq!(outcome.is_ok(), code == Code::Ok, "{kind}, {name}");
            }
            sleep(Duration::from_secs(11)).await;
            let next = unary(&client, "");
            if code == Code::Ok {
                let peer = peer.as_mut().expect("connected");
                peer.expect_request(9).await;
                answer_ok(peer, 9, "").await;
                soon(next).await.expect("no panic").expect("OK");
            } else {
                let status = soon(next).await.expect("no panic").expect_err("ejected");
                assert_eq!(status.code(), Code::Unavailable, "{kind}, {name}: {status}");
            }
        }
    }
}
