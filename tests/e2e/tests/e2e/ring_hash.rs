//! `ring_hash_experimental`: calls of one session go to one backend. Source: gRFC A42, A61, A76.

use std::collections::BTreeMap;

use rgrpc::balancer::RingHashBuilder;
use rgrpc::{ClientConn, Code};
use rgrpc_e2e::{StubClient, msg, soon, text};

use crate::backends::Backends;

const CONFIG: &str = r#"[{"ring_hash_experimental": {"requestHashHeader": "session"}}]"#;

fn connect(backends: &Backends) -> ClientConn {
    backends.connect(RingHashBuilder::new(), CONFIG)
}

/// The backend that answers a call of this session.
async fn call(conn: &ClientConn, session: u32) -> Result<u16, Code> {
    let client = StubClient::new(conn.clone());
    let call = async {
        client
            .unary(msg(""))
            .metadata("session", session.to_string())
            .wait_for_ready(true)
            .await
    };
    let response = soon(call).await.map_err(|status| status.code())?;
    Ok(text(response.message()).parse().expect("a number"))
}

/// The backends of twenty sessions.
async fn sessions(conn: &ClientConn) -> BTreeMap<u32, u16> {
    let mut backends = BTreeMap::new();
    for session in 0..20 {
        backends.insert(session, call(conn, session).await.expect("OK"));
    }
    backends
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_session_go_to_one_backend_from_every_channel() {
    let backends = Backends::serve(3);
    let first = connect(&backends);
    let found = sessions(&first).await;
    assert_eq!(sessions(&first).await, found);
    assert_eq!(sessions(&connect(&backends)).await, found);
    for backend in 0..3 {
        assert!(found.values().any(|found| *found == backend), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_backend_stops_its_sessions_alone_go_elsewhere() {
    let backends = Backends::serve(3);
    let conn = connect(&backends);
    let before = sessions(&conn).await;
    backends.stop(1);
    let after = sessions(&conn).await;
    for (session, backend) in before {
        let now = after[&session];
        assert!(if backend == 1 {
            now != 1
        } else {
            now == backend
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_the_header_goes_anywhere() {
    let backends = Backends::serve(3);
    let client = StubClient::new(connect(&backends));
    let response = soon(async { client.unary(msg("")).await }).await;
    assert!(response.is_ok(), "{response:?}");
}
