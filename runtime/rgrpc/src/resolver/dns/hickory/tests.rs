//! Lookups at a DNS server of the test, on loopback.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::TXT;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::*;
use crate::resolver::{
    DnsResolverBuilder, ResolverBuilder, ResolverControl, ResolverEvent, ResolverOptions,
    ResolverState, Target,
};
use crate::status::Status;

/// A DNS server that responds from a table. A name that is not in the table does not exist.
struct DnsServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: AbortHandle,
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Zone = HashMap<&'static str, Vec<(u32, RData)>>;

fn ip(ip: &str) -> RData {
    RData::from(ip.parse::<IpAddr>().expect(ip))
}

fn txt(strings: &[&str]) -> RData {
    let strings = strings.iter().map(ToString::to_string);
    RData::TXT(TXT::new(strings.collect()))
}

async fn serve(zone: Zone) -> DnsServer {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    let asked = Arc::<Mutex<Vec<_>>>::default();
    let log = Arc::clone(&asked);
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.expect("a question");
            let question = Message::from_vec(&buffer[..length]).expect("a message");
            let query = &question.queries[0];
            log.lock()
                .expect("not poisoned")
                .push(format!("{} {}", query.query_type, query.name));
            let reply = answer(&zone, question.metadata.id, query);
            let reply = reply.to_vec().expect("it is small");
            socket.send_to(&reply, client).await.expect("sent");
        }
    });
    DnsServer {
        address,
        asked,
        serving: serving.abort_handle(),
    }
}

fn answer(zone: &Zone, id: u16, query: &Query) -> Message {
    let mut reply = Message::response(id, OpCode::Query);
    reply.add_query(query.clone());
    match zone.get(&*query.name.to_string()) {
        None => reply.metadata.response_code = ResponseCode::NXDomain,
        Some(records) => {
            let asked_for = |data: &RData| data.record_type() == query.query_type;
            let records = records.iter().filter(|(_, data)| asked_for(data));
            let record = |(ttl, data): &(u32, RData)| {
                Record::from_rdata(query.name.clone(), *ttl, data.clone())
            };
            reply.add_answers(records.map(record).collect::<Vec<_>>());
        }
    }
    reply
}

impl DnsServer {
    /// The first event of the resolver of a target that names this server.
    async fn resolve(&self, host: &str, options: ResolverOptions) -> Result<ResolverState, Status> {
        let target = Target::parse(&format!("dns://{}/{host}", self.address));
        let builder = DnsResolverBuilder::new();
        let resolver = builder.build(&target.expect("a target"), &options);
        let (control, mut events) = ResolverControl::new();
        let running = tokio::spawn(resolver.expect("a resolver").run(control));
        let event = events.next().await;
        running.abort();
        match event.expect("an event") {
            ResolverEvent::Update(state, _) => Ok(state),
            ResolverEvent::Error(error) => Err(error.to_status()),
        }
    }

    fn was_asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().expect("not poisoned").clone();
        asked.sort();
        asked
    }
}

const HOST: &str = "shop.test.";
const CONFIG: &str = "_grpc_config.shop.test.";

fn addresses_of(state: &ResolverState) -> Vec<String> {
    let addresses = state.endpoints.iter();
    let mut texts: Vec<_> = addresses.map(|e| e.addresses[0].to_string()).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn the_server_resolves_addresses_of_both_families_and_the_service_config() {
    let server = serve(HashMap::from([
        (HOST, vec![(60, ip("1.2.3.4")), (9, ip("::5"))]),
        (
            CONFIG,
            vec![
                (60, txt(&["unrelated"])),
                (
                    60,
                    txt(&["grpc_config=[{\"serviceCon", "fig\":{\"a\":1}}]"]),
                ),
            ],
        ),
    ]))
    .await;
    let found = server.resolve("shop.test:7", ResolverOptions::default());
    let state = found.await.expect("found");
    assert_eq!(addresses_of(&state), ["1.2.3.4:7", "[::5]:7"]);
    let config = state.service_config.expect("there is one");
    assert_eq!(config.expect("it can be read"), "{\"a\":1}");
    assert_eq!(
        server.was_asked(),
        [
            format!("A {HOST}"),
            format!("AAAA {HOST}"),
            format!("TXT {CONFIG}")
        ]
    );
}

#[tokio::test]
async fn a_disabled_service_config_is_not_looked_up() {
    let server = serve(HashMap::from([(HOST, vec![(60, ip("1.2.3.4"))])])).await;
    let options = ResolverOptions {
        disable_service_config: true,
        ..ResolverOptions::default()
    };
    let state = server.resolve("shop.test", options).await.expect("found");
    assert_eq!(addresses_of(&state), ["1.2.3.4:443"]);
    assert!(state.service_config.is_none());
    let asked = server.was_asked();
    assert_eq!(asked, [format!("A {HOST}"), format!("AAAA {HOST}")]);
}

#[tokio::test]
async fn a_host_without_a_record_has_no_service_config_and_an_invalid_record_is_an_error() {
    let host = || (HOST, vec![(60, ip("1.2.3.4"))]);
    let server = serve(HashMap::from([host()])).await;
    let found = server.resolve("shop.test", ResolverOptions::default());
    assert!(found.await.expect("found").service_config.is_none());

    let bad = (CONFIG, vec![(60, txt(&["grpc_config=nonsense"]))]);
    let server = serve(HashMap::from([host(), bad])).await;
    let found = server.resolve("shop.test", ResolverOptions::default());
    let config = found.await.expect("the addresses are found").service_config;
    let error = config.expect("there is one").expect_err("nonsense");
    for part in ["_grpc_config.shop.test", "not followed by a JSON list"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_has_no_addresses() {
    let server = serve(HashMap::new()).await;
    let found = server.resolve("shop.test", ResolverOptions::default());
    let error = found.await.expect_err("it does not exist");
    assert_eq!(
        error.message(),
        "name resolution of \"shop.test\" by dns failed: the name has no addresses"
    );
}

#[tokio::test]
async fn addresses_are_valid_for_the_shortest_ttl() {
    let server = serve(HashMap::from([(
        HOST,
        vec![(60, ip("1.2.3.4")), (9, ip("1.2.3.5"))],
    )]))
    .await;
    let named = Server::parse(&server.address.to_string()).expect("a server");
    let answer = HickoryLookup::of_server(named.expect("named"))
        .look_up(Question {
            host: "shop.test".to_owned(),
            port: 7,
            service_config: false,
        })
        .await
        .expect("found");
    assert_eq!(answer.valid_for, Some(Duration::from_secs(9)));
    assert_eq!(answer.addresses.len(), 2);
}

#[test]
fn a_target_may_name_a_server_and_its_port() {
    for (authority, expected) in [
        ("", None),
        ("8.8.8.8", Some(("8.8.8.8", 53))),
        ("8.8.8.8:5353", Some(("8.8.8.8", 5353))),
        ("[::1]:5353", Some(("::1", 5353))),
        ("::1", Some(("::1", 53))),
        ("ns.test", Some(("ns.test", 53))),
    ] {
        let server = Server::parse(authority).expect(authority);
        let server = server.map(|server| (server.host, server.port));
        let expected = expected.map(|(host, port)| (host.to_owned(), port));
        assert_eq!(server, expected, "{authority}");
    }
    for (authority, problem) in [
        (":53", "it has no host"),
        ("ns.test:dns", "is not a port"),
        ("[::1", "no closing one"),
    ] {
        let error = Server::parse(authority).expect_err(authority).to_string();
        assert!(error.contains(problem), "{error}");
        assert!(
            error.contains(&format!("the DNS server {authority:?}")),
            "{error}"
        );
    }
}
