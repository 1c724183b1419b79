//! Backends that report their load to a policy that asks for it.
//!
//! Source: gRFC A51, out-of-band reporting; grpc-go's `TestProducer*` of the package `orca`.

use std::sync::Arc;
use std::time::Duration;

use rgrpc::ConnectivityState::{Idle, Ready};
use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BalancerUpdate, ChannelControl, LoadReport, Pick,
    PickInfo, PickResult, Picker, SubConn, SubConnId, SubConnOptions, SubConnState,
};
use rgrpc::prost::Message as _;
use rgrpc::{ClientConn, Status};
use rgrpc_e2e::{
    ScriptedServer, StubClient, answer, expect_text, scripted_by, settle, soon, unary,
};
use rgrpc_test_support::{
    ErrorCode, Event, WirePeer, data, goaway, grpc_response, grpc_trailers, message,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// The CPU that a backend has reported, and when.
type Reports = UnboundedReceiver<(f64, Instant)>;

/// The policy `measured`: one connection, whose backend reports its load every 10 s.
struct MeasuredBuilder(UnboundedSender<(f64, Instant)>);

struct Measured {
    reports: UnboundedSender<(f64, Instant)>,
    subconn: Option<SubConn>,
}

struct OnePicker(SubConn);

impl BalancerBuilder for MeasuredBuilder {
    fn name(&self) -> &str {
        "measured"
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(Measured {
            reports: self.0.clone(),
            subconn: None,
        })
    }
}

impl Balancer for Measured {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let address = update.endpoints[0].addresses[0].clone();
        let options = SubConnOptions::default().with_load_reports(10 * SECOND);
        let subconn = control.create_subconn(address, options);
        subconn.connect();
        self.subconn = Some(subconn);
        Ok(())
    }

    fn resolver_error(&mut self, _error: &Status, _control: &mut dyn ChannelControl) {}

    fn subconn_state(
        &mut self,
        _id: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        let Some(subconn) = &self.subconn else { return };
        match state {
            SubConnState::Ready(_) => {
                control.update_state(Ready, Arc::new(OnePicker(subconn.clone())));
            }
            SubConnState::Idle => subconn.connect(),
            SubConnState::Connecting | SubConnState::TransientFailure(_) => {}
        }
    }

    fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {}

    fn load_report(
        &mut self,
        id: SubConnId,
        report: &LoadReport,
        _control: &mut dyn ChannelControl,
    ) {
        assert_eq!(self.subconn.as_ref().map(SubConn::id), Some(id));
        // The test may have seen enough.
        let _ = self.reports.send((report.cpu_utilization, Instant::now()));
    }
}

impl Picker for OnePicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Pick(Pick::new(&self.0))
    }
}

/// A channel that measures its server.
fn measured() -> (ClientConn, ScriptedServer, Reports) {
    let (sender, reports) = unbounded_channel();
    let (conn, server) = scripted_by("passthrough:///stub.test", |builder| {
        builder
            .balancer(MeasuredBuilder(sender))
            .default_service_config(r#"{"loadBalancingConfig": [{"measured": {}}]}"#)
            .idle_timeout(60 * SECOND)
    });
    conn.connect().expect("in a runtime");
    (conn, server, reports)
}

/// Waits for the request for reports, and begins to answer it.
async fn expect_request(peer: &mut WirePeer, stream_id: u32) {
    let request = peer.expect_request(stream_id).await;
    assert_eq!(
        request.headers.get(":path"),
        Some("/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics")
    );
    // `report_interval` is 10 s.
    let [message] = &request.messages[..] else {
        panic!("{:?}", request.messages);
    };
    assert_eq!(message.body, &b"\x0a\x02\x08\x0a"[..]);
    peer.send(grpc_response(stream_id)).await;
}

async fn report(peer: &mut WirePeer, stream_id: u32, cpu: f64) {
    // The first field of the message: a double.
    let mut report = vec![0x09];
    report.extend(cpu.to_le_bytes());
    assert_eq!(
        LoadReport::decode(&*report).map(|report| report.cpu_utilization),
        Ok(cpu)
    );
    peer.send(data(stream_id, message(report))).await;
}

/// Waits until the other side has closed the connection, and skips all frames before.
async fn expect_the_end(peer: &mut WirePeer) {
    loop {
        match peer.next_event().await {
            Event::Frame(_) => {}
            Event::Eof | Event::Broken(_) => return,
            Event::Nothing => panic!("it stays open"),
        }
    }
}

async fn expect_report(reports: &mut Reports, expected: f64) {
    let (cpu, _) = soon(reports.recv()).await.expect("the policy is there");
    assert_eq!(
        cpu.to_bits(),
        expected.to_bits(),
        "{cpu} and not {expected}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_hears_each_report_while_calls_go_on() {
    let (conn, mut server, mut reports) = measured();
    let mut peer = server.accept().await;
    expect_request(&mut peer, 1).await;
    for (cpu, call) in [(0.25, 3), (0.5, 5), (1.5, 7)] {
        report(&mut peer, 1, cpu).await;
        expect_report(&mut reports, cpu).await;
        let unary = unary(&StubClient::new(conn.clone()), "");
        peer.expect_request(call).await;
        answer(&mut peer, call, "").await;
        expect_text(unary, "").await;
    }
}

#[tokio::test(start_paused = true)]
async fn reports_that_break_off_are_asked_for_again() {
    let (_conn, mut server, mut reports) = measured();
    let mut peer = server.accept().await;
    expect_request(&mut peer, 1).await;
    report(&mut peer, 1, 0.25).await;
    expect_report(&mut reports, 0.25).await;
    let ended = Instant::now();
    peer.send(grpc_trailers(1, 14)).await;
    expect_request(&mut peer, 3).await;
    assert_eq!(ended.elapsed().as_secs(), 0, "there was a report before");
    peer.send(grpc_trailers(3, 14)).await;
    expect_request(&mut peer, 5).await;
    assert_eq!(ended.elapsed().as_secs(), 1, "there was none");
    report(&mut peer, 5, 0.5).await;
    expect_report(&mut reports, 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_without_reports_is_asked_once_a_connection_and_gets_calls() {
    let (conn, mut server, mut reports) = measured();
    for _ in 0..2 {
        let mut peer = server.accept().await;
        expect_request(&mut peer, 1).await;
        peer.send(grpc_trailers(1, 12)).await;
        sleep(30 * SECOND).await;
        let unary = unary(&StubClient::new(conn.clone()), "");
        // The next stream is the call's.
        let request = peer.expect_request(3).await;
        assert_eq!(request.headers.get(":path"), Some("/rgrpc.e2e.Stub/Unary"));
        answer(&mut peer, 3, "").await;
        expect_text(unary, "").await;
        peer.send(goaway(3, ErrorCode::NO_ERROR)).await;
    }
    assert!(reports.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn reports_do_not_keep_the_channel_from_going_idle_nor_a_connection_that_goes_away() {
    let (conn, mut server, mut reports) = measured();
    let mut old = server.accept().await;
    expect_request(&mut old, 1).await;
    old.send(goaway(1, ErrorCode::NO_ERROR)).await;
    expect_the_end(&mut old).await;

    let mut peer = server.accept().await;
    expect_request(&mut peer, 1).await;
    let begun = Instant::now();
    while begun.elapsed() < 59 * SECOND {
        report(&mut peer, 1, 0.25).await;
        expect_report(&mut reports, 0.25).await;
        sleep(SECOND / 2).await;
    }
    settle().await;
    soon(conn.wait_for_state_change(Ready)).await;
    assert_eq!(conn.state(), Idle);
}
