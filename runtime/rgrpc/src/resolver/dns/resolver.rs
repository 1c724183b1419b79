//! The resolver of a DNS name, which is a task of its own.
//!
//! It ends with the channel's idle mode: the channel's task drops it.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::lookup::{Answer, Lookup, Question};
use super::schedule::{Intervals, Schedule};
use crate::io::Address;
use crate::resolver::{
    LookupError, Resolver, ResolverControl, ResolverError, ResolverFuture, ResolverState,
};
use crate::select_biased::{Either, select_biased};

/// Resolves a name, again and again by its [`Schedule`].
pub(super) struct DnsResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) question: Question,
    pub(super) timeout: Duration,
    pub(super) intervals: Intervals,
    /// Looks up again when the addresses expire.
    pub(super) refreshes_by_ttl: bool,
}

impl Resolver for DnsResolver {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            let mut schedule = Schedule::new(self.intervals, Instant::now());
            loop {
                wait_until_due(&schedule, &control).await;
                // This lookup answers all requests until now.
                select_biased(control.resolve_now_requested(), ready(())).await;
                let answered = match self.look_up().await {
                    Ok(answer) => {
                        let valid_for = answer.valid_for.filter(|_| self.refreshes_by_ttl);
                        let updated = control.update(state_of(answer)).await;
                        updated.ok().map(|()| valid_for)
                    }
                    Err(error) => {
                        control.error(error).await;
                        None
                    }
                };
                match answered {
                    Some(valid_for) => schedule.succeeded(Instant::now(), valid_for),
                    None => schedule.failed(Instant::now(), fastrand::f64()),
                }
            }
        })
    }
}

impl DnsResolver {
    async fn look_up(&self) -> Result<Answer, ResolverError> {
        let answer = self.lookup.look_up(self.question.clone());
        let cause = match timeout(self.timeout, answer).await {
            Ok(Ok(answer)) if answer.addresses.is_empty() => LookupError::NoAddresses,
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(cause)) => cause,
            Err(_) => LookupError::TimedOut(self.timeout),
        };
        Err(ResolverError::Lookup {
            scheme: "dns".into(),
            name: self.question.host.clone(),
            cause,
        })
    }
}

fn state_of(answer: Answer) -> ResolverState {
    let mut state = ResolverState::of_addresses(answer.addresses.into_iter().map(Address::Tcp));
    state.service_config = answer.service_config;
    state
}

async fn wait_until_due(schedule: &Schedule, control: &ResolverControl) {
    let asked = match schedule.due(false) {
        Some(due) => {
            // The lookup may be due without a request; a request may make it due earlier.
            let asked = select_biased(sleep_until(due), control.resolve_now_requested());
            matches!(asked.await, Either::Second(()))
        }
        None => {
            control.resolve_now_requested().await;
            true
        }
    };
    if let Some(due) = schedule.due(asked).filter(|_| asked) {
        sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::pending;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use tokio::task::JoinHandle;

    use super::super::lookup::LookupFuture;
    use super::*;
    use crate::resolver::{ResolverEvent, ResolverEvents};
    use crate::status::Status;

    const SECOND: Duration = Duration::from_secs(1);

    /// Answers with a list of replies, and then with the last one again.
    struct ScriptedLookup(Mutex<VecDeque<Reply>>);

    #[derive(Clone)]
    enum Reply {
        Addresses(&'static [&'static str]),
        ValidFor(u32),
        Failure(&'static str),
        Silence,
    }

    impl Lookup for ScriptedLookup {
        fn look_up(&self, question: Question) -> LookupFuture {
            assert_eq!(question.host, "backend.test");
            let mut replies = self.0.lock().expect("not poisoned");
            let reply = replies[0].clone();
            if replies.len() > 1 {
                replies.pop_front();
            }
            Box::pin(async move {
                let (addresses, valid_for) = match reply {
                    Reply::Addresses(list) => (list, None),
                    Reply::ValidFor(seconds) => (&["1.2.3.4"] as &[_], Some(seconds * SECOND)),
                    Reply::Failure(cause) => return Err(LookupError::failed(cause)),
                    Reply::Silence => pending().await,
                };
                let parse = |ip: &&str| SocketAddr::new(ip.parse().expect(ip), question.port);
                Ok(Answer {
                    addresses: addresses.iter().map(parse).collect(),
                    service_config: None,
                    valid_for,
                })
            })
        }
    }

    /// The channel's side.
    struct Channel {
        events: ResolverEvents,
        start: Instant,
        task: JoinHandle<()>,
    }

    impl Drop for Channel {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    fn start(replies: &[Reply], refresh: Option<u32>) -> Channel {
        let resolver = Box::new(DnsResolver {
            lookup: Arc::new(ScriptedLookup(Mutex::new(
                replies.iter().cloned().collect(),
            ))),
            question: Question {
                host: "backend.test".to_owned(),
                port: 7,
                service_config: false,
            },
            timeout: 30 * SECOND,
            intervals: Intervals {
                min: 30 * SECOND,
                refresh: refresh.map(|refresh| refresh * SECOND),
            },
            refreshes_by_ttl: true,
        });
        let (control, events) = ResolverControl::new();
        Channel {
            events,
            start: Instant::now(),
            task: tokio::spawn(resolver.run(control)),
        }
    }

    impl Channel {
        /// The next event of the resolver, and its time in milliseconds. Answers an update with
        /// `verdict`.
        async fn next(&mut self, verdict: Result<(), Status>) -> (String, u128) {
            let event = match self.events.next().await.expect("the resolver runs") {
                ResolverEvent::Update(state, reply) => {
                    let endpoints = state.endpoints.iter();
                    let texts = endpoints.map(|endpoint| endpoint.addresses[0].to_string());
                    reply
                        .send(verdict)
                        .expect("the resolver waits for the answer");
                    texts.collect::<Vec<_>>().join(" ")
                }
                ResolverEvent::Error(error) => error.to_string(),
            };
            (event, self.start.elapsed().as_millis())
        }

        async fn assert_silent_for(&mut self, time: Duration) {
            assert!(timeout(time, self.events.next()).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_address_is_an_endpoint_and_without_a_request_there_is_one_lookup() {
        let mut channel = start(&[Reply::Addresses(&["1.2.3.4", "::1"])], None);
        let event = channel.next(Ok(())).await;
        assert_eq!(event, ("1.2.3.4:7 [::1]:7".to_owned(), 0));
        channel.assert_silent_for(100_000 * SECOND).await;
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_answered_together_and_at_least_30_s_after_the_last_lookup() {
        let mut channel = start(&[Reply::Addresses(&["1.2.3.4"])], None);
        channel.next(Ok(())).await;
        channel.events.resolve_now();
        assert_eq!(channel.next(Ok(())).await.1, 30_000);
        channel.assert_silent_for(100 * SECOND).await;
        channel.events.resolve_now();
        channel.events.resolve_now();
        assert_eq!(channel.next(Ok(())).await.1, 130_000);
        channel.assert_silent_for(100 * SECOND).await;
    }

    #[tokio::test(start_paused = true)]
    async fn failed_lookups_are_retried_with_backoff_until_one_succeeds() {
        let refused = Reply::Failure("refused");
        let replies = [
            refused.clone(),
            refused.clone(),
            Reply::Addresses(&[]),
            Reply::Addresses(&["1.2.3.4"]),
        ];
        let mut channel = start(&replies, None);
        let refused = "name resolution of \"backend.test\" by dns failed: refused";
        assert_eq!(channel.next(Ok(())).await, (refused.to_owned(), 0));
        assert_eq!(channel.next(Ok(())).await, (refused.to_owned(), 1_000));
        let (event, at) = channel.next(Ok(())).await;
        assert!(
            event.ends_with("failed: the name has no addresses"),
            "{event}"
        );
        assert!((2_280..=2_922).contains(&at), "1.6 s within a fifth: {at}");
        let (event, later) = channel.next(Ok(())).await;
        assert_eq!(event, "1.2.3.4:7");
        assert!((2_047..=3_073).contains(&(later - at)), "2.56 s: {later}");
        channel.assert_silent_for(1000 * SECOND).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_that_the_channel_rejects_is_retried_with_backoff() {
        let mut channel = start(&[Reply::Addresses(&["1.2.3.4"])], None);
        let refused = || Err(Status::unavailable("unusable"));
        assert_eq!(channel.next(refused()).await.1, 0);
        assert_eq!(channel.next(refused()).await.1, 1_000);
        let (_, at) = channel.next(Ok(())).await;
        assert!((2_280..=2_922).contains(&at), "{at}");
        channel.assert_silent_for(1000 * SECOND).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_without_an_answer_fails_after_its_timeout() {
        let mut channel = start(&[Reply::Silence, Reply::Addresses(&["1.2.3.4"])], None);
        let (event, at) = channel.next(Ok(())).await;
        assert!(event.ends_with("failed: no answer within 30 s"), "{event}");
        assert_eq!(at, 30_000);
        assert_eq!(channel.next(Ok(())).await.1, 31_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_interval_and_the_ttl_cause_lookups_without_a_request() {
        let mut channel = start(&[Reply::Addresses(&["1.2.3.4"])], Some(300));
        for at in [0, 300_000, 600_000] {
            assert_eq!(channel.next(Ok(())).await.1, at);
        }
        channel.events.resolve_now();
        assert_eq!(channel.next(Ok(())).await.1, 630_000, "asked in between");
        assert_eq!(channel.next(Ok(())).await.1, 930_000);

        let mut channel = start(&[Reply::ValidFor(60), Reply::ValidFor(1)], Some(300));
        for at in [0, 60_000, 90_000, 120_000] {
            assert_eq!(channel.next(Ok(())).await.1, at);
        }
    }
}
