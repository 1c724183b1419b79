//! The events of connections, and the values that they carry.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_connection_begins_before_its_calls_and_ends_after_them() {
    let server = serve(marking());
    let recording = Recording::default();
    let conn = channel(&server, |builder| builder.stats_handler(recording.clone()));
    connect(&conn).await;
    assert_eq!(recording.take(), ["connection begins to pipe"]);
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.unary(msg("hang")).await });
    settle().await;
    server.handle().stop();
    soon(call).await.expect("no panic").expect_err("lost");
    settle().await;
    let events = recording.take();
    assert!(
        events
            .iter()
            .any(|event| event.starts_with("connection ends: ")),
        "{events:#?}"
    );
    assert!(
        events.contains(&"end UNAVAILABLE by connection".to_owned()),
        "{events:#?}"
    );
}

/// Numbers connections, and keeps the numbers that attempts and ends of connections have seen.
#[derive(Clone, Default)]
struct Numbering {
    begun: Arc<AtomicU32>,
    seen: Arc<Mutex<Vec<String>>>,
}

/// The number of a connection.
#[derive(Clone)]
struct Number(u32);

impl Numbering {
    fn see(&self, what: &str, extensions: &Extensions) {
        let number = extensions.get().map_or(0, |number: &Number| number.0);
        let mut seen = self.seen.lock().expect("not poisoned");
        seen.push(format!("{what} {number}"));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }
}

impl StatsHandler for Numbering {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::new(self.clone()))
    }

    fn begin_connection(
        &self,
        begin: &mut ConnectionBegin<'_>,
    ) -> Option<Arc<dyn ConnectionStats>> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        begin.extensions.insert(Number(number));
        Some(Arc::new(self.clone()))
    }
}

impl CallStats for Numbering {
    fn event(&self, event: &CallEvent<'_>) {
        if let CallEvent::Picked(picked) = event {
            self.see("picked", picked.extensions);
        }
    }
}

impl ConnectionStats for Numbering {
    fn end(&self, end: &ConnectionEnd<'_>) {
        self.see("ended", end.extensions);
    }
}

#[tokio::test(start_paused = true)]
async fn the_values_of_a_connection_are_seen_by_its_attempts_and_at_its_end_on_both_sides() {
    let of_server = Numbering::default();
    let server = serve_with(
        new_server().stats_handler(of_server.clone()),
        StubService::echo(),
    );
    let numbering = Numbering::default();
    let conn = channel(&server, |builder| builder.stats_handler(numbering.clone()));
    let client = StubClient::new(conn.clone());
    for _ in 0..2 {
        call(&client, "one").await.expect("OK");
    }
    assert_eq!(numbering.take(), ["picked 1", "picked 1"]);
    conn.close();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(numbering.take(), ["ended 1"]);
    assert_eq!(of_server.take(), ["ended 1"]);
}
