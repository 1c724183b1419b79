//! Tests of the monitors of one SubConn, over a transport that the test answers for.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::fake_transport::{FakeStream, FakeTransport};
use super::proto::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
use super::*;
use crate::balancer::{ChannelControl, TestChannel};
use crate::status::Status;

const FIRST: ConnectionId = ConnectionId(1);
const SECOND: ConnectionId = ConnectionId(2);

const HEALTH: &str = "/grpc.health.v1.Health/Watch";
const LOAD: &str = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics";

/// The monitors of a SubConn, and its connection.
struct Fixture {
    monitors: Monitors,
    context: MonitorContext,
    events: UnboundedReceiver<Event>,
    transport: Arc<FakeTransport>,
    /// The connections that take calls, the oldest first.
    connections: Vec<(ConnectionId, Arc<dyn ClientTransport>)>,
}

impl Fixture {
    fn new(options: SubConnOptions, service: Option<&str>) -> Self {
        Self::with(options, service, false)
    }

    fn with(options: SubConnOptions, service: Option<&str>, disabled: bool) -> Self {
        let headers = CommonHeaders {
            authority: "backends.test".to_owned(),
            scheme: "http",
            user_agent: "test".into(),
            encoding: None,
            accept_encoding: None,
        };
        let (sender, events) = unbounded_channel();
        let mut context = MonitorContext::new(
            Arc::new(headers),
            Arc::new([]),
            BufferPool::shared(),
            sender,
            disabled,
        );
        context.set_health_service(service.map(Arc::from));
        let address = Address::Name("backend-1".to_owned());
        let subconn = TestChannel::new().create_subconn(address.clone(), options.clone());
        Self {
            monitors: Monitors::new(subconn.id(), address, options),
            context,
            events,
            transport: Arc::default(),
            connections: Vec::new(),
        }
    }

    /// There is a connection, or another one.
    fn connected(
        &mut self,
        id: ConnectionId,
        transport: Arc<dyn ClientTransport>,
    ) -> Option<Health> {
        self.connections.push((id, transport));
        self.follow()
    }

    /// A connection takes no more calls.
    fn lost(&mut self, id: ConnectionId) -> Option<Health> {
        self.connections.retain(|(connection, _)| *connection != id);
        self.follow()
    }

    fn follow(&mut self) -> Option<Health> {
        let oldest = self.connections.first();
        let oldest = oldest.map(|(id, transport)| (*id, transport));
        self.monitors.follow(oldest, &mut self.context)
    }

    /// The connection is there, with the known health of the backend.
    fn connect(&mut self) -> String {
        let transport = Arc::clone(&self.transport) as Arc<dyn ClientTransport>;
        let health = self.connected(FIRST, transport);
        text(MonitorReport::Health(health.expect("it is the only one")))
    }

    /// The connection takes no more calls.
    fn lose(&mut self) -> Option<String> {
        let health = self.lost(FIRST);
        health.map(|health| text(MonitorReport::Health(health)))
    }

    fn set_service(&mut self, service: Option<&str>) -> Option<String> {
        assert!(self.context.set_health_service(service.map(Arc::from)));
        let oldest = self.connections.first().map(|(_, transport)| transport);
        let context = &mut self.context;
        let health = self.monitors.health_service_changed(oldest, context);
        health.map(|health| text(MonitorReport::Health(health)))
    }

    /// The reports since this was last called.
    async fn reports(&mut self) -> Vec<String> {
        settle().await;
        let mut reports = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            let Event::Monitor { monitor, .. } = event else {
                panic!("another event");
            };
            reports.extend(self.monitors.take(monitor).map(text));
        }
        reports
    }

    /// The only stream that is open.
    async fn stream(&self) -> Arc<FakeStream> {
        settle().await;
        self.transport.open_stream()
    }

    fn last_stream(&self) -> Arc<FakeStream> {
        self.transport.streams().pop().expect("one was opened")
    }
}

fn text(report: MonitorReport) -> String {
    match report {
        MonitorReport::Health(Health::NotServing(status)) => status.message().to_owned(),
        MonitorReport::Health(health) => format!("{health:?}"),
        MonitorReport::Load(report) => format!("cpu {}", report.cpu_utilization),
    }
}

/// Until all tasks wait.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

fn health() -> SubConnOptions {
    SubConnOptions::default().with_health_check()
}

fn load() -> SubConnOptions {
    SubConnOptions::default().with_load_reports(Duration::from_secs(10))
}

fn status(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

fn cpu(cpu_utilization: f64) -> LoadReport {
    LoadReport {
        cpu_utilization,
        ..LoadReport::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_asked_for_the_service_that_the_config_names() {
    for service in ["a.B", ""] {
        let mut fixture = Fixture::new(health(), Some(service));
        assert_eq!(fixture.connect(), "Unknown");
        let stream = fixture.stream().await;
        assert_eq!(stream.path, HEALTH);
        assert_eq!(stream.request::<HealthCheckRequest>().service, service);
        assert_eq!(fixture.reports().await, ["Unknown"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backends_health_has_effect_at_once() {
    let mut fixture = Fixture::new(health(), Some("a.B"));
    fixture.connect();
    let stream = fixture.stream().await;
    fixture.reports().await;
    let not_serving = "the backend backend-1 says NOT_SERVING for service a.B";
    for (says, expected) in [
        (ServingStatus::Serving, "Serving"),
        (ServingStatus::NotServing, not_serving),
        (ServingStatus::Serving, "Serving"),
    ] {
        stream.answer(status(says));
        assert_eq!(fixture.reports().await, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn health_is_not_watched_unless_it_is_enabled_and_wanted() {
    for (options, service, disabled) in [
        (health(), None, false),
        (health(), Some("a.B"), true),
        (SubConnOptions::default(), Some("a.B"), false),
        (SubConnOptions::default(), None, false),
    ] {
        let mut fixture = Fixture::with(options, service, disabled);
        assert_eq!(fixture.connect(), "Serving");
        assert_eq!(fixture.reports().await, [""; 0]);
        assert_eq!(fixture.transport.streams().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_breaks_off_is_retried_after_a_wait() {
    let mut fixture = Fixture::new(health(), Some("a.B"));
    fixture.connect();
    let failed = "the health check of the backend backend-1 failed: INTERNAL: a bug";
    for expected in [1000..1002, 1280..1922, 2048..3074] {
        assert_eq!(fixture.reports().await, ["Unknown"]);
        fixture.last_stream().end(Err(Status::internal("a bug")));
        let ended = Instant::now();
        assert_eq!(fixture.reports().await, [failed]);
        sleep(Duration::from_secs(4)).await;
        let wait = (fixture.last_stream().opened - ended).as_millis();
        assert!(expected.contains(&wait), "{wait}, not {expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_answered_before_it_broke_off_is_retried_at_once() {
    let mut fixture = Fixture::new(health(), Some("a.B"));
    fixture.connect();
    for calls in 1..=3 {
        settle().await;
        assert_eq!(fixture.transport.streams().len(), calls);
        fixture.last_stream().answer(status(ServingStatus::Serving));
        fixture.last_stream().end(Ok(()));
        settle().await;
    }
    assert_eq!(fixture.transport.streams().len(), 4);
    assert_eq!(fixture.reports().await, ["Unknown"], "of the fourth call");
}

#[tokio::test(start_paused = true)]
async fn a_backend_without_health_service_serves_and_is_asked_once_a_connection() {
    let mut fixture = Fixture::new(health(), Some("a.B"));
    for connections in 1..=2 {
        fixture.connect();
        fixture.reports().await;
        let streams = fixture.transport.streams();
        assert_eq!(streams.len(), connections);
        let unimplemented = Status::unimplemented("no such service");
        streams[connections - 1].end(Err(unimplemented));
        assert_eq!(fixture.reports().await, ["Serving"]);
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(fixture.transport.streams().len(), connections);
        assert_eq!(fixture.lose(), None, "there is none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_with_its_connection_says_nothing_about_health() {
    let mut fixture = Fixture::new(health(), Some("a.B"));
    fixture.connect();
    let stream = fixture.stream().await;
    stream.answer(status(ServingStatus::Serving));
    assert_eq!(fixture.reports().await, ["Serving"]);
    fixture.transport.go();
    stream.end(Err(Status::unavailable("the connection was lost")));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.reports().await, [""; 0]);
    assert_eq!(fixture.transport.streams().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn load_is_reported_as_it_comes_and_a_call_that_breaks_off_is_retried() {
    let mut fixture = Fixture::new(load(), None);
    assert_eq!(fixture.connect(), "Serving");
    let stream = fixture.stream().await;
    assert_eq!(stream.path, LOAD);
    for use_of_it in [0.25, 0.5] {
        stream.answer(cpu(use_of_it));
        assert_eq!(fixture.reports().await, [format!("cpu {use_of_it}")]);
    }
    stream.end(Err(Status::unavailable("overloaded")));
    assert_eq!(fixture.reports().await, [""; 0]);
    let streams = fixture.transport.streams();
    assert_eq!(streams.len(), 2, "it was answered before");
    streams[1].end(Err(Status::unimplemented("no such service")));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.transport.streams().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn health_and_load_are_asked_for_side_by_side() {
    let options = health().with_load_reports(Duration::from_secs(10));
    let mut fixture = Fixture::new(options.clone(), Some(""));
    fixture.connect();
    settle().await;
    let mut streams = fixture.transport.streams();
    streams.sort_by_key(|stream| stream.path.clone());
    assert_eq!(streams.len(), 2);
    streams[0].answer(status(ServingStatus::Serving));
    streams[1].answer(cpu(0.5));
    let mut reports = fixture.reports().await;
    reports.sort_unstable();
    assert_eq!(reports, ["Serving", "cpu 0.5"]);
}

#[tokio::test(start_paused = true)]
async fn another_service_is_asked_for_in_place_of_the_one_before() {
    let mut fixture = Fixture::new(health(), Some("a.B"));
    fixture.connect();
    let first = fixture.stream().await;
    fixture.reports().await;
    // It is on its way to the channel's task, which hears of the change before.
    first.answer(status(ServingStatus::Serving));
    settle().await;
    assert_eq!(fixture.set_service(Some("c.D")).as_deref(), Some("Unknown"));
    assert_eq!(fixture.reports().await, ["Unknown"]);
    assert!(first.was_reset());
    let second = fixture.stream().await;
    assert_eq!(second.request::<HealthCheckRequest>().service, "c.D");
    second.answer(status(ServingStatus::Serving));
    assert_eq!(fixture.reports().await, ["Serving"]);

    assert_eq!(fixture.set_service(None).as_deref(), Some("Serving"));
    settle().await;
    assert!(second.was_reset());
    assert_eq!(fixture.transport.streams().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_service_changes_nothing_where_health_does_not_matter() {
    let mut unregarding = Fixture::new(load(), Some("a.B"));
    unregarding.connect();
    let load = unregarding.stream().await;
    assert_eq!(unregarding.set_service(Some("c.D")), None);
    settle().await;
    assert!(!load.was_reset());

    let mut unconnected = Fixture::new(health(), Some("a.B"));
    assert_eq!(unconnected.set_service(Some("c.D")), None);
    unconnected.connect();
    let stream = unconnected.stream().await;
    assert_eq!(stream.request::<HealthCheckRequest>().service, "c.D");
}

#[tokio::test(start_paused = true)]
async fn the_calls_are_cancelled_when_the_connection_is_lost_or_dropped() {
    let options = health().with_load_reports(Duration::from_secs(10));
    for is_lost in [true, false] {
        let mut fixture = Fixture::new(options.clone(), Some(""));
        fixture.connect();
        settle().await;
        if is_lost {
            fixture.lose();
        }
        let Fixture {
            monitors,
            transport,
            connections,
            ..
        } = fixture;
        let kept = is_lost.then_some(monitors);
        // The subchannel's, which nobody holds either.
        drop(connections);
        settle().await;
        let streams = transport.streams();
        assert_eq!(streams.len(), 2);
        assert!(streams.iter().all(|stream| stream.was_reset()));
        drop(streams);
        assert_eq!(Arc::strong_count(&transport), 1, "it is not kept open");
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_update_replaces_one_that_the_channels_task_has_not_read() {
    let mut fixture = Fixture::new(load(), None);
    fixture.connect();
    let stream = fixture.stream().await;
    for _ in 0..1000 {
        stream.answer(cpu(0.25));
    }
    stream.answer(cpu(0.5));
    settle().await;
    assert_eq!(fixture.events.len(), 1);
    assert_eq!(fixture.reports().await, ["cpu 0.5"]);
}

#[tokio::test(start_paused = true)]
async fn of_several_connections_the_oldest_is_watched() {
    let mut fixture = Fixture::new(health(), Some("a.B"));
    fixture.connect();
    let first = fixture.stream().await;
    let second = Arc::new(FakeTransport::default());
    let transport = Arc::clone(&second) as Arc<dyn ClientTransport>;
    let health = fixture.connected(SECOND, transport);
    assert!(health.is_none(), "{health:?}");
    settle().await;
    assert_eq!(second.streams().len(), 0);

    assert_eq!(fixture.lose().as_deref(), Some("Unknown"));
    settle().await;
    assert!(first.was_reset());
    second.open_stream().answer(status(ServingStatus::Serving));
    assert_eq!(fixture.reports().await, ["Serving"]);

    let transport = Arc::clone(&fixture.transport) as Arc<dyn ClientTransport>;
    fixture.connected(FIRST, transport);
    let lost = fixture.lost(FIRST);
    assert!(lost.is_none(), "it was not watched: {lost:?}");
    assert!(!second.open_stream().was_reset());
}
