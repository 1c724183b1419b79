//! The floor's server: one thread that sleeps until a socket is ready, reads what is there, and
//! writes all answers at once.

use std::io;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::server_connection::ServerConnection;
use super::wire::{Fill, Input, Output};

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    socket: TcpStream,
    input: Input,
    output: Output,
    state: ServerConnection,
}

/// Serves until the process ends. Each request gets `repeat` responses.
///
/// # Errors
/// The listener or the poll fails; a connection that fails is closed, and the others go on.
#[allow(clippy::print_stderr, reason = "a program's output")]
pub fn serve(listener: std::net::TcpListener, repeat: u32) -> Result<()> {
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    // A token is an index; one that is free stays so, for no bench makes that many connections.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled.context("polling")?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections, repeat)?;
                continue;
            }
            let Some(slot) = connections.get_mut(event.token().0) else {
                continue;
            };
            let Some(connection) = slot else { continue };
            match connection.ready() {
                Ok(true) => {}
                Ok(false) => *slot = None,
                Err(error) => {
                    eprintln!("bench-floor: {error:#}");
                    *slot = None;
                }
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Vec<Option<Connection>>,
    repeat: u32,
) -> Result<()> {
    loop {
        let mut socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accepting"),
        };
        socket.set_nodelay(true)?;
        let token = Token(connections.len());
        poll.registry()
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let mut output = Output::default();
        let state = ServerConnection::new(repeat, &mut output.bytes);
        connections.push(Some(Connection {
            socket,
            input: Input::new(),
            output,
            state,
        }));
    }
}

impl Connection {
    /// Reads, answers and writes. Returns whether the connection goes on.
    fn ready(&mut self) -> Result<bool> {
        loop {
            let fill = self.input.fill(&mut self.socket)?;
            let handled = self
                .state
                .receive(self.input.bytes(), &mut self.output.bytes)?;
            self.input.consume(handled);
            match fill {
                Fill::More => {}
                Fill::Drained => break,
                Fill::Closed => return Ok(false),
            }
        }
        self.output.flush(&mut self.socket)?;
        Ok(true)
    }
}
