//! A chat with one server and many clients, each on its own bidirectional stream. Both sides
//! receive and send at the same time.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin chat
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::sync::Arc;

use rgrpc::{ClientConn, RecvStream, Request, SendStream, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinSet;

rgrpc::include_proto!("chat");

const GUESTS: [&str; 4] = ["Ada", "Barbara", "Grace", "Radia"];

/// The chat room. Every guest subscribes to its messages.
struct Room {
    said: broadcast::Sender<ChatMessage>,
}

/// The name of a guest: an extension of the request, which stays in this program.
#[derive(Clone)]
struct Guest(String);

/// Admits guests whose request has a name.
fn admit<T>(request: &mut Request<T>) -> Result<(), Status> {
    let name = request.metadata().get("x-guest").map(str::to_owned);
    let name = name.ok_or_else(|| Status::unauthenticated("x-guest is missing"))?;
    request.extensions_mut().insert(Guest(name));
    Ok(())
}

impl Chat for Room {
    async fn join(
        &self,
        mut messages: Request<RecvStream<ChatMessage>>,
        mut to_guest: SendStream<ChatMessage>,
    ) -> Result<(), Status> {
        admit(&mut messages)?;
        // The stream, and the request without it, which keeps metadata, deadline, peer and
        // extensions.
        let (mut from_guest, request) = messages.split();
        let mut from_room = self.said.subscribe();
        let name = request.extensions().get().map_or("", |Guest(name)| name);
        to_guest
            .send(message("the room", &format!("welcome, {name}")))
            .await?;
        loop {
            tokio::select! {
                message = from_guest.recv() => match message? {
                    // `send` fails only without subscribers, and this guest is one.
                    Some(message) => { let _ = self.said.send(message); }
                    None => return Ok(()),
                },
                message = from_room.recv() => match message {
                    Ok(message) => to_guest.send(message).await?,
                    // A guest that reads too slowly gets an error and delays nobody else.
                    Err(RecvError::Lagged(missed)) => return Err(Status::data_loss(
                        format!("{missed} messages were missed: read faster"),
                    )),
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
    }
}

fn message(author: &str, text: &str) -> ChatMessage {
    ChatMessage {
        author: author.to_owned(),
        text: text.to_owned(),
    }
}

/// Joins, sends one message once all guests are there, and leaves after receiving everyone's
/// message.
async fn visit(
    room: ChatClient,
    name: &'static str,
    all_are_there: Arc<Barrier>,
) -> Result<(), Status> {
    let (mut say, mut hear) = room.join().metadata("x-guest", name).await?;
    if let Some(welcome) = hear.recv().await? {
        println!("{name} joins; {} says: {}", welcome.author, welcome.text);
    }
    all_are_there.wait().await;

    say.send(message(name, &format!("hello from {name}")))
        .await?;
    for _ in GUESTS {
        if let Some(heard) = hear.recv().await? {
            println!("{name} hears {}: {}", heard.author, heard.text);
        }
    }

    say.close();
    while hear.recv().await?.is_some() {}
    println!("{name} leaves");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new();
    let (said, _) = broadcast::channel(16);
    register_chat(&mut server, Room { said })?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    let all_are_there = Arc::new(Barrier::new(GUESTS.len()));
    let mut guests = JoinSet::new();
    for name in GUESTS {
        // A separate connection for each guest, as for separate programs. One for all would also
        // do.
        let conn = ClientConn::new(address.to_string(), credentials::insecure())?;
        guests.spawn(visit(ChatClient::new(conn), name, all_are_there.clone()));
    }
    while let Some(guest) = guests.join_next().await {
        guest??;
    }

    server.handle().graceful_stop().await;
    serving.await??;
    println!("the room is closed");
    Ok(())
}
