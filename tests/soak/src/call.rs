//! The client's side of a plan, and the steps that both sides share.

use rgrpc::{ClientConn, Code, RecvStream, SendStream, Status};

use crate::content::message;
use crate::habits::Habits;
use crate::plan::{Direction, Ending, Kind, Plan};
use crate::proto::{Message, SoakClient};
use crate::service::SEED;

impl Plan {
    pub(crate) fn sizes(&self, direction: Direction) -> &[usize] {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Returns a message of the plan.
    pub(crate) fn message(&self, direction: Direction, index: usize) -> Message {
        message(self.seed, direction, index, self.sizes(direction)[index])
    }

    /// Compares a received message with the plan's.
    pub(crate) fn check(
        &self,
        direction: Direction,
        index: usize,
        received: &Message,
    ) -> Result<(), Status> {
        let expected = self.message(direction, index);
        if *received == expected {
            return Ok(());
        }
        Err(Status::data_loss(format!(
            "message {index} {direction:?} has {} bytes and other content than the {} bytes sent",
            received.body.len(),
            expected.body.len()
        )))
    }
}

pub(crate) async fn send_one(
    plan: &Plan,
    direction: Direction,
    index: usize,
    habits: &mut Habits,
    stream: &mut SendStream<Message>,
) -> Result<(), Status> {
    habits.send(stream, plan.message(direction, index)).await
}

pub(crate) async fn send_all(
    plan: &mut Plan,
    direction: Direction,
    habits: &mut Habits,
    stream: &mut SendStream<Message>,
) -> Result<(), Status> {
    for index in 0..plan.sizes(direction).len() {
        send_one(plan, direction, index, habits, stream).await?;
    }
    Ok(())
}

pub(crate) async fn receive_one(
    plan: &Plan,
    direction: Direction,
    index: usize,
    habits: &mut Habits,
    stream: &mut RecvStream<Message>,
) -> Result<(), Status> {
    match habits.recv(stream).await? {
        Some(message) => plan.check(direction, index, &message),
        None => Err(Status::data_loss(format!(
            "the stream ended {direction:?} before message {index}"
        ))),
    }
}

/// Receives all messages of a direction, and the end.
pub(crate) async fn receive_all(
    plan: &mut Plan,
    direction: Direction,
    habits: &mut Habits,
    stream: &mut RecvStream<Message>,
) -> Result<(), Status> {
    for index in 0..plan.sizes(direction).len() {
        receive_one(plan, direction, index, habits, stream).await?;
    }
    match habits.recv(stream).await? {
        None => Ok(()),
        Some(_) => Err(Status::data_loss("a message more than was sent")),
    }
}

/// Makes the call of a plan, and judges its outcome.
///
/// # Errors
/// A text when the call ended otherwise than planned.
pub async fn run_call(conn: &ClientConn, mut plan: Plan) -> Result<(), String> {
    let outcome = attempt(conn, &mut plan).await;
    match (plan.ending, outcome) {
        (Ending::ServerFails(_), Err(status)) if status.code() == Code::Aborted => Ok(()),
        (Ending::ServerFails(_), outcome) => {
            Err(format!("not ABORTED, as planned, but {outcome:?}"))
        }
        (_, Ok(())) => Ok(()),
        (_, Err(status)) => Err(format!("{status:?}")),
    }
}

async fn attempt(conn: &ClientConn, plan: &mut Plan) -> Result<(), Status> {
    let client = SoakClient::new(conn.clone());
    let seed = plan.seed.to_string();
    let mut habits = plan.client.clone();
    let drops = match plan.ending {
        Ending::ClientDrops(after) => Some(after),
        _ => None,
    };
    match plan.kind {
        Kind::Unary => {
            let call = client.unary(plan.message(Direction::Up, 0));
            let call = call.metadata(SEED, seed);
            if drops.is_some() {
                let call = std::future::IntoFuture::into_future(call);
                // The message may have gone out, in part or not at all.
                let _ = tokio::time::timeout(std::time::Duration::from_micros(200), call).await;
                return Ok(());
            }
            let response = call.await?;
            plan.check(Direction::Down, 0, response.message())
        }
        Kind::ClientStreaming => {
            let call = client.client_streaming().metadata(SEED, seed).await?;
            let (mut requests, mut responses) = call.split();
            let sent = send_all(plan, Direction::Up, &mut habits, &mut requests).await;
            if drops.is_some() {
                return Ok(());
            }
            allow_end(sent)?;
            requests.close();
            receive_all(plan, Direction::Down, &mut habits, &mut responses).await
        }
        Kind::ServerStreaming => {
            let request = plan.message(Direction::Up, 0);
            let mut responses = client
                .server_streaming(request)
                .metadata(SEED, seed)
                .await?;
            receive(plan, drops, &mut habits, &mut responses).await
        }
        Kind::HalfDuplex => {
            let (mut requests, mut responses) =
                client.bidi_streaming().metadata(SEED, seed).await?;
            allow_end(send_all(plan, Direction::Up, &mut habits, &mut requests).await)?;
            requests.close();
            receive(plan, drops, &mut habits, &mut responses).await
        }
        Kind::PingPong => {
            let (mut requests, mut responses) =
                client.bidi_streaming().metadata(SEED, seed).await?;
            for index in 0..plan.up.len() {
                if drops == Some(index) {
                    return Ok(());
                }
                allow_end(send_one(plan, Direction::Up, index, &mut habits, &mut requests).await)?;
                receive_one(plan, Direction::Down, index, &mut habits, &mut responses).await?;
            }
            requests.close();
            match habits.recv(&mut responses).await? {
                None => Ok(()),
                Some(_) => Err(Status::data_loss("a message more than was sent")),
            }
        }
        Kind::FullDuplex => {
            let (mut requests, mut responses) =
                client.bidi_streaming().metadata(SEED, seed).await?;
            let mut sending = plan.clone();
            let mut writing = habits.clone();
            let send = async {
                let sent = send_all(&mut sending, Direction::Up, &mut writing, &mut requests);
                allow_end(sent.await)?;
                requests.close();
                Ok(())
            };
            let receive = receive(plan, drops, &mut habits, &mut responses);
            if drops.is_some() {
                // The sender may wait for a server that waits for the reader.
                tokio::pin!(send, receive);
                return tokio::select! {
                    outcome = &mut receive => outcome,
                    outcome = &mut send => match outcome {
                        Ok(()) => receive.await,
                        Err(status) => Err(status),
                    },
                };
            }
            tokio::try_join!(send, receive).map(|((), ())| ())
        }
    }
}

async fn receive(
    plan: &mut Plan,
    drops: Option<usize>,
    habits: &mut Habits,
    responses: &mut RecvStream<Message>,
) -> Result<(), Status> {
    match drops {
        None => receive_all(plan, Direction::Down, habits, responses).await,
        Some(after) => {
            for index in 0..after {
                receive_one(plan, Direction::Down, index, habits, responses).await?;
            }
            Ok(())
        }
    }
}

/// A server may end a call before it has received all messages: the receiving half says how.
fn allow_end(sent: Result<(), Status>) -> Result<(), Status> {
    match sent {
        // CANCELLED: the call has ended with OK, which is no error of the receiving half.
        Err(status) if matches!(status.code(), Code::Cancelled | Code::Aborted) => Ok(()),
        sent => sent,
    }
}
