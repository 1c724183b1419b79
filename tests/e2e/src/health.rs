//! A health service whose responses a test sets.

use std::sync::{Arc, Mutex};

use rgrpc::{Request, SendStream, Status};
use tokio::sync::watch;

pub use proto::health_check_response::ServingStatus;
pub use proto::register_health;

#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "generated for clients too, from a schema that does not describe everything"
)]
mod proto {
    rgrpc::include_proto!("grpc.health.v1");
}

/// The service, for any service that is asked for.
///
/// Source: `grpc/health/v1/health.proto`.
#[derive(Clone, Debug)]
pub struct HealthService {
    /// The response of the watches, if there is one; a failure ends them.
    answer: watch::Sender<Option<Result<ServingStatus, Status>>>,
    watched: Arc<Mutex<Vec<String>>>,
}

impl HealthService {
    /// A service that sends nothing until a status is set.
    pub fn silent() -> Self {
        Self {
            answer: watch::Sender::new(None),
            watched: Arc::default(),
        }
    }

    /// A service that says this, to all that watch.
    pub fn new(answer: Result<ServingStatus, Status>) -> Self {
        let service = Self::silent();
        service.set(answer);
        service
    }

    /// From now on it says this; a failure ends the watches.
    pub fn set(&self, answer: Result<ServingStatus, Status>) {
        self.answer.send_replace(Some(answer));
    }

    /// The watched services, one for each watch.
    ///
    /// # Panics
    /// If a handler has panicked.
    pub fn watched(&self) -> Vec<String> {
        self.watched.lock().expect("not poisoned").clone()
    }

    /// The current number of watches.
    pub fn watches(&self) -> usize {
        self.answer.receiver_count()
    }
}

impl proto::Health for HealthService {
    async fn watch(
        &self,
        request: Request<proto::HealthCheckRequest>,
        mut responses: SendStream<proto::HealthCheckResponse>,
    ) -> Result<(), Status> {
        let service = request.into_message().service;
        self.watched.lock().expect("not poisoned").push(service);
        let mut answers = self.answer.subscribe();
        loop {
            let answer = answers.borrow_and_update().clone();
            if let Some(status) = answer.transpose()? {
                let response = proto::HealthCheckResponse {
                    status: status.into(),
                };
                responses.send(response).await?;
            }
            // `self` has the sender, so that it does not end.
            if answers.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}
