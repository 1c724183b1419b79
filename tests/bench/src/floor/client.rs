//! The floor's client: one thread that sleeps until a socket is ready, reads what is there, and
//! writes all next requests at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::client_connection::ClientConnection;
use super::wire::{Fill, Input, Output};
use crate::cpu::CpuClock;
use crate::flags::ClientFlags;
use crate::latency::Latencies;
use crate::payload;
use crate::report::{Report, Window};

struct Connection {
    socket: TcpStream,
    input: Input,
    output: Output,
    state: ClientConnection,
}

/// Runs the closed loop that the flags describe.
///
/// # Errors
/// A connection fails, or a call does.
pub fn run(flags: &ClientFlags) -> Result<Report> {
    let mut load = Load::new(flags)?;
    let server = flags.server_pid.map(CpuClock::of).transpose()?;
    load.run(flags.warmup, &mut Latencies::new()?)?;
    let mut latencies = Latencies::new()?;
    let window = Window::begin(server)?;
    load.run(flags.secs, &mut latencies)?;
    window.end(&latencies)
}

struct Load {
    poll: Poll,
    connections: Vec<Connection>,
}

impl Load {
    fn new(flags: &ClientFlags) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, flags.port));
        let request = payload::request(flags.req, flags.resp)?;
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(flags.conns);
        for index in 0..flags.conns {
            let connected = std::net::TcpStream::connect(address)
                .with_context(|| format!("connecting to {address}"))?;
            connected.set_nodelay(true)?;
            connected.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(connected);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut socket, Token(index), interest)?;
            let mut output = Output::default();
            let state = ClientConnection::new(
                flags.mode,
                flags.streams,
                &request,
                &address.to_string(),
                &mut output.bytes,
            );
            output.flush(&mut socket)?;
            connections.push(Connection {
                socket,
                input: Input::new(),
                output,
                state,
            });
        }
        Ok(Self { poll, connections })
    }

    /// Goes on for so long.
    fn run(&mut self, time: Duration, latencies: &mut Latencies) -> Result<()> {
        let end = Instant::now() + time;
        let mut events = Events::with_capacity(1024);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled.context("polling")?,
            }
            for event in &events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    connection.ready(latencies)?;
                }
            }
        }
    }
}

impl Connection {
    /// Reads, makes the next requests of what has ended, and writes.
    fn ready(&mut self, latencies: &mut Latencies) -> Result<()> {
        loop {
            let fill = self
                .input
                .fill(&mut self.socket)
                .context("reading from the server")?;
            let handled = self.state.receive(
                self.input.bytes(),
                Instant::now(),
                latencies,
                &mut self.output.bytes,
            )?;
            self.input.consume(handled);
            match fill {
                Fill::More => {}
                Fill::Drained => break,
                Fill::Closed => bail!("the server has closed the connection"),
            }
        }
        self.output
            .flush(&mut self.socket)
            .context("writing to the server")
    }
}
