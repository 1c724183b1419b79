//! A resolver that a program or a test controls.
//!
//! Updated on any task; each channel runs a resolver task that passes the results on.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Resolver, ResolverBuilder, ResolverControl, ResolverError, ResolverFuture, ResolverOptions,
    ResolverState, Target,
};
use crate::select_biased::{Either, select_biased};
use crate::status::Status;

/// A resolver whose results the program sets. For tests, and for programs with their own discovery
/// of backends.
///
/// A cheap handle: all clones share the results. It is also a [`ResolverBuilder`], whose resolvers
/// all report the latest result. A channel that leaves idle mode gets the latest result again.
///
/// ```
/// use rgrpc::io::Address;
/// use rgrpc::resolver::{ManualResolver, ResolverState};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = ManualResolver::new("manual");
/// let conn = rgrpc::ClientConn::builder("manual:///orders", rgrpc::credentials::insecure())
///     .resolver(resolver.clone())
///     .build()?;
/// // Now, and after each change of the backends:
/// let backends = [Address::Tcp("127.0.0.1:50051".parse()?)];
/// resolver.update(ResolverState::of_addresses(backends));
/// # Ok(()) }
/// ```
///
/// Source: grpc-go's package `resolver/manual`.
#[derive(Clone)]
pub struct ManualResolver {
    scheme: String,
    shared: Arc<Shared>,
}

struct Shared {
    results: watch::Sender<Results>,
    answer: watch::Sender<Option<Answer>>,
    requests: watch::Sender<u64>,
}

/// The latest results. Each has a number, and an update clears the error.
#[derive(Clone, Default)]
struct Results {
    count: u64,
    state: Option<(u64, ResolverState)>,
    error: Option<(u64, Status)>,
}

/// A channel's verdict on the update with this number.
#[derive(Clone)]
struct Answer {
    number: u64,
    verdict: Result<(), Status>,
}

impl ManualResolver {
    /// Creates a resolver for a scheme. Until the first update or error, calls wait.
    #[must_use]
    pub fn new(scheme: impl Into<String>) -> Self {
        Self {
            scheme: scheme.into(),
            shared: Arc::new(Shared {
                results: watch::Sender::default(),
                answer: watch::Sender::default(),
                requests: watch::Sender::default(),
            }),
        }
    }

    /// Sets the result, in place of the one before. Returns at once. An idle channel gets it when
    /// it leaves idle mode. Of several updates in a row, a channel may get only the last.
    pub fn update(&self, state: ResolverState) {
        self.shared.results.send_modify(|results| {
            results.count += 1;
            results.state = Some((results.count, state));
            results.error = None;
        });
    }

    /// Reports that name resolution has failed, until the next [`update`](Self::update). The last
    /// update stays in use. Returns at once.
    pub fn error(&self, error: Status) {
        self.shared.results.send_modify(|results| {
            results.count += 1;
            results.error = Some((results.count, error));
        });
    }

    /// Waits for a channel's verdict on the latest [`update`](Self::update), or on the first one.
    /// Cancel-safe.
    ///
    /// # Errors
    /// The channel cannot use the update: the error of [`ResolverControl::update`].
    pub async fn taken(&self) -> Result<(), Status> {
        let mut answers = self.shared.answer.subscribe();
        let latest = |answer: &Option<Answer>| {
            let results = self.shared.results.borrow();
            let latest = results.state.as_ref().map(|(number, _)| *number);
            answer.as_ref().map(|answer| answer.number) == latest && latest.is_some()
        };
        match answers.wait_for(latest).await {
            Ok(answer) => answer.as_ref().map_or(Ok(()), |a| a.verdict.clone()),
            // The sender is in `self`.
            Err(_) => Ok(()),
        }
    }

    /// The number of [requests](ResolverControl::resolve_now_requested) of channels to resolve
    /// again. A caller can wait for a change. The requests have no other effect.
    #[must_use]
    pub fn resolve_now_requests(&self) -> watch::Receiver<u64> {
        self.shared.requests.subscribe()
    }
}

impl ResolverBuilder for ManualResolver {
    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, ResolverError> {
        Ok(Box::new(ManualResolverTask(Arc::clone(&self.shared))))
    }
}

impl fmt::Debug for ManualResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualResolver")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// A resolver that reports the results of the handle.
struct ManualResolverTask(Arc<Shared>);

impl Resolver for ManualResolverTask {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            let mut results = self.0.results.subscribe();
            let mut reported = 0;
            loop {
                let now = results.borrow_and_update().clone();
                if let Some((number, state)) = now.state.filter(|(number, _)| *number > reported) {
                    let verdict = control.update(state).await;
                    let answer = Answer { number, verdict };
                    self.0.answer.send_replace(Some(answer));
                }
                if let Some((_, error)) = now.error.filter(|(number, _)| *number > reported) {
                    control.error(error).await;
                }
                reported = now.count;
                while let Either::Second(()) =
                    select_biased(results.changed(), control.resolve_now_requested()).await
                {
                    self.0.requests.send_modify(|requests| *requests += 1);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;
    use crate::io::Address;
    use crate::resolver::{ResolverEvent, ResolverEvents};

    fn start(resolver: &ManualResolver) -> (ResolverEvents, JoinHandle<()>) {
        let target = Target::parse("manual:///a").expect("a target");
        let options = ResolverOptions::default();
        let run = resolver.build(&target, &options).expect("always");
        let (control, events) = ResolverControl::new();
        (events, tokio::spawn(run.run(control)))
    }

    fn state(name: &str) -> ResolverState {
        ResolverState::of_addresses([Address::Name(name.to_owned())])
    }

    /// The next event of the resolver, as a text. Answers an update with `verdict`.
    async fn next_event(events: &mut ResolverEvents, verdict: Result<(), Status>) -> String {
        match events.next().await.expect("the resolver runs") {
            ResolverEvent::Update(state, reply) => {
                reply
                    .send(verdict)
                    .expect("the resolver waits for the answer");
                state.endpoints[0].addresses[0].to_string()
            }
            ResolverEvent::Error(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn results_from_before_and_after_the_start_of_the_resolver_are_reported() {
        let resolver = ManualResolver::new("manual");
        resolver.update(state("never seen"));
        resolver.update(state("first"));
        let (mut events, running) = start(&resolver);
        assert_eq!(next_event(&mut events, Ok(())).await, "first");
        resolver.clone().update(state("second"));
        assert_eq!(next_event(&mut events, Ok(())).await, "second");
        resolver.error(Status::unavailable("lost"));
        assert_eq!(next_event(&mut events, Ok(())).await, "lost");
        running.abort();

        // The next resolver of the channel, which was idle.
        let (mut events, running) = start(&resolver);
        assert_eq!(next_event(&mut events, Ok(())).await, "second");
        assert_eq!(next_event(&mut events, Ok(())).await, "lost");
        resolver.update(state("third"));
        assert_eq!(next_event(&mut events, Ok(())).await, "third");
        running.abort();
        let (mut events, running) = start(&resolver);
        assert_eq!(next_event(&mut events, Ok(())).await, "third");
        assert!(!running.is_finished());
        running.abort();
    }

    #[tokio::test]
    async fn taken_returns_the_answer_of_the_channel() {
        let resolver = ManualResolver::new("manual");
        let (mut events, running) = start(&resolver);
        for verdict in [Ok(()), Err(Status::unavailable("unusable")), Ok(())] {
            resolver.update(state("backend"));
            let message = |verdict: &Result<(), Status>| match verdict {
                Ok(()) => String::new(),
                Err(status) => status.message().to_owned(),
            };
            let (_, taken) =
                tokio::join!(next_event(&mut events, verdict.clone()), resolver.taken());
            assert_eq!(message(&taken), message(&verdict));
        }
        running.abort();
    }

    #[tokio::test]
    async fn requests_to_resolve_again_are_counted() {
        let resolver = ManualResolver::new("manual");
        let mut requests = resolver.resolve_now_requests();
        let (events, running) = start(&resolver);
        for expected in 1..=3 {
            events.resolve_now();
            requests.changed().await.expect("the handle is there");
            assert_eq!(*requests.borrow_and_update(), expected);
        }
        running.abort();
    }
}
