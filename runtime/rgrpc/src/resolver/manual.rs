use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Resolver, ResolverBuilder, ResolverControl, ResolverFuture, ResolverOptions, ResolverState,
    Target,
};
use crate::select_biased::{Either, select_biased};
use crate::status::Status;

/// A resolver that finds what it is told to: for tests, and for programs that learn of their
/// backends in a way of their own.
///
/// A handle: cheap to clone, and all clones are one. It is a [`ResolverBuilder`] too, whose
/// resolvers all say what the handle was told last. A channel that leaves idle mode is told it
/// again.
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
/// // Now, and again whenever backends come and go:
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
    said: watch::Sender<Said>,
    answer: watch::Sender<Option<Answer>>,
    requests: watch::Sender<u64>,
}

/// What the handle was told. Each has the number of its telling; an update ends an error.
#[derive(Clone, Default)]
struct Said {
    count: u64,
    state: Option<(u64, ResolverState)>,
    error: Option<(u64, Status)>,
}

/// What a channel made of an update, by its number.
#[derive(Clone)]
struct Answer {
    number: u64,
    verdict: Result<(), Status>,
}

impl ManualResolver {
    /// Under this scheme, and without anything found so far: calls wait until it is told.
    #[must_use]
    pub fn new(scheme: impl Into<String>) -> Self {
        Self {
            scheme: scheme.into(),
            shared: Arc::new(Shared {
                said: watch::Sender::default(),
                answer: watch::Sender::default(),
                requests: watch::Sender::default(),
            }),
        }
    }

    /// This is found now, and nothing else. Returns at once; a channel that is idle learns of it
    /// when it leaves idle mode. Of several updates in a row a channel may see the last alone.
    pub fn update(&self, state: ResolverState) {
        self.shared.said.send_modify(|said| {
            said.count += 1;
            said.state = Some((said.count, state));
            said.error = None;
        });
    }

    /// Resolving has failed, until the next [`update`](Self::update). What was found before holds.
    /// Returns at once.
    pub fn error(&self, error: Status) {
        self.shared.said.send_modify(|said| {
            said.count += 1;
            said.error = Some((said.count, error));
        });
    }

    /// Waits until a channel has looked at the latest [`update`](Self::update), or for the first
    /// one. Cancel-safe.
    ///
    /// # Errors
    /// The channel cannot use it: what [`ResolverControl::update`] says.
    pub async fn taken(&self) -> Result<(), Status> {
        let mut answers = self.shared.answer.subscribe();
        let latest = |answer: &Option<Answer>| {
            let said = self.shared.said.borrow();
            let latest = said.state.as_ref().map(|(number, _)| *number);
            answer.as_ref().map(|answer| answer.number) == latest && latest.is_some()
        };
        match answers.wait_for(latest).await {
            Ok(answer) => answer.as_ref().map_or(Ok(()), |a| a.verdict.clone()),
            // The sender is in `self`.
            Err(_) => Ok(()),
        }
    }

    /// How often channels have [asked](ResolverControl::resolve_now_requested) to look again, which
    /// does nothing else. What can be awaited is that it changes.
    #[must_use]
    pub fn resolve_now_requests(&self) -> watch::Receiver<u64> {
        self.shared.requests.subscribe()
    }
}

impl ResolverBuilder for ManualResolver {
    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, String> {
        Ok(Box::new(Run(Arc::clone(&self.shared))))
    }
}

impl fmt::Debug for ManualResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualResolver")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// Passes on what the handle is told.
struct Run(Arc<Shared>);

impl Resolver for Run {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            let mut said = self.0.said.subscribe();
            let mut passed_on = 0;
            loop {
                let now = said.borrow_and_update().clone();
                if let Some((number, state)) = now.state.filter(|(number, _)| *number > passed_on) {
                    let verdict = control.update(state).await;
                    let answer = Answer { number, verdict };
                    self.0.answer.send_replace(Some(answer));
                }
                if let Some((_, error)) = now.error.filter(|(number, _)| *number > passed_on) {
                    control.error(error).await;
                }
                passed_on = now.count;
                while let Either::Second(()) =
                    select_biased(said.changed(), control.resolve_now_requested()).await
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

    /// What the channel is told next; updates get the verdict.
    async fn told(events: &mut ResolverEvents, verdict: Result<(), Status>) -> String {
        match events.next().await.expect("it goes on") {
            ResolverEvent::Update(state, reply) => {
                reply.send(verdict).expect("it waits for the verdict");
                state.endpoints[0].addresses[0].to_string()
            }
            ResolverEvent::Error(status) => status.message().to_owned(),
        }
    }

    #[tokio::test]
    async fn a_channel_is_told_what_the_handle_is_told_before_and_after_it_begins() {
        let resolver = ManualResolver::new("manual");
        resolver.update(state("never seen"));
        resolver.update(state("first"));
        let (mut events, running) = start(&resolver);
        assert_eq!(told(&mut events, Ok(())).await, "first");
        resolver.clone().update(state("second"));
        assert_eq!(told(&mut events, Ok(())).await, "second");
        resolver.error(Status::unavailable("lost"));
        assert_eq!(told(&mut events, Ok(())).await, "lost");
        running.abort();

        // The next one of the channel, which was idle.
        let (mut events, running) = start(&resolver);
        assert_eq!(told(&mut events, Ok(())).await, "second");
        assert_eq!(told(&mut events, Ok(())).await, "lost");
        resolver.update(state("third"));
        assert_eq!(told(&mut events, Ok(())).await, "third");
        running.abort();
        let (mut events, running) = start(&resolver);
        assert_eq!(told(&mut events, Ok(())).await, "third");
        assert!(!running.is_finished());
        running.abort();
    }

    #[tokio::test]
    async fn what_the_channel_makes_of_an_update_can_be_waited_for() {
        let resolver = ManualResolver::new("manual");
        let (mut events, running) = start(&resolver);
        for verdict in [Ok(()), Err(Status::unavailable("unusable")), Ok(())] {
            resolver.update(state("backend"));
            let message = |verdict: &Result<(), Status>| match verdict {
                Ok(()) => String::new(),
                Err(status) => status.message().to_owned(),
            };
            let (_, taken) = tokio::join!(told(&mut events, verdict.clone()), resolver.taken());
            assert_eq!(message(&taken), message(&verdict));
        }
        running.abort();
    }

    #[tokio::test]
    async fn requests_to_look_again_are_counted() {
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
