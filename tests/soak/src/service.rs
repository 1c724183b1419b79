//! The server's side of a plan.

use rgrpc::{RecvStream, Request, Response, SendStream, Status};

use crate::call::{receive_all, receive_one, send_all, send_one};
use crate::plan::{Direction, Ending, Kind, Plan, Profile};
use crate::proto::{Message, Soak};

/// The metadata key of a call's seed.
pub(crate) const SEED: &str = "soak-seed";

/// Serves calls by the plan of their seed.
#[derive(Debug)]
pub struct SoakService {
    profile: Profile,
}

impl SoakService {
    /// Makes a service for plans of this profile.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile }
    }

    fn plan<T>(&self, request: &Request<T>) -> Result<Plan, Status> {
        let seed = request.metadata().get(SEED);
        let seed = seed.and_then(|seed| seed.parse().ok());
        match seed {
            Some(seed) => Ok(Plan::new(seed, self.profile)),
            None => Err(Status::invalid_argument("the call has no seed")),
        }
    }
}

/// The status of a call that its plan lets fail.
fn planned() -> Status {
    Status::aborted("the plan says so")
}

impl Soak for SoakService {
    async fn unary(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let plan = self.plan(&request)?;
        plan.check(Direction::Up, 0, request.message())?;
        Ok(Response::new(plan.message(Direction::Down, 0)))
    }

    async fn client_streaming(
        &self,
        requests: Request<RecvStream<Message>>,
    ) -> Result<Response<Message>, Status> {
        let mut plan = self.plan(&requests)?;
        receive_as_planned(&mut plan, requests.into_message()).await?;
        Ok(Response::new(plan.message(Direction::Down, 0)))
    }

    async fn server_streaming(
        &self,
        request: Request<Message>,
        mut responses: SendStream<Message>,
    ) -> Result<(), Status> {
        let mut plan = self.plan(&request)?;
        plan.check(Direction::Up, 0, request.message())?;
        let mut habits = plan.server.clone();
        send_all(&mut plan, Direction::Down, &mut habits, &mut responses).await
    }

    async fn bidi_streaming(
        &self,
        requests: Request<RecvStream<Message>>,
        mut responses: SendStream<Message>,
    ) -> Result<(), Status> {
        let mut plan = self.plan(&requests)?;
        let mut requests = requests.into_message();
        let mut habits = plan.server.clone();
        match plan.kind {
            Kind::FullDuplex => {
                let mut sending = plan.clone();
                tokio::try_join!(
                    receive_as_planned(&mut plan, requests),
                    send_all(&mut sending, Direction::Down, &mut habits, &mut responses),
                )?;
            }
            Kind::PingPong => {
                for index in 0..plan.up.len() {
                    if plan.ending == Ending::ServerFails(index) {
                        return Err(planned());
                    }
                    receive_one(&plan, Direction::Up, index, &mut habits, &mut requests).await?;
                    send_one(&plan, Direction::Down, index, &mut habits, &mut responses).await?;
                }
                if plan.ending == Ending::ServerFails(plan.up.len()) {
                    return Err(planned());
                }
            }
            _ => {
                receive_as_planned(&mut plan, requests).await?;
                send_all(&mut plan, Direction::Down, &mut habits, &mut responses).await?;
            }
        }
        Ok(())
    }
}

/// Receives the messages of a request, all or as many as the plan says.
async fn receive_as_planned(
    plan: &mut Plan,
    mut requests: RecvStream<Message>,
) -> Result<(), Status> {
    let mut habits = plan.server.clone();
    let (count, outcome) = match plan.ending {
        Ending::ServerFails(count) => (count, Err(planned())),
        Ending::ServerStopsReading(count) => (count, Ok(())),
        Ending::Complete | Ending::ClientDrops(_) => {
            return receive_all(plan, Direction::Up, &mut habits, &mut requests).await;
        }
    };
    for index in 0..count {
        receive_one(plan, Direction::Up, index, &mut habits, &mut requests).await?;
    }
    outcome
}
