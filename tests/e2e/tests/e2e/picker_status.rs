//! Pickers that answer with a status instead of a connection, and the exchange of policies while
//! calls go on.
//!
//! Source: gRFC A54; grpc-go's `TestPickerStatusCodes`, `TestBalancerSwitch_Graceful`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BalancerUpdate, ChannelControl, PickInfo,
    PickResult, Picker, SubConnId, SubConnState,
};
use rgrpc::resolver::{Endpoint, ResolverState};
use rgrpc::{ClientConn, Code, ConnectivityState, Status};
use rgrpc_e2e::{StubClient, StubService, msg, settle, soon, text};
use tokio::time::Instant;

use crate::cluster::{Cluster, address};

/// An answer of the pickers of [`Answering`].
#[derive(Clone)]
enum Answer {
    Fail(Code),
    Drop(Code),
}

/// A policy whose pickers have no connections, but an answer.
#[derive(Clone)]
struct Answering {
    answer: Answer,
    /// The number of picks, of all its pickers.
    picks: Arc<AtomicUsize>,
}

/// Its answer has the number of the pick, from 1.
struct AnsweringPicker(Answering);

impl BalancerBuilder for Answering {
    fn name(&self) -> &str {
        "answering"
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(self.clone())
    }
}

impl Balancer for Answering {
    fn update(
        &mut self,
        _update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let picker = AnsweringPicker(self.clone());
        control.update_state(ConnectivityState::TransientFailure, Arc::new(picker));
        Ok(())
    }

    fn resolver_error(&mut self, _error: &Status, _control: &mut dyn ChannelControl) {}

    fn subconn_state(
        &mut self,
        _subconn: SubConnId,
        _state: &SubConnState,
        _control: &mut dyn ChannelControl,
    ) {
    }

    fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {}
}

impl Picker for AnsweringPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        let pick = self.0.picks.fetch_add(1, Ordering::Relaxed) + 1;
        match self.0.answer {
            Answer::Fail(code) => PickResult::Fail(Status::new(code, format!("pick {pick}"))),
            Answer::Drop(code) => PickResult::Drop(Status::new(code, format!("pick {pick}"))),
        }
    }
}

const ANSWERING: &str = r#"{
    "loadBalancingConfig": [{"answering": {}}],
    "methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE"]
    }}]
}"#;

/// A channel whose pickers answer with this, and the number of their picks.
struct Answered {
    cluster: Cluster,
    conn: ClientConn,
    client: StubClient,
    picks: Arc<AtomicUsize>,
}

impl Answered {
    fn with(answer: Answer) -> Self {
        let cluster = Cluster::of(&["a"]);
        let picks = Arc::default();
        let policy = Answering {
            answer,
            picks: Arc::clone(&picks),
        };
        let builder = cluster.builder().default_service_config(ANSWERING);
        let conn = builder.balancer(policy).build().expect("a valid channel");
        cluster.found(&["a"]);
        Self {
            cluster,
            client: StubClient::new(conn.clone()),
            conn,
            picks,
        }
    }

    /// The number of picks since the last time.
    fn picks(&self) -> usize {
        self.picks.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn codes_of_applications_become_internal_when_a_picker_fails_calls_with_them() {
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
        let expected = match code {
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::DataLoss => Code::Internal,
            code => code,
        };
        for answer in [Answer::Fail(code), Answer::Drop(code)] {
            let is_retried = matches!(answer, Answer::Fail(Code::Unavailable));
            let answered = Answered::with(answer);
            let status = soon(async { answered.client.unary(msg("")).await }).await;
            let status = status.expect_err("no connection is picked");
            assert_eq!(status.code(), expected, "{code}: {status}");
            let attempts = if is_retried { 3 } else { 1 };
            let pick = format!("pick {attempts}");
            assert!(status.message().contains(&pick), "{code}: {status}");
            assert_eq!(answered.picks(), attempts, "{code}: {status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_picker_fails_wait_for_ready_and_those_that_it_drops_do_not() {
    let wait = |answer| async {
        let answered = Answered::with(answer);
        let call = answered.client.unary(msg("")).wait_for_ready(true);
        let call = call.timeout(Duration::from_secs(60));
        let status = call.await.expect_err("no connection is picked");
        (status, answered.picks())
    };
    let (failed, picks) = wait(Answer::Fail(Code::Unavailable)).await;
    assert_eq!(failed.code(), Code::DeadlineExceeded);
    // It names the failure, for which the picker is not asked again.
    assert!(failed.message().ends_with("last: pick 1"), "{failed}");
    assert_eq!(picks, 1);
    let (dropped, picks) = wait(Answer::Drop(Code::Unavailable)).await;
    assert_eq!(dropped.code(), Code::Unavailable);
    assert_eq!(picks, 1);
}

#[tokio::test(start_paused = true)]
async fn a_picker_is_asked_once_by_an_attempt_and_the_next_one_once_more() {
    let answered = Answered::with(Answer::Fail(Code::Unavailable));
    // Until the policy has published a picker there is none to count.
    soon(async { answered.client.unary(msg("")).await })
        .await
        .expect_err("failed");
    assert_eq!(answered.picks(), 3, "one an attempt");
    let call = answered.client.clone();
    let call = tokio::spawn(async move { call.unary(msg("")).wait_for_ready(true).await });
    settle().await;
    assert_eq!(answered.picks(), 1);
    for _ in 0..3 {
        answered.cluster.found(&["a"]);
        settle().await;
        assert_eq!(answered.picks(), 1, "a picker for each update");
    }
    let streaming = answered.client.bidi_streaming();
    soon(async { streaming.await.map(drop) })
        .await
        .expect_err("failed");
    assert_eq!(answered.picks(), 3, "one an attempt");
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_a_picker_but_calls() {
    let answered = Answered::with(Answer::Fail(Code::Unavailable));
    let deadline = Instant::now() + Duration::from_secs(1);
    let ready = answered.conn.wait_ready(deadline);
    let status = ready.await.expect_err("never ready");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(answered.picks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_not_retried_under_any_retry_policy() {
    for (answer, is_retried) in [
        (Answer::Fail(Code::Unavailable), true),
        (Answer::Drop(Code::Unavailable), false),
    ] {
        let answered = Answered::with(answer);
        let status = answered.client.unary(msg("")).await.expect_err("none");
        let text = status.message();
        assert_eq!(
            text.ends_with("(the last of 3 attempts)"),
            is_retried,
            "{text}"
        );
        assert_eq!(answered.picks(), if is_retried { 3 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn calls_go_by_the_old_policy_until_the_new_one_is_connected() {
    let mut cluster = Cluster::of(&["a", "b"]);
    let state = |policy: &str, names: &[&str]| {
        let config = format!(r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#);
        let endpoints = names.iter().map(|name| Endpoint::from(address(name)));
        ResolverState::new(endpoints.collect()).with_service_config(config)
    };
    let conn = cluster.builder().build().expect("a valid channel");
    let client = StubClient::new(conn.clone());
    let call = async || {
        let call = client.unary(msg("")).timeout(Duration::from_secs(1));
        let response = soon(async { call.await }).await?;
        Ok::<_, Status>(text(response.message()).to_owned())
    };
    cluster.resolver.update(state("pick_first", &["a"]));
    assert_eq!(call().await.expect("OK"), "a");

    // The backends of the new policy are not there yet.
    let later = cluster.take("b");
    cluster.resolver.update(state("round_robin", &["b"]));
    settle().await;
    assert_eq!(conn.state(), ConnectivityState::TransientFailure);
    drop(later);
    cluster.start("b", StubService::echo());
    cluster.resolver.update(state("pick_first", &["a"]));
    settle().await;
    assert_eq!(call().await.expect("OK"), "a");
    for policy in ["round_robin", "pick_first", "round_robin"] {
        cluster.resolver.update(state(policy, &["b", "a"]));
        for _ in 0..10 {
            call().await.expect("by one policy or the other");
        }
        settle().await;
    }
    assert_eq!(conn.state(), ConnectivityState::Ready);
}
