//! The test of the examples: every program runs alone, prints its results, and ends with success.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The timeout of a program on a busy machine. Usually it takes a fraction of a second.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a program to its end. Returns the lines that it printed.
async fn run(program: &str, args: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(args).kill_on_drop(true).output();
    let output = timeout(LIMIT, output)
        .await
        .unwrap_or_else(|_| panic!("{program} does not end"))
        .expect("the program starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}\n{printed}");
    printed.lines().map(|line| line.trim().to_owned()).collect()
}

/// Asserts that the lines were printed in this order, perhaps with others between them.
#[track_caller]
fn assert_in_order(printed: &[String], expected: &[&str]) {
    let mut rest = printed.iter();
    for line in expected {
        assert!(
            rest.any(|printed| printed == line),
            "{line:?} is missing, or not where it belongs, in {printed:#?}"
        );
    }
}

/// Starts a program as a server on a free port. Returns it with the address that it printed.
async fn start_server(program: &str) -> (Child, String) {
    let mut server = Command::new(program)
        .args(["server", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let printed = server.stdout.take().expect("it is piped");
    let first = timeout(LIMIT, BufReader::new(printed).lines().next_line())
        .await
        .expect("it prints something")
        .expect("its output can be read")
        .expect("a line");
    let address = first
        .strip_prefix("listening on ")
        .expect("the first line says where it listens");
    (server, address.to_owned())
}

const HELLOWORLD: [&str; 8] = [
    "unary:            Hello, Ada!",
    "server streaming: Hello, Ada!",
    "server streaming: Hallo, Ada!",
    "server streaming: Bonjour, Ada!",
    "server streaming: Ciao, Ada!",
    "client streaming: Hello, Ada and Grace!",
    "bidirectional:    Hello, Ada!",
    "bidirectional:    Hello, Grace!",
];

#[tokio::test]
async fn keepalive_replaces_connections_and_loses_no_call() {
    let printed = run(env!("CARGO_BIN_EXE_keepalive"), &[]).await;
    let expected = [
        "Hello over connection 1",
        "Hello over connection 2",
        "Hello over connection 3",
        "no call was lost",
    ];
    assert_in_order(&printed, &expected);
}

#[tokio::test]
async fn helloworld_calls_each_kind_of_method() {
    let printed = run(env!("CARGO_BIN_EXE_helloworld"), &[]).await;
    assert_in_order(&printed, &HELLOWORLD);
    let services = "serving helloworld.Greeter: SayHello, SayHelloInAllLanguages, SayHelloToAll, SayHelloToEach";
    assert_in_order(&printed, &[services]);
}

#[tokio::test]
async fn helloworld_prints_the_same_as_two_processes() {
    let program = env!("CARGO_BIN_EXE_helloworld");
    let (mut server, address) = start_server(program).await;
    assert_eq!(run(program, &["client", &address]).await, HELLOWORLD);
    server.kill().await.expect("it still runs");
}

const ROUTE_GUIDE: [&str; 9] = [
    "GetFeature",
    "Skarvik Lighthouse at 59.1161, 10.4250",
    "nothing at 59.0000, 10.0000",
    "ListFeatures from 59.0600, 10.3800 to 59.1100, 10.4300",
    "Customs House",
    "Heather Moor Shelter",
    "RecordRoute",
    "16 points, 15 of them features, 34 km",
    "RouteChat",
];

#[tokio::test]
async fn route_guide_calls_each_method() {
    let printed = run(env!("CARGO_BIN_EXE_route_guide"), &[]).await;
    assert_in_order(&printed, &ROUTE_GUIDE);
    // The third note finds the first one, and the fourth finds both. The open sea has no earlier
    // notes.
    assert_in_order(
        &printed,
        &[
            "found at 59.1161, 10.4250: Dark since Tuesday",
            "found at 59.1161, 10.4250: Dark since Tuesday",
            "found at 59.1161, 10.4250: Lamp replaced",
        ],
    );
    let found = printed.iter().filter(|line| line.starts_with("found at"));
    assert_eq!(found.count(), 3, "{printed:#?}");
}

#[tokio::test]
async fn route_guide_keeps_notes_for_clients_in_other_processes() {
    let program = env!("CARGO_BIN_EXE_route_guide");
    let (mut server, address) = start_server(program).await;
    // The second client finds the notes of the first, in addition to its own.
    for notes_found in [3, 13] {
        let printed = run(program, &["client", &address]).await;
        assert_in_order(&printed, &ROUTE_GUIDE);
        let found = printed.iter().filter(|line| line.starts_with("found at"));
        assert_eq!(found.count(), notes_found, "{printed:#?}");
    }
    server.kill().await.expect("it still runs");
}

#[tokio::test]
async fn in_the_chat_everyone_hears_everyone() {
    let printed = run(env!("CARGO_BIN_EXE_chat"), &[]).await;
    let guests = ["Ada", "Barbara", "Grace", "Radia"];
    for listener in guests {
        for author in guests {
            let joined = format!("{listener} joins; the room says: welcome, {listener}");
            let heard = format!("{listener} hears {author}: hello from {author}");
            let left = format!("{listener} leaves");
            assert_in_order(&printed, &[&joined, &heard, &left, "the room is closed"]);
        }
    }
}

#[tokio::test]
async fn a_deadline_and_a_cancellation_reach_the_last_service() {
    let printed = run(env!("CARGO_BIN_EXE_deadline_and_cancel"), &[]).await;
    // The remaining milliseconds and the relay's address vary.
    let (timed, exact): (Vec<_>, Vec<_>) = printed
        .into_iter()
        .map(
            |line| match line.split_once(" passed while it waited for the answer of ") {
                Some((call, rest)) => {
                    // The rest is the time since data was received from the relay.
                    let relay = rest.split(',').next().unwrap_or_default();
                    call.replace(relay, "the relay")
                }
                None => line,
            },
        )
        .partition(|line| line.ends_with("ms left"));
    assert_eq!(timed.len(), 1, "{timed:?}");
    // On a busy machine, the relay's reset precedes the sleeper's own deadline.
    let dropped = "sleeper: its handler was dropped: ";
    let reasons = exact.iter().filter_map(|line| line.strip_prefix(dropped));
    assert_eq!(reasons.count(), 3, "{exact:?}");
    assert_in_order(
        &exact,
        &[
            "A deadline of 500 ms:",
            "client: DEADLINE_EXCEEDED: the deadline of the call to the relay",
            "No deadline, and the client drops the call:",
            "sleeper: called, with all the time in the world",
            "sleeper: its handler was dropped: the client has cancelled the call",
            "No deadline, and another task cancels the call:",
            "sleeper: called, with all the time in the world",
            "client: CANCELLED: the call was cancelled by its cancel handle",
            "sleeper: its handler was dropped: the client has cancelled the call",
        ],
    );
}

#[tokio::test]
async fn a_client_that_starts_first_waits_for_its_server() {
    let printed = run(env!("CARGO_BIN_EXE_wait_for_ready"), &[]).await;
    let states: Vec<_> = printed
        .iter()
        .filter_map(|line| line.strip_prefix("state: "))
        // These states are short and not always seen; so is the idle channel before `close`.
        .filter(|state| !["CONNECTING", "IDLE"].contains(state))
        .collect();
    assert_eq!(states, ["TRANSIENT_FAILURE", "READY", "SHUTDOWN"]);
    assert_in_order(
        &printed,
        &[
            "state: IDLE",
            "wait_ready: DEADLINE_EXCEEDED",
            "a call that does not wait: UNAVAILABLE",
            "a call that waits: Hello, Grace!",
            "a call on a channel that is ready: Hello, Ada!",
            "state: SHUTDOWN",
        ],
    );
}

#[tokio::test]
async fn compressed_messages_are_smaller_and_handlers_set_the_compressor() {
    let printed = run(env!("CARGO_BIN_EXE_compression"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "client: a short name",
            "client: compresses 5 bytes",
            "server: decompresses",
            "client: a reply of 11 bytes",
            "client: a long name",
            "client: compresses 4003 bytes",
            "server: decompresses",
            "server: compresses 4011 bytes",
            "client: decompresses",
            "client: a reply of 4008 bytes",
            "client: a stream",
            "server: the client accepts gzip",
            "server: compresses 4011 bytes",
            "client: a reply of 4008 bytes",
            "client: a reply of 4008 bytes",
            "client: INTERNAL: the channel has no compressor \"zstd\", which the call is to be \
             compressed by",
        ],
    );
}

#[tokio::test]
async fn metadata_is_sent_in_both_directions() {
    let printed = run(env!("CARGO_BIN_EXE_metadata"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "x-caller: example",
            "session-bin: [0, 255], on the wire AP8",
            "client, unary: Hello, Ada!",
            "header x-greeter: 7",
            "trailer x-cost: 1",
            "x-caller: nobody",
            "client, OK: Hello, Grace!",
            "header x-greeter: 7",
            "trailer x-cost: 1",
            "x-caller: nobody",
            "client, failed: INVALID_ARGUMENT: the name is empty",
            "header x-greeter: 7",
            "trailer x-cost: 1",
            "client, streaming:",
            "server: 2 values of x-caller",
            "header x-greeter: 7",
            "header x-languages: 2",
            "message Hello, Ada!",
            "message Hallo, Ada!",
            "trailer x-cost: 2",
        ],
    );
    let peers = printed
        .iter()
        .filter(|line| line.starts_with("answered by 127.0.0.1:"));
    assert_eq!(peers.count(), 2, "{printed:#?}");
}

#[tokio::test]
async fn a_panic_of_a_handler_is_reported_by_the_server() {
    let printed = run(env!("CARGO_BIN_EXE_handler_panic"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "server: /helloworld.Greeter/SayHello panicked: a bug in the greeting of Ada",
            "client: INTERNAL: the server's handler panicked",
            "client: Hello, Grace!",
        ],
    );
}

#[tokio::test]
async fn the_details_of_an_error_are_received() {
    let printed = run(env!("CARGO_BIN_EXE_errors_with_details"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "Hello, Ada!",
            "INVALID_ARGUMENT: the name cannot be greeted",
            "try again in 3s",
            r#"field "name" is longer than 8 bytes"#,
            r#"field "name" has white space"#,
            "reason NAME_REFUSED of greeter.example.com",
            "and a type.googleapis.com/google.protobuf.Duration",
        ],
    );
}

#[tokio::test]
async fn calls_to_a_busy_server_are_retried() {
    let printed = run(env!("CARGO_BIN_EXE_retry"), &[]).await;
    assert_eq!(
        printed,
        [
            "Busy, until the third attempt:",
            "server: Ada, attempt 1: busy",
            "server: Ada, attempt 2: busy",
            "server: Ada, attempt 3: served",
            "client: Hello, Ada!",
            "Busy in all attempts of the policy:",
            "server: Grace, attempt 1: busy",
            "server: Grace, attempt 2: busy",
            "server: Grace, attempt 3: busy",
            "server: Grace, attempt 4: busy",
            "client: UNAVAILABLE: busy (the last of 4 attempts)",
            "Busy, and the server asks not to be tried again:",
            "server: Radia, attempt 1: busy",
            "client: UNAVAILABLE: busy",
            "A failure that the policy does not name:",
            "client: INVALID_ARGUMENT: the name is empty",
        ]
    );
}

#[tokio::test]
async fn hedging_sends_attempts_until_one_is_answered() {
    let printed = run(env!("CARGO_BIN_EXE_hedging"), &[]).await;
    assert_eq!(
        printed,
        [
            "Two attempts are slow, the third one wins:",
            "server: attempt 1: slow",
            "server: attempt 2: slow",
            "server: attempt 3: served",
            "client: Hello, Ada!",
            "server: attempt 1: cancelled",
            "server: attempt 2: cancelled",
            "The first attempt fails, the next is sent at once:",
            "server: attempt 1: busy",
            "server: attempt 2: served",
            "client: Hello, Grace!",
            "The first attempt fails, and the server allows no other:",
            "server: attempt 1: busy, and no further attempts",
            "client: UNAVAILABLE: busy",
            "A failure that the policy does not name:",
            "client: INVALID_ARGUMENT: the name is empty",
        ]
    );
}

#[tokio::test]
async fn mock_answers_a_generated_client() {
    let printed = run(env!("CARGO_BIN_EXE_mock"), &[]).await;
    assert_eq!(
        printed,
        [
            "Greeting [\"Ada\", \"Grace\"]:",
            "mock: /helloworld.Greeter/SayHello",
            "mock: /helloworld.Greeter/SayHello",
            "mock: /helloworld.Greeter/SayHelloToEach",
            "Hello from the mock, Ada!",
            "Hello from the mock, Grace!",
            "Hello from the mock, Ada!",
            "Hello from the mock, Grace!",
            "Greeting [\"Ada\", \"\"]:",
            "mock: /helloworld.Greeter/SayHello",
            "mock: /helloworld.Greeter/SayHello",
            "NOT_FOUND: nobody",
        ]
    );
}

#[tokio::test]
async fn three_servers_share_the_calls_while_one_restarts() {
    let printed = run(env!("CARGO_BIN_EXE_load_balancing"), &[]).await;
    assert_eq!(
        printed,
        [
            r#"All three serve: {"Ada": 10, "Barbara": 10, "Grace": 10}"#,
            r#"Barbara has stopped: {"Ada": 15, "Grace": 15}"#,
            r#"Barbara is back: {"Ada": 10, "Barbara": 10, "Grace": 10}"#,
            r#"Another policy: {"Ada": 30}"#,
        ]
    );
}

#[tokio::test]
async fn a_resolver_routes_calls_by_a_header() {
    let printed = run(env!("CARGO_BIN_EXE_header_routing"), &[]).await;
    let expected = [
        "stable: each user has one server of the cluster",
        "the canary has answered /helloworld.Greeter/SayHello",
        "canary: each user has one server of the cluster",
        "moon: no route to \"moon\"",
        "calls not committed: 0",
    ];
    assert_in_order(&printed, &expected);
}

#[tokio::test]
async fn a_custom_balancer_keeps_sessions_together() {
    let printed = run(env!("CARGO_BIN_EXE_custom_balancer"), &[]).await;
    assert_eq!(
        printed,
        [
            "calls without a session go to 3 servers",
            "all calls of a session go to one server",
            "100 sessions go to 3 servers",
            "Ada has stopped; only her sessions have moved: true",
        ]
    );
}

#[tokio::test]
async fn a_channel_follows_a_backend_that_moves() {
    let printed = run(env!("CARGO_BIN_EXE_name_resolving"), &[]).await;
    let (first, second) = (
        "Hello, Ada! This is the first.",
        "Hello, Ada! This is the second.",
    );
    assert_eq!(printed, ["UNAVAILABLE", first, second, first, second]);
}

/// It uses the stand-in for etcd; tests/etcd/run uses etcd itself.
#[tokio::test]
async fn a_channel_follows_the_backends_in_a_registry() {
    let printed = run(env!("CARGO_BIN_EXE_etcd_resolver"), &[]).await;
    assert_eq!(
        printed,
        [
            "Ada is added",
            "Barbara is added",
            "answered by Ada and Barbara",
            "Grace is added",
            "answered by Ada and Barbara and Grace",
            "Ada is removed",
            "answered by Barbara and Grace",
            "Barbara is removed",
            "answered by Grace",
            "Grace is removed",
        ]
    );
}

#[tokio::test]
async fn backends_get_calls_while_they_report_serving() {
    let printed = run(env!("CARGO_BIN_EXE_health"), &[]).await;
    assert_eq!(
        printed,
        [
            "Both serve: calls go to A and B",
            "B is being drained: calls go to A",
            "Nobody serves: UNAVAILABLE",
            "B serves again, for a call that waited: Hello, Grace! I am B.",
            "A as well: calls go to A and B",
        ]
    );
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed() {
    let printed = run(env!("CARGO_BIN_EXE_unix_socket"), &[]).await;
    let socket = printed
        .first()
        .and_then(|line| line.strip_prefix("calling unix://"))
        .expect("the first line has the target");
    let reply = format!("Hello, neighbour! You came by unix:{socket}");
    assert_in_order(&printed, &[&reply]);
    let folder = std::path::Path::new(socket).parent().expect("a folder");
    assert!(!folder.exists(), "{folder:?}");
}

#[tokio::test]
async fn each_connection_has_its_worker() {
    let printed = run(env!("CARGO_BIN_EXE_workers"), &[]).await;
    let once = [
        "Hello, Ada! I run on rgrpc-worker-0",
        "Hello, Barbara! I run on rgrpc-worker-1",
        "Hello, Grace! I run on rgrpc-worker-0",
        "Hello, Radia! I run on rgrpc-worker-1",
    ];
    assert_eq!(printed, [once, once].concat());
}

#[tokio::test]
async fn the_server_sees_client_certificates_and_refuses_clients_without_one() {
    let printed = run(env!("CARGO_BIN_EXE_tls"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "a call of CN=ada, whose chain has length 1",
            "Hello, CN=ada! You say you are the queen.",
            "without a certificate: Unavailable",
            "Hello, stranger! You say you are .",
        ],
    );
}

#[tokio::test]
async fn a_pre_shared_key_secures_connections_and_a_wrong_one_is_refused_by_both_sides() {
    let printed = run(env!("CARGO_BIN_EXE_psk_handshake"), &[]).await;
    let (client, server): (Vec<_>, Vec<_>) = printed
        .iter()
        .partition(|line| line.starts_with("client: "));
    let expected: [&[&str]; 3] = [
        &["Hello, ada! Your connection has IntegrityOnly."],
        &[
            "UNAVAILABLE: cannot connect to ipv4:127.0.0.1:",
            "the psk handshake with the server failed: the server has another key \"ada\"; the \
             option is PskClient::new",
        ],
        &[
            "UNAUTHENTICATED: ",
            "the security level PrivacyAndIntegrity is required",
            "has IntegrityOnly by the credentials psk",
        ],
    ];
    assert_eq!(client.len(), expected.len(), "{printed:#?}");
    for (line, parts) in client.iter().zip(expected) {
        for part in parts {
            assert!(line.contains(part), "no {part:?} in {line:?}");
        }
    }
    // The server's log is written beside the client's output: no order between them is certain.
    let refused = server.iter().any(|line| {
        line.contains("a connection was refused peer=127.0.0.1:")
            && line.contains(
                "the psk handshake with the client failed: the client has another key \"ada\"; its \
                 option is PskClient::new",
            )
    });
    assert!(refused, "{printed:#?}");
}

#[tokio::test]
async fn code_of_build_rs_and_checked_in_code_both_run() {
    let printed = run(env!("CARGO_BIN_EXE_build_without_protoc"), &[]).await;
    assert_eq!(printed, ["Hello, build.rs!"]);
    let printed = run(env!("CARGO_BIN_EXE_generated_by_buf"), &[]).await;
    assert_eq!(printed, ["Hello, buf!"]);
}

#[test]
fn every_program_is_tested() {
    let here = include_str!("run_all.rs");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin");
    for entry in std::fs::read_dir(folder).expect("the folder of programs") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.expect("a program's name");
        let run = format!("CARGO_BIN_EXE_{name}\"");
        assert!(here.contains(&run), "{name} is not run");
    }
}

#[tokio::test]
async fn server_interceptors_check_tokens_add_headers_and_see_messages() {
    let printed = run(env!("CARGO_BIN_EXE_server_interceptors"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "server: /helloworld.Greeter/SayHello Unauthenticated, by the server",
            "client: UNAUTHENTICATED: the token is missing",
            "client: Hello, Ada, says Grace! Served by example.",
            "server: \"Hello, Ada!\" in 13 bytes",
            "server: \"Hallo, Ada!\" in 13 bytes",
            "server: /helloworld.Greeter/SayHelloInAllLanguages Ok, by the server",
        ],
    );
}

#[tokio::test]
async fn message_memory_receives_large_messages_into_pooled_buffers() {
    let printed = run(env!("CARGO_BIN_EXE_message_memory"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "a reply of 1048584 bytes",
            "a reply of 1048584 bytes",
            "a reply of 1048584 bytes",
            "the channel keeps buffers: true",
            "the server has reserved 0 bytes",
        ],
    );
}

#[tokio::test]
async fn channelz_prints_the_tree_of_channels_and_servers_with_their_calls() {
    let printed = run(env!("CARGO_BIN_EXE_channelz"), &[]).await;
    let expected = [
        "channel by dns, READY: 3 calls, 2 succeeded, 1 failed",
        "subchannel, READY: 3 calls, 2 succeeded, 1 failed",
        "socket, NoSecurity: 3 streams, 0 open, 3 messages sent, 2 received",
        "channel by ipv4, READY: 1 calls, 1 succeeded, 0 failed",
        "subchannel, READY: 1 calls, 1 succeeded, 0 failed",
        "socket, NoSecurity: 1 streams, 0 open, 1 messages sent, 1 received",
        "server: 4 calls, 3 succeeded, 1 failed",
        "listen socket, on loopback: true",
        "socket, NoSecurity: 3 streams, 0 open, 2 messages sent, 3 received",
        "socket, NoSecurity: 1 streams, 0 open, 1 messages sent, 1 received",
        "at the end: 0 channels, 0 servers",
    ];
    assert_in_order(&printed, &expected);
}

#[tokio::test]
async fn counting_stats_counts_calls_bytes_and_connections() {
    let printed = run(env!("CARGO_BIN_EXE_counting_stats"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "connections: 1",
            "connections: 1",
            "server: OK: 2",
            "server: INVALID_ARGUMENT: 1",
            "server: bytes received: 27",
            "server: bytes sent: 38",
            "server: attempts: 0",
            "server: connections: 0",
            "server: ends of connections: 1",
            "client: OK: 2",
            "client: INVALID_ARGUMENT: 1",
            "client: bytes received: 38",
            "client: bytes sent: 27",
            "client: attempts: 3",
            "client: connections: 0",
            "client: ends of connections: 1",
        ],
    );
}

#[tokio::test]
async fn client_interceptors_attach_tokens_log_try_again_and_see_messages() {
    let printed = run(env!("CARGO_BIN_EXE_client_interceptors"), &[]).await;
    assert_in_order(
        &printed,
        &[
            "client: /helloworld.Greeter/SayHello has no side effects: once more",
            "client: /helloworld.Greeter/SayHello Ok, by the server",
            "Hello, Ada! Bearer token-of-Ada, request 1",
            "client: /helloworld.Greeter/SayHello Ok, by the server",
            "Hello, Ada! Bearer token-of-Ada, request 7",
            "client: \"Hello, Ada!\" in 13 bytes",
            "client: \"Hallo, Ada!\" in 13 bytes",
            "client: /helloworld.Greeter/SayHelloInAllLanguages Ok, by the server",
        ],
    );
    let of_interceptor = |line: &&String| line.ends_with("SayHello Ok, by the server");
    let logged = printed.iter().filter(of_interceptor).count();
    assert_eq!(logged, 2, "once for a call, whatever the number of runs");
}

#[tokio::test]
async fn answering_interceptors_cache_answers_by_their_requests_and_fall_back() {
    let printed = run(env!("CARGO_BIN_EXE_answering_interceptors"), &[]).await;
    assert_eq!(
        printed,
        [
            "server: Ada",
            "client: Hello, Ada!",
            "server: Grace",
            "client: Hello, Grace!",
            "client: Hello, Ada!",
            "client: Hello, Grace!",
            "the server is gone",
            "client: Hello, Ada!",
            "client: Hello, Barbara, whom no server knows!",
            "client: Hello!",
            "client: Hallo!",
        ]
    );
}

#[tokio::test]
async fn tracing_stats_prints_the_events_in_the_span_of_their_call() {
    let printed = run(env!("CARGO_BIN_EXE_tracing_stats"), &[])
        .await
        .join("\n");
    for (side, texts) in [
        (
            "server",
            ["received", "within the handler", "sent", "ended"],
        ),
        ("client", ["picked", "sent", "received", "ended"]),
    ] {
        let of_side = format!("call{{side={side}");
        let lines: Vec<_> = printed
            .lines()
            .filter(|line| line.contains(&of_side))
            .collect();
        let mut rest = &lines[..];
        for text in texts {
            let at = rest.iter().position(|line| line.contains(text));
            let at = at.unwrap_or_else(|| panic!("no {text:?}: {printed}"));
            assert!(rest[at].contains("SayHello"), "{printed}");
            rest = &rest[at + 1..];
        }
    }
    assert!(printed.contains("attempt{previous=0}"), "{printed}");
}
