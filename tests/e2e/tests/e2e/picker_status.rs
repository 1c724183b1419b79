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
use rgrpc::{Code, ConnectivityState, Status};
use rgrpc_e2e::{StubClient, StubService, msg, settle, soon, text};

use crate::cluster::{Cluster, address};

/// An answer of the pickers of [`Answering`].
#[derive(Clone)]
enum Answer {
    Fail(Code),
    Drop(Code),
}

/// A policy whose pickers have no connections, but an answer.
#[derive(Clone)]
struct Answering(Answer);

struct AnsweringPicker {
    answer: Answer,
    picks: AtomicUsize,
}

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
        let picker = AnsweringPicker {
            answer: self.0.clone(),
            picks: AtomicUsize::new(0),
        };
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
        let pick = self.picks.fetch_add(1, Ordering::Relaxed);
        match self.answer {
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

/// A client of a channel whose pickers answer with this.
fn answering(answer: Answer) -> StubClient {
    let cluster = Cluster::of(&["a"]);
    let builder = cluster.builder().default_service_config(ANSWERING);
    let conn = builder.balancer(Answering(answer)).build();
    cluster.found(&["a"]);
    StubClient::new(conn.expect("a valid channel"))
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
            let client = answering(answer);
            let status = soon(async { client.unary(msg("")).await }).await;
            let status = status.expect_err("no connection is picked");
            assert_eq!(status.code(), expected, "{code}: {status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_picker_fails_wait_for_ready_and_those_that_it_drops_do_not() {
    let wait = |answer| async {
        let client = answering(answer);
        let call = client.unary(msg("")).wait_for_ready(true);
        let call = call.timeout(Duration::from_secs(60));
        call.await.expect_err("no connection is picked").code()
    };
    let failed = wait(Answer::Fail(Code::Unavailable)).await;
    assert_eq!(failed, Code::DeadlineExceeded);
    let dropped = wait(Answer::Drop(Code::Unavailable)).await;
    assert_eq!(dropped, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_not_retried_under_any_retry_policy() {
    for (answer, is_retried) in [
        (Answer::Fail(Code::Unavailable), true),
        (Answer::Drop(Code::Unavailable), false),
    ] {
        let client = answering(answer);
        let status = client.unary(msg("")).await.expect_err("none is picked");
        let text = status.message();
        assert_eq!(
            text.ends_with("(the last of 3 attempts)"),
            is_retried,
            "{text}"
        );
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
